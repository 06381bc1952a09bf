-- Where what happens here is told to others: webhooks, receivers of shared signals, streams of the audit log.
CREATE TABLE endpoint (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    url TEXT NOT NULL,
    events TEXT NOT NULL,
    audience TEXT,
    subject TEXT NOT NULL,
    signing_alg TEXT NOT NULL,
    sealed_secret BLOB,
    sealed_previous BLOB,
    previous_until BIGINT,
    ca TEXT,
    created_at BIGINT NOT NULL,
    disabled_at BIGINT,
    disabled_reason TEXT,
    last_success_at BIGINT,
    last_failure_at BIGINT,
    last_error TEXT,
    failures BIGINT NOT NULL,
    next_try_at BIGINT NOT NULL,
    lease_owner TEXT,
    lease_until BIGINT NOT NULL
);

-- Up to where the audit log has been told, by lane; the name is an endpoint's id, or 'signals' for what all others share.
CREATE TABLE endpoint_position (
    name TEXT NOT NULL,
    lane BIGINT NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (name, lane)
);

-- One message to one endpoint. It waits as long as it has a next try.
CREATE TABLE delivery (
    id TEXT NOT NULL PRIMARY KEY,
    endpoint_id TEXT NOT NULL REFERENCES endpoint (id) ON DELETE CASCADE,
    event_type TEXT NOT NULL,
    payload TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    next_try_at BIGINT,
    delivered_at BIGINT,
    given_up_at BIGINT,
    last_error TEXT
);
CREATE INDEX delivery_waiting ON delivery (endpoint_id, next_try_at) WHERE next_try_at IS NOT NULL;
CREATE INDEX delivery_by_time ON delivery (endpoint_id, created_at);
CREATE INDEX delivery_by_age ON delivery (created_at);
