-- What authenticates that address and detail of a record were erased by right.
ALTER TABLE audit_event ADD COLUMN erased BYTEA;

-- The public halves of the keys that have signed checkpoints, for as long as somebody may want to verify one.
CREATE TABLE checkpoint_key (
    kid TEXT NOT NULL PRIMARY KEY,
    public_jwk TEXT NOT NULL,
    first_used_at BIGINT NOT NULL
);

-- Id, name and addresses of a client in small letters: what the console searches.
ALTER TABLE client ADD COLUMN search_key TEXT NOT NULL DEFAULT '';
UPDATE client SET search_key = lower(concat_ws(' ', id, metadata::json ->> 'client_name', metadata::json ->> 'redirect_uris', metadata::json ->> 'client_uri'));

-- Lists of approvals go on by id.
DROP INDEX access_grant_by_client;
CREATE INDEX access_grant_by_client ON access_grant (client_id, id);
DROP INDEX access_grant_by_resource;
CREATE INDEX access_grant_by_resource ON access_grant (resource_id, id);
