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
