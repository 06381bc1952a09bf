DROP INDEX access_grant_by_client;
DROP TABLE access_cut;
