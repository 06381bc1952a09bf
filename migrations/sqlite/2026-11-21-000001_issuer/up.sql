-- Times are microseconds since the Unix epoch, UTC. Ids are UUIDv7 texts. Digests are SHA-256.
CREATE TABLE generation (
    topic TEXT NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO generation (topic, value) VALUES ('keys', 0), ('resources', 0), ('revocations', 0), ('status_index', 0);

CREATE TABLE setting (
    name TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
);

CREATE TABLE signing_key (
    kid TEXT NOT NULL PRIMARY KEY,
    alg TEXT NOT NULL,
    public_jwk TEXT NOT NULL,
    sealed_private BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    activates_at BIGINT NOT NULL,
    removed_at BIGINT
);

CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    email TEXT NOT NULL,
    email_key TEXT NOT NULL UNIQUE,
    name TEXT,
    role TEXT NOT NULL,
    groups TEXT NOT NULL,
    password_hash TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    disabled_at BIGINT
);

CREATE TABLE login_throttle (
    throttle_key TEXT NOT NULL PRIMARY KEY,
    failures BIGINT NOT NULL,
    blocked_until BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX login_throttle_by_age ON login_throttle (updated_at);

CREATE TABLE setup_link (
    digest BLOB NOT NULL PRIMARY KEY,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE TABLE session (
    id TEXT NOT NULL PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    user_id TEXT NOT NULL REFERENCES users (id),
    auth_time BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    address TEXT,
    user_agent TEXT
);
CREATE INDEX session_by_user ON session (user_id);
CREATE INDEX session_by_end ON session (expires_at);

CREATE TABLE resource (
    id TEXT NOT NULL PRIMARY KEY,
    uri TEXT NOT NULL,
    uri_key TEXT NOT NULL,
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    access_token_ttl BIGINT,
    signing_alg TEXT NOT NULL,
    is_default BOOLEAN NOT NULL,
    client_rule TEXT NOT NULL,
    client_id TEXT NOT NULL UNIQUE,
    secret_digest BLOB NOT NULL,
    slug TEXT,
    upstream TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    removed_at BIGINT
);
CREATE UNIQUE INDEX resource_by_uri ON resource (uri_key) WHERE removed_at IS NULL;
CREATE UNIQUE INDEX resource_by_slug ON resource (slug) WHERE removed_at IS NULL AND slug IS NOT NULL;

CREATE TABLE client (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    metadata TEXT NOT NULL,
    secret_digest BLOB,
    registration_digest BLOB,
    resources TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    disabled_at BIGINT,
    first_granted_at BIGINT,
    document_fresh_until BIGINT,
    document_version BIGINT NOT NULL
);
CREATE INDEX client_unused ON client (created_at) WHERE first_granted_at IS NULL AND kind <> 'pre_registered';

CREATE TABLE client_document (
    client_id TEXT NOT NULL REFERENCES client (id) ON DELETE CASCADE,
    version BIGINT NOT NULL,
    fetched_at BIGINT NOT NULL,
    body TEXT NOT NULL,
    difference TEXT NOT NULL,
    etag TEXT,
    last_modified TEXT,
    PRIMARY KEY (client_id, version)
);

CREATE TABLE initial_access_token (
    id TEXT NOT NULL PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    remaining BIGINT
);

CREATE TABLE access_grant (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT REFERENCES users (id),
    client_id TEXT NOT NULL,
    resource_id TEXT NOT NULL REFERENCES resource (id),
    scopes TEXT NOT NULL,
    client_fingerprint TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    last_used_at BIGINT,
    last_used_address TEXT,
    revoked_at BIGINT,
    revoked_reason TEXT
);
CREATE UNIQUE INDEX access_grant_live ON access_grant (client_id, resource_id, coalesce(user_id, '')) WHERE revoked_at IS NULL;
CREATE INDEX access_grant_by_user ON access_grant (user_id, client_id, resource_id);
CREATE INDEX access_grant_by_resource ON access_grant (resource_id);

CREATE TABLE consent_request (
    digest BLOB NOT NULL PRIMARY KEY,
    session_id TEXT NOT NULL,
    request TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX consent_request_by_end ON consent_request (expires_at);

CREATE TABLE authorization_code (
    digest BLOB NOT NULL PRIMARY KEY,
    family_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    client_id TEXT NOT NULL,
    redirect_uri TEXT NOT NULL,
    code_challenge TEXT NOT NULL,
    resources TEXT NOT NULL,
    offline BOOLEAN NOT NULL,
    auth_time BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    consumed_at BIGINT
);
CREATE INDEX authorization_code_by_end ON authorization_code (expires_at);

CREATE TABLE token_family (
    id TEXT NOT NULL PRIMARY KEY,
    client_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    auth_time BIGINT NOT NULL,
    offline BOOLEAN NOT NULL,
    resources TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT
);
CREATE INDEX token_family_by_end ON token_family (expires_at);
CREATE INDEX token_family_by_user ON token_family (user_id);
CREATE INDEX token_family_by_client ON token_family (client_id);

CREATE TABLE refresh_token (
    digest BLOB NOT NULL PRIMARY KEY,
    family_id TEXT NOT NULL REFERENCES token_family (id) ON DELETE CASCADE,
    generation BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT,
    UNIQUE (family_id, generation)
);

CREATE TABLE access_token (
    status_index BIGINT NOT NULL PRIMARY KEY,
    id TEXT NOT NULL,
    grant_id TEXT NOT NULL,
    family_id TEXT,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT
);
CREATE INDEX access_token_by_grant ON access_token (grant_id);
CREATE INDEX access_token_by_end ON access_token (expires_at);
CREATE INDEX access_token_revoked ON access_token (revoked_at) WHERE revoked_at IS NOT NULL;

CREATE TABLE assertion_seen (
    digest BLOB NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
CREATE INDEX assertion_seen_by_end ON assertion_seen (expires_at);

CREATE TABLE audit_event (
    seq INTEGER PRIMARY KEY,
    lane BIGINT NOT NULL,
    position BIGINT NOT NULL,
    id TEXT NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    user_id TEXT,
    client_id TEXT,
    grant_id TEXT,
    resource_id TEXT,
    address TEXT,
    request_id TEXT,
    detail TEXT NOT NULL,
    salt BLOB,
    commitment BLOB NOT NULL,
    hash BLOB NOT NULL
);
CREATE UNIQUE INDEX audit_event_by_place ON audit_event (lane, position);
CREATE INDEX audit_event_by_time ON audit_event (at);
CREATE INDEX audit_event_by_kind ON audit_event (kind, at);
CREATE INDEX audit_event_by_user ON audit_event (user_id, at) WHERE user_id IS NOT NULL;
CREATE INDEX audit_event_by_client ON audit_event (client_id, at) WHERE client_id IS NOT NULL;

-- The end of each lane of the chain; no mac before the first record.
CREATE TABLE audit_head (
    lane BIGINT NOT NULL PRIMARY KEY,
    count BIGINT NOT NULL,
    hash BLOB NOT NULL,
    mac BLOB
);
INSERT INTO audit_head (lane, count, hash) VALUES (0, 0, x'0000000000000000000000000000000000000000000000000000000000000000');

-- The place up to which retention has removed a lane's beginning.
CREATE TABLE audit_anchor (
    lane BIGINT NOT NULL PRIMARY KEY,
    count BIGINT NOT NULL,
    hash BLOB NOT NULL,
    mac BLOB NOT NULL
);

CREATE TABLE audit_checkpoint (
    lane BIGINT NOT NULL,
    count BIGINT NOT NULL,
    hash BLOB NOT NULL,
    mac BLOB NOT NULL,
    at BIGINT NOT NULL,
    statement TEXT NOT NULL,
    PRIMARY KEY (lane, count)
);
