-- Policies in Cedar about calls to a server behind the gateway.
CREATE TABLE cedar_policies (
    resource_id TEXT NOT NULL PRIMARY KEY REFERENCES resource (id),
    policies TEXT NOT NULL,
    changed_at BIGINT NOT NULL
);
