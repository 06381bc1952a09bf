-- Who may be granted what at a server; nobody has a role, so everyone may be granted everything.
ALTER TABLE resource ADD COLUMN access_rule TEXT NOT NULL DEFAULT '{}';
