DROP INDEX access_grant_by_resource;
CREATE INDEX access_grant_by_resource ON access_grant (resource_id);
DROP INDEX access_grant_by_client;
CREATE INDEX access_grant_by_client ON access_grant (client_id);
ALTER TABLE client DROP COLUMN search_key;
DROP TABLE checkpoint_key;
ALTER TABLE audit_event DROP COLUMN erased;
