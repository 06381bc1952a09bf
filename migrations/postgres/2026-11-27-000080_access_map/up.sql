-- When an approval last lost permissions without being approved anew since.
ALTER TABLE access_grant ADD COLUMN narrowed_at BIGINT;
-- Access is looked for, and cut, by the network that it was last used from.
CREATE INDEX access_grant_by_address ON access_grant (last_used_address) WHERE revoked_at IS NULL;
-- What is rare is found without a walk over what is not.
CREATE INDEX access_grant_narrowed ON access_grant (id) WHERE narrowed_at IS NOT NULL;
CREATE INDEX access_grant_ended ON access_grant (id) WHERE revoked_at IS NOT NULL;
CREATE INDEX access_grant_never_used ON access_grant (id) WHERE last_used_at IS NULL AND revoked_at IS NULL;
