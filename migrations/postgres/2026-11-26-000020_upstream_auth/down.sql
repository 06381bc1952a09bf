DROP TABLE upstream_revocation;
DROP TABLE upstream_connection;
DROP TABLE upstream_auth;
