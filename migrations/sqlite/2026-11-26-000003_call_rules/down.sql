ALTER TABLE resource DROP COLUMN gateway;
DROP TABLE call_approval;
DROP TABLE call_rule;
