-- Whose calls a rule is about: JSON, {"only": […], "except": […]}.
ALTER TABLE call_rule ADD COLUMN callers TEXT NOT NULL DEFAULT '{"only":[],"except":[]}';
