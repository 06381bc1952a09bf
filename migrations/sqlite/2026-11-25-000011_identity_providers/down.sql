DROP INDEX session_by_identity;
ALTER TABLE token_family DROP COLUMN identity_id;
ALTER TABLE authorization_code DROP COLUMN identity_id;
ALTER TABLE session DROP COLUMN identity_id;
DROP TABLE identity;
DROP TABLE identity_provider;
