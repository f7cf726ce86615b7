-- The store: records, the ledger's entries, limits, labels, calls in flight, content and the derived tree.
--
-- Times are microseconds since 1970 (UTC). Every row belongs to one organization.

-- One row per organization. `no` stands for it in the entries' keys.
CREATE TABLE orgs_state (
    org     TEXT    NOT NULL PRIMARY KEY,
    no      INTEGER NOT NULL UNIQUE,
    epoch   INTEGER NOT NULL DEFAULT 0,
    entries INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- Bodies are large, so that this one has row ids. A null body has been shredded.
CREATE TABLE records (
    id       INTEGER PRIMARY KEY,
    org      TEXT    NOT NULL,
    kind     TEXT    NOT NULL,
    key      TEXT    NOT NULL,
    name     TEXT,
    parent   TEXT,
    state    TEXT    NOT NULL,
    revision INTEGER NOT NULL,
    body     TEXT
) STRICT;
CREATE UNIQUE INDEX records_key ON records (org, kind, key);
CREATE UNIQUE INDEX records_name ON records (org, kind, name) WHERE name IS NOT NULL;
CREATE INDEX records_parent ON records (org, kind, parent, key) WHERE parent IS NOT NULL;
CREATE INDEX records_state ON records (org, kind, state, key);
CREATE INDEX records_organizations ON records (key) WHERE kind = 'organization';

-- Every name that was ever given, and to which record: a record that is renamed keeps its old one from all others.
CREATE TABLE names (
    org  TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    key  TEXT NOT NULL,
    PRIMARY KEY (org, kind, name)
) STRICT, WITHOUT ROWID;

-- id = no * 2^40 + index in the ledger: one key keeps an organization's entries together and in order, and every
-- index below ends in it.
CREATE TABLE entries (
    id       INTEGER PRIMARY KEY,
    kind     TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    agent    TEXT,
    run      TEXT,
    decision TEXT,
    leaf     BLOB    NOT NULL,
    sealed   BLOB    NOT NULL
) STRICT;
-- Most entries are of calls: those are found by the row, and cost no place in the index by kind.
CREATE INDEX entries_kind ON entries (kind, id) WHERE kind NOT IN ('call.decided', 'call.completed');
CREATE INDEX entries_agent ON entries (agent, id) WHERE agent IS NOT NULL;
CREATE INDEX entries_run ON entries (run, id) WHERE run IS NOT NULL;
CREATE INDEX entries_decision ON entries (decision, id) WHERE decision IS NOT NULL;
CREATE TRIGGER entries_are_not_changed BEFORE UPDATE ON entries
BEGIN SELECT RAISE(ABORT, 'ledger entries are never changed'); END;
CREATE TRIGGER entries_are_not_deleted BEFORE DELETE ON entries
BEGIN SELECT RAISE(ABORT, 'ledger entries are never deleted'); END;

-- Single-use keys.
CREATE TABLE once (
    org   TEXT    NOT NULL,
    key   TEXT    NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (org, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX once_until ON once (until);

-- Information-flow labels: rows of a scope are never deleted, and their number is the scope's version.
CREATE TABLE labels (
    org   TEXT    NOT NULL,
    scope TEXT    NOT NULL,
    label TEXT    NOT NULL,
    at    INTEGER NOT NULL,
    PRIMARY KEY (org, scope, label)
) STRICT, WITHOUT ROWID;

-- What is used of limits.
CREATE TABLE counters (
    org   TEXT    NOT NULL,
    key   TEXT    NOT NULL,
    used  INTEGER NOT NULL CHECK (used >= 0),
    until INTEGER NOT NULL,
    PRIMARY KEY (org, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX counters_until ON counters (until);

-- Calls without an outcome.
CREATE TABLE calls (
    org      TEXT    NOT NULL,
    decision TEXT    NOT NULL,
    idx      INTEGER NOT NULL,
    agent    TEXT    NOT NULL,
    run      TEXT    NOT NULL,
    tool     TEXT    NOT NULL,
    node     TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (org, decision)
) STRICT, WITHOUT ROWID;

-- Content, by SHA-256 (hex).
CREATE TABLE blobs (
    id   INTEGER PRIMARY KEY,
    org  TEXT NOT NULL,
    hash TEXT NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX blobs_hash ON blobs (org, hash);

-- Derived from the entries: Merkle hashes in stored order, and the signed checkpoints.
CREATE TABLE tree (
    org  TEXT    NOT NULL,
    n    INTEGER NOT NULL,
    hash BLOB    NOT NULL,
    PRIMARY KEY (org, n)
) STRICT, WITHOUT ROWID;
CREATE TABLE checkpoints (
    org  TEXT    NOT NULL,
    size INTEGER NOT NULL,
    note TEXT    NOT NULL,
    PRIMARY KEY (org, size)
) STRICT, WITHOUT ROWID;
