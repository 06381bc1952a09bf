-- Rules about calls to MCP servers behind the gateway. They only take away.
CREATE TABLE call_rule (
    id TEXT NOT NULL PRIMARY KEY,
    resource_id TEXT NOT NULL REFERENCES resource (id),
    subject_kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    conditions TEXT NOT NULL,
    effect TEXT NOT NULL,
    reason TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT
);
CREATE INDEX call_rule_by_server ON call_rule (resource_id);

-- Single calls that a rule holds back until somebody has decided. What would be sent is sealed.
CREATE TABLE call_approval (
    id TEXT NOT NULL PRIMARY KEY,
    rule_id TEXT NOT NULL,
    reason TEXT NOT NULL,
    resource_id TEXT NOT NULL REFERENCES resource (id),
    grant_id TEXT NOT NULL REFERENCES access_grant (id) ON DELETE CASCADE,
    user_id TEXT,
    client_id TEXT NOT NULL,
    method TEXT NOT NULL,
    name TEXT NOT NULL,
    digest BYTEA NOT NULL,
    sealed BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    decided_at BIGINT,
    decided_by TEXT,
    allowed BOOLEAN,
    used_at BIGINT
);
CREATE INDEX call_approval_by_call ON call_approval (grant_id, digest);
CREATE UNIQUE INDEX call_approval_open ON call_approval (grant_id, digest) WHERE decided_at IS NULL;
CREATE INDEX call_approval_by_person ON call_approval (user_id);
CREATE INDEX call_approval_by_end ON call_approval (expires_at);

-- What an administrator has set for a server behind the gateway.
ALTER TABLE resource ADD COLUMN gateway TEXT NOT NULL DEFAULT '{}';
