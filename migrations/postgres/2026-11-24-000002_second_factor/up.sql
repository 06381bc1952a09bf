-- How a person has proved who they are: names of RFC 8176, a space between them.
ALTER TABLE session ADD COLUMN methods TEXT NOT NULL DEFAULT 'pwd';
ALTER TABLE authorization_code ADD COLUMN methods TEXT NOT NULL DEFAULT '';
ALTER TABLE token_family ADD COLUMN methods TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN second_factor_required BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE resource ADD COLUMN second_factor_required BOOLEAN NOT NULL DEFAULT FALSE;

CREATE TABLE one_time_secret (
    user_id TEXT NOT NULL PRIMARY KEY REFERENCES users (id),
    sealed BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    last_step BIGINT NOT NULL,
    last_used_at BIGINT
);

CREATE TABLE recovery_code (
    digest BYTEA NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id),
    created_at BIGINT NOT NULL
);
CREATE INDEX recovery_code_by_user ON recovery_code (user_id);

CREATE TABLE passkey (
    id TEXT NOT NULL PRIMARY KEY,
    credential_id BYTEA NOT NULL UNIQUE,
    user_id TEXT NOT NULL REFERENCES users (id),
    name TEXT NOT NULL,
    credential TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT
);
CREATE INDEX passkey_by_user ON passkey (user_id);

-- A sign-in or a passkey's challenge that is under way.
CREATE TABLE sign_in_step (
    digest BYTEA NOT NULL PRIMARY KEY,
    user_id TEXT,
    sealed BYTEA NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sign_in_step_by_end ON sign_in_step (expires_at);
CREATE INDEX sign_in_step_by_user ON sign_in_step (user_id);
