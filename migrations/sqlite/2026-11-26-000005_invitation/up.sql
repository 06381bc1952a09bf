-- Somebody who may make an account of their own. One is open for an address at a time.
CREATE TABLE invitation (
    id TEXT NOT NULL PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    email TEXT NOT NULL,
    email_key TEXT NOT NULL,
    name TEXT,
    role TEXT NOT NULL,
    groups TEXT NOT NULL,
    invited_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    accepted_at BIGINT,
    revoked_at BIGINT
);
CREATE UNIQUE INDEX invitation_open ON invitation (email_key) WHERE accepted_at IS NULL AND revoked_at IS NULL;
CREATE INDEX invitation_by_end ON invitation (expires_at);
