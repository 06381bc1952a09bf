ALTER TABLE call_rule DROP COLUMN callers;
