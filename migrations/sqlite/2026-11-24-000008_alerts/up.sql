-- What a detector has found. One is open for a detector and a subject at a time.
CREATE TABLE alert (
    id TEXT NOT NULL PRIMARY KEY,
    detector TEXT NOT NULL,
    subject_kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    occurrences BIGINT NOT NULL,
    raised_at BIGINT NOT NULL,
    action TEXT NOT NULL,
    isolate_for BIGINT,
    cut_id TEXT,
    outcome TEXT NOT NULL,
    acknowledged_at BIGINT,
    acknowledged_by TEXT
);
CREATE UNIQUE INDEX alert_open ON alert (detector, subject_kind, subject) WHERE acknowledged_at IS NULL;
CREATE INDEX alert_by_subject ON alert (detector, subject_kind, subject, raised_at);
CREATE INDEX alert_by_time ON alert (raised_at);
CREATE INDEX alert_unfinished ON alert (raised_at) WHERE outcome = '';

-- The rules that somebody has set in place of the usual ones.
CREATE TABLE detector_rule (
    detector TEXT NOT NULL PRIMARY KEY,
    is_on BOOLEAN NOT NULL,
    threshold BIGINT NOT NULL,
    window_seconds BIGINT NOT NULL,
    action TEXT NOT NULL,
    isolate_for BIGINT
);
