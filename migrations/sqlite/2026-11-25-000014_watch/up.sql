-- People and apps that nothing is heard of, and what has come of it.
CREATE TABLE inactivity (
    subject_kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    warned_at BIGINT NOT NULL,
    disabled_at BIGINT,
    revoked_at BIGINT,
    PRIMARY KEY (subject_kind, subject)
);
