-- Requests to the admin API that carried an Idempotency-Key, and what they were answered, so that a repeat does nothing
-- twice. The answer is sealed: it may hold a secret that is shown once.
CREATE TABLE api_request (
    digest BYTEA NOT NULL PRIMARY KEY,
    fingerprint BYTEA NOT NULL,
    status BIGINT,
    answer BYTEA,
    created_at BIGINT NOT NULL
);
CREATE INDEX api_request_by_time ON api_request (created_at);
