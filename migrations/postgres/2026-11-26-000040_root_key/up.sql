-- Root keys, each sealed under the master key: under two of them while one takes the other's place.
CREATE TABLE root_key (
    id BIGINT NOT NULL,
    kind TEXT NOT NULL,
    master TEXT NOT NULL,
    turn BIGINT NOT NULL,
    sealed BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    seals_since BIGINT,
    PRIMARY KEY (id, master)
);
INSERT INTO generation (topic, value) VALUES ('roots', 0);
