DROP INDEX audit_event_by_kind;
CREATE INDEX audit_event_by_kind ON audit_event (kind, at);
