DROP INDEX access_grant_never_used;
DROP INDEX access_grant_ended;
DROP INDEX access_grant_narrowed;
DROP INDEX access_grant_by_address;
ALTER TABLE access_grant DROP COLUMN narrowed_at;
