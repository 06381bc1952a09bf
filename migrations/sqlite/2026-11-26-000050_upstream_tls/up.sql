-- What the gateway shows in TLS to an MCP server behind it, and whom it trusts there.
CREATE TABLE upstream_tls (
    resource_id TEXT NOT NULL PRIMARY KEY REFERENCES resource (id),
    about TEXT NOT NULL,
    sealed_key BLOB NOT NULL,
    sealed_value BLOB NOT NULL,
    created_at BIGINT NOT NULL
);
