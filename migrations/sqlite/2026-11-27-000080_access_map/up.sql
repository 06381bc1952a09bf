-- When an approval last lost permissions without being approved anew since.
ALTER TABLE access_grant ADD COLUMN narrowed_at BIGINT;
-- Access is looked for, and cut, by the network that it was last used from.
CREATE INDEX access_grant_by_address ON access_grant (last_used_address) WHERE revoked_at IS NULL;
