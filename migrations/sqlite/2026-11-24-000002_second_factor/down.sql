DROP TABLE sign_in_step;
DROP TABLE passkey;
DROP TABLE recovery_code;
DROP TABLE one_time_secret;
ALTER TABLE resource DROP COLUMN second_factor_required;
ALTER TABLE users DROP COLUMN second_factor_required;
ALTER TABLE token_family DROP COLUMN methods;
ALTER TABLE authorization_code DROP COLUMN methods;
ALTER TABLE session DROP COLUMN methods;
