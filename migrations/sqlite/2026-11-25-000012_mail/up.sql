-- Mail that waits to be sent. Its text holds links, so it is sealed. Whoever moves due_at on may send it.
CREATE TABLE mail_outbox (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    user_id TEXT,
    sealed BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    give_up_at BIGINT NOT NULL
);
CREATE INDEX mail_outbox_by_due ON mail_outbox (due_at);

-- Alerts that have yet to be told by mail.
CREATE TABLE alert_notice (
    alert_id TEXT NOT NULL PRIMARY KEY REFERENCES alert (id),
    detector TEXT NOT NULL
);
