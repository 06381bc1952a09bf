-- Programs that may cut access by a signed message.
CREATE TABLE cut_hook (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    targets TEXT NOT NULL,
    sealed_secret BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    last_used_at BIGINT
);
