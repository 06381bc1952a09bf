-- Mail that waits to be sent. Its text holds links, so it is sealed. Whoever moves due_at on may send it.
CREATE TABLE mail_outbox (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    user_id TEXT,
    sealed BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    give_up_at BIGINT NOT NULL
);
CREATE INDEX mail_outbox_by_due ON mail_outbox (due_at);

-- A link that was mailed. bound_to is a digest of what must not have changed since.
CREATE TABLE mail_link (
    digest BLOB NOT NULL PRIMARY KEY,
    purpose TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id),
    email TEXT NOT NULL,
    bound_to BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX mail_link_by_user ON mail_link (user_id);
CREATE INDEX mail_link_by_end ON mail_link (expires_at);

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

-- Alerts that have yet to be told by mail.
CREATE TABLE alert_notice (
    alert_id TEXT NOT NULL PRIMARY KEY REFERENCES alert (id),
    detector TEXT NOT NULL
);
