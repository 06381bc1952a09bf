DROP INDEX access_grant_by_address;
ALTER TABLE access_grant DROP COLUMN narrowed_at;
