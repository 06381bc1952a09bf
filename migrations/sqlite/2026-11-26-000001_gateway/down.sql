DROP TABLE grant_token;
DROP TABLE upstream_credential;
DROP TABLE tool;
