CREATE TABLE access_token_before (
    status_index BIGINT NOT NULL PRIMARY KEY,
    id TEXT NOT NULL,
    grant_id TEXT NOT NULL,
    family_id TEXT,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT
);
INSERT INTO access_token_before (status_index, id, grant_id, family_id, expires_at, revoked_at)
    SELECT status_index, id, grant_id, family_id, expires_at, revoked_at FROM access_token;
DROP TABLE access_token;
ALTER TABLE access_token_before RENAME TO access_token;
CREATE INDEX access_token_by_grant ON access_token (grant_id);
CREATE INDEX access_token_by_end ON access_token (expires_at);
CREATE INDEX access_token_revoked ON access_token (revoked_at) WHERE revoked_at IS NOT NULL;

CREATE TABLE refresh_token_before (
    digest BLOB NOT NULL PRIMARY KEY,
    family_id TEXT NOT NULL REFERENCES token_family (id) ON DELETE CASCADE,
    generation BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT,
    UNIQUE (family_id, generation)
);
INSERT INTO refresh_token_before (digest, family_id, generation, created_at, expires_at, used_at)
    SELECT digest, family_id, generation, created_at, expires_at, used_at FROM refresh_token;
DROP TABLE refresh_token;
ALTER TABLE refresh_token_before RENAME TO refresh_token;
