-- One partition over all topics: every record has an offset of its own, counted up without end.
CREATE TABLE head (next INTEGER NOT NULL, identity TEXT NOT NULL) STRICT;

-- The records of one topic in one commit. `prev` is the topic's batch before, so that a lost row
-- shows; `crc` covers everything else in the row.
CREATE TABLE batches (
    base INTEGER PRIMARY KEY,
    topic TEXT NOT NULL,
    span INTEGER NOT NULL,
    prev INTEGER NOT NULL,
    at INTEGER NOT NULL,
    crc INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX batches_by_topic ON batches (topic, base);

-- How far a group has come.
CREATE TABLE cursors (name TEXT PRIMARY KEY, next INTEGER NOT NULL) STRICT, WITHOUT ROWID;
