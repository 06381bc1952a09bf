-- The Cedar policies about calls to a server behind the gateway, as they were written.
CREATE TABLE cedar (
    resource_id TEXT NOT NULL PRIMARY KEY REFERENCES resource (id),
    policies TEXT NOT NULL,
    set_at BIGINT NOT NULL,
    set_by TEXT
);
