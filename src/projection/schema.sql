-- The read model. Everything here is a fold over the log and may be thrown away.
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE accounts (
    id INTEGER PRIMARY KEY,
    system TEXT NOT NULL,      -- a source's or provider's name
    account TEXT NOT NULL,     -- the system's own id
    person TEXT NOT NULL,      -- their one name, or that of an ambiguous one
    plain INTEGER NOT NULL DEFAULT 0, -- one address, one account a system, nothing decided
    name TEXT,
    named_at INTEGER,          -- microseconds since the epoch: when it was the name
    in_inventory INTEGER NOT NULL DEFAULT 0,
    UNIQUE (system, account)
) STRICT;
CREATE INDEX accounts_by_person ON accounts (person);
-- With which addresses inventories show accounts, and since when.
CREATE TABLE account_sightings (
    account INTEGER NOT NULL,
    email TEXT NOT NULL,       -- in its one spelling; empty: none
    told INTEGER NOT NULL,     -- 0: read out of the account's id
    at INTEGER NOT NULL,       -- microseconds since the epoch
    since_before INTEGER NOT NULL,
    PRIMARY KEY (account, email)
) STRICT, WITHOUT ROWID;
CREATE INDEX sightings_by_email ON account_sightings (email);
-- To whom an address led, from when (microseconds; the first one: the least number) until when.
CREATE TABLE addresses (
    email TEXT NOT NULL, since INTEGER NOT NULL, until INTEGER, person TEXT NOT NULL,
    plain INTEGER NOT NULL,
    PRIMARY KEY (email, since, person)
) STRICT, WITHOUT ROWID;
CREATE INDEX addresses_by_person ON addresses (person);
-- Who is meant where two can be.
CREATE TABLE ambiguous (
    name TEXT NOT NULL, candidate TEXT NOT NULL,
    PRIMARY KEY (name, candidate)
) STRICT, WITHOUT ROWID;
CREATE INDEX ambiguous_by_candidate ON ambiguous (candidate);
-- Which humans stand behind which service account, by decision.
CREATE TABLE decision_behind (
    email TEXT NOT NULL,       -- in its one spelling
    anchor TEXT NOT NULL,      -- of the service account
    decision TEXT NOT NULL,
    PRIMARY KEY (email, anchor)
) STRICT, WITHOUT ROWID;
-- What somebody decided about people, and whom each decision names.
CREATE TABLE decisions (
    key TEXT PRIMARY KEY, id TEXT NOT NULL, decided_at INTEGER NOT NULL, record TEXT NOT NULL,
    undone INTEGER NOT NULL, body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE decision_anchors (
    anchor TEXT NOT NULL, decision TEXT NOT NULL,
    PRIMARY KEY (anchor, decision)
) STRICT, WITHOUT ROWID;

CREATE TABLE projects (
    provider TEXT NOT NULL, project TEXT NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (provider, project)
) STRICT, WITHOUT ROWID;

CREATE TABLE members (
    provider TEXT NOT NULL, project TEXT NOT NULL, account TEXT NOT NULL,
    leads INTEGER NOT NULL,    -- has or had a role that can take keys over
    body TEXT NOT NULL,
    PRIMARY KEY (provider, project, account)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_who_lead ON members (provider, account) WHERE leads;

CREATE TABLE keys (
    id INTEGER PRIMARY KEY,
    provider TEXT NOT NULL, project TEXT NOT NULL, key TEXT NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (provider, project, key)
) STRICT;
CREATE TABLE key_holders (
    account INTEGER NOT NULL, key INTEGER NOT NULL,
    PRIMARY KEY (account, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE snapshots (provider TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE changes (
    id TEXT PRIMARY KEY,
    person TEXT NOT NULL,
    source TEXT NOT NULL,
    account TEXT,
    effective_at INTEGER NOT NULL,   -- microseconds since the epoch
    recorded_at INTEGER NOT NULL,    -- the same
    part INTEGER NOT NULL,           -- the number of the log's partition it lies in
    partition_key TEXT NOT NULL,
    email TEXT,                      -- in its one spelling
    formerly TEXT,                   -- the same: the address until then
    body TEXT NOT NULL
) STRICT;
CREATE INDEX changes_by_person ON changes (person);
CREATE INDEX changes_by_email ON changes (email) WHERE email IS NOT NULL;
CREATE INDEX changes_by_formerly ON changes (formerly) WHERE formerly IS NOT NULL;
CREATE INDEX changes_by_account ON changes (source, account) WHERE account IS NOT NULL;

-- Recorded previews, to be cited by the reports of real changes.
CREATE TABLE previews (
    id TEXT PRIMARY KEY, person TEXT NOT NULL, email TEXT NOT NULL, body TEXT NOT NULL
) STRICT;
CREATE INDEX previews_by_person ON previews (person);
CREATE INDEX previews_by_email ON previews (email);

-- Records that cannot be used, until their quarantine is in the log.
CREATE TABLE rejects (id TEXT PRIMARY KEY, part INTEGER NOT NULL, body TEXT NOT NULL) STRICT;

-- Changes whose report has to be made, or made again, and because of which record of the log.
-- What is to do, not what is known.
CREATE TABLE stale (
    part INTEGER NOT NULL,     -- of the change
    change TEXT NOT NULL,
    cause TEXT NOT NULL,       -- a partition of the log, or 'look': one at a provider counts now
    next INTEGER NOT NULL,     -- the offset behind the record in the partition
    PRIMARY KEY (part, change, cause)
) STRICT, WITHOUT ROWID;

-- The outcome of each partition that this process said last, until it has read it back.
CREATE TABLE unread (part INTEGER PRIMARY KEY, id TEXT NOT NULL) STRICT;

CREATE TABLE outcomes (
    change TEXT PRIMARY KEY, revision INTEGER NOT NULL, body TEXT NOT NULL
) STRICT;
CREATE TABLE impacts (
    change TEXT NOT NULL, id TEXT NOT NULL, revision INTEGER NOT NULL,
    packed BLOB NOT NULL,      -- how the body differs from the change's first one
    PRIMARY KEY (change, id)
) STRICT, WITHOUT ROWID;
-- The first body that was seen of each change, and never another one.
CREATE TABLE first_impacts (change TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;
CREATE VIEW impact_bodies AS
    SELECT change, id, revision, unpacked(packed, first_impacts.body) AS body
    FROM impacts JOIN first_impacts USING (change);
-- Where a change hits keys: few rows for many impacts.
CREATE TABLE places (
    provider TEXT NOT NULL, project TEXT NOT NULL, change TEXT NOT NULL,
    PRIMARY KEY (provider, project, change)
) STRICT, WITHOUT ROWID;

CREATE TABLE deliveries (
    sink TEXT NOT NULL, event TEXT NOT NULL, status TEXT NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (sink, event)
) STRICT, WITHOUT ROWID;
CREATE TABLE dead_letters (
    id TEXT PRIMARY KEY, sink TEXT NOT NULL, event TEXT NOT NULL, body TEXT NOT NULL
) STRICT;
CREATE TABLE quarantine (id TEXT PRIMARY KEY, source TEXT NOT NULL, body TEXT NOT NULL) STRICT;

-- Up to when time is recorded to have passed for a change, in microseconds since the epoch.
CREATE TABLE passed (change TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
-- The latest reminder of each deadline: when it was due.
CREATE TABLE reminders (
    change TEXT NOT NULL, act_by INTEGER NOT NULL, due_at INTEGER NOT NULL,
    PRIMARY KEY (change, act_by)
) STRICT, WITHOUT ROWID;

-- How far providers were looked at, once everything that was seen is known: when the newest complete
-- look began and the newest ended. What follows is what to do, not what is known.
CREATE TABLE looks (provider TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
-- Changes whose report the next complete look at a provider can make another one.
CREATE TABLE awaited_looks (
    part INTEGER NOT NULL, change TEXT NOT NULL, provider TEXT NOT NULL,
    PRIMARY KEY (part, change, provider)
) STRICT, WITHOUT ROWID;
CREATE INDEX awaited_looks_by_provider ON awaited_looks (provider);
-- When something falls due for a change; 0: somebody has to find out.
CREATE TABLE due (
    part INTEGER NOT NULL, change TEXT NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (part, change)
) STRICT, WITHOUT ROWID;
CREATE INDEX due_by_time ON due (part, at);
