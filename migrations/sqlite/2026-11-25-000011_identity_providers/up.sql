-- Where people may sign in who do not do it here.
CREATE TABLE identity_provider (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    issuer TEXT NOT NULL,
    client_id TEXT NOT NULL,
    secret BLOB NOT NULL,
    rules TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    disabled_at BIGINT,
    last_sign_in_at BIGINT
);

-- Who somebody is at a provider. Nobody is two people there, and nobody there is two people here.
CREATE TABLE identity (
    id TEXT NOT NULL PRIMARY KEY,
    provider_id TEXT NOT NULL REFERENCES identity_provider (id) ON DELETE CASCADE,
    sub TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    email TEXT,
    upstream BLOB,
    created_at BIGINT NOT NULL,
    last_sign_in_at BIGINT,
    checked_at BIGINT,
    checking_until BIGINT,
    UNIQUE (provider_id, sub),
    UNIQUE (provider_id, user_id)
);
CREATE INDEX identity_by_user ON identity (user_id);

-- The identity that a sign-in, and what came of it, rests on.
ALTER TABLE session ADD COLUMN identity_id TEXT;
ALTER TABLE authorization_code ADD COLUMN identity_id TEXT;
ALTER TABLE token_family ADD COLUMN identity_id TEXT;
CREATE INDEX session_by_identity ON session (identity_id);
