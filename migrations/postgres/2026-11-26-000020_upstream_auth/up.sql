-- How each person comes to a credential of their own at an MCP server behind the gateway.
CREATE TABLE upstream_auth (
    resource_id TEXT NOT NULL PRIMARY KEY REFERENCES resource (id),
    kind TEXT NOT NULL,
    settings TEXT NOT NULL,
    sealed_secret BYTEA,
    created_at BIGINT NOT NULL
);

-- What a person has been given there. One node at a time refreshes it.
CREATE TABLE upstream_connection (
    resource_id TEXT NOT NULL REFERENCES resource (id),
    user_id TEXT NOT NULL REFERENCES users (id),
    sealed_key BYTEA NOT NULL,
    sealed_tokens BYTEA NOT NULL,
    expires_at BIGINT,
    scope TEXT NOT NULL,
    connected_at BIGINT NOT NULL,
    refreshed_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    leased_until BIGINT,
    ended_at BIGINT,
    PRIMARY KEY (resource_id, user_id)
);
CREATE INDEX upstream_connection_user ON upstream_connection (user_id);

-- What has been given back here and has yet to be revoked there (RFC 7009).
CREATE TABLE upstream_revocation (
    id TEXT NOT NULL PRIMARY KEY,
    resource_id TEXT NOT NULL REFERENCES resource (id),
    sealed BYTEA NOT NULL,
    attempts BIGINT NOT NULL,
    next_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX upstream_revocation_next ON upstream_revocation (next_at);
