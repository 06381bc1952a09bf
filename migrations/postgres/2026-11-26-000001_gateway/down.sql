DROP TABLE upstream_credential;
DROP TABLE tool;
