-- Who cut whose access, when, and how it stands. The kinds are in `types/cut.rs`.
CREATE TABLE access_cut (
    id TEXT NOT NULL PRIMARY KEY,
    target_kind TEXT NOT NULL,
    target TEXT NOT NULL,
    label TEXT NOT NULL,
    kind TEXT NOT NULL,
    reason TEXT NOT NULL,
    by_user_id TEXT,
    by_name TEXT NOT NULL,
    at BIGINT NOT NULL,
    until_at BIGINT,
    applied_at BIGINT,
    undone_at BIGINT,
    undone_by TEXT,
    grants TEXT NOT NULL,
    impact TEXT NOT NULL
);
CREATE INDEX access_cut_by_time ON access_cut (at);
CREATE INDEX access_cut_in_force ON access_cut (at) WHERE undone_at IS NULL AND applied_at IS NULL;
CREATE INDEX access_grant_by_client ON access_grant (client_id);
