ALTER TABLE resource DROP COLUMN access_rule;
