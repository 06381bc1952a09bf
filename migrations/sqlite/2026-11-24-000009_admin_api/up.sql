-- Requests to the admin API that carried an Idempotency-Key, and what they were answered, so that a repeat does nothing
-- twice. The answer is sealed: it may hold a secret that is shown once.
CREATE TABLE api_request (
    digest BLOB NOT NULL PRIMARY KEY,
    fingerprint BLOB NOT NULL,
    status BIGINT,
    answer BLOB,
    created_at BIGINT NOT NULL
);
CREATE INDEX api_request_by_time ON api_request (created_at);
