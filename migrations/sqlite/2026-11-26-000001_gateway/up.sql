-- Tools of MCP servers behind the gateway, each with the definition that is pinned.
CREATE TABLE tool (
    resource_id TEXT NOT NULL REFERENCES resource (id),
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    class TEXT,
    class_set BOOLEAN NOT NULL,
    digest BLOB NOT NULL,
    seen TEXT NOT NULL,
    changed_at BIGINT NOT NULL,
    approved_by TEXT,
    PRIMARY KEY (resource_id, name)
);

-- What the gateway shows to an MCP server behind it, sealed under a key of its own that the master key seals.
CREATE TABLE upstream_credential (
    resource_id TEXT NOT NULL PRIMARY KEY REFERENCES resource (id),
    kind TEXT NOT NULL,
    header TEXT NOT NULL,
    sealed_key BLOB NOT NULL,
    sealed_value BLOB NOT NULL,
    created_at BIGINT NOT NULL
);

-- Tokens for clients without OAuth: each rests on an approval of its own.
CREATE TABLE grant_token (
    grant_id TEXT NOT NULL PRIMARY KEY REFERENCES access_grant (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    digest BLOB NOT NULL UNIQUE,
    tools TEXT,
    created_at BIGINT NOT NULL
);
