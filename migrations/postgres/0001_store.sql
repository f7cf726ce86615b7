-- The store: records, the ledger's entries, limits, labels, calls in flight, content and the derived tree.
--
-- Times are microseconds since 1970 (UTC). Every row belongs to one organization. Text that is compared or ordered is
-- in collation "C", so that every server orders keys alike.

-- One row per organization: locked by whoever writes in it, which makes the ledger's indexes free of gaps.
CREATE TABLE orgs_state (
    org     TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    epoch   BIGINT NOT NULL DEFAULT 0,
    entries BIGINT NOT NULL DEFAULT 0
);

-- A null body has been shredded.
CREATE TABLE records (
    org      TEXT   COLLATE "C" NOT NULL,
    kind     TEXT   COLLATE "C" NOT NULL,
    key      TEXT   COLLATE "C" NOT NULL,
    name     TEXT   COLLATE "C",
    parent   TEXT   COLLATE "C",
    state    TEXT   COLLATE "C" NOT NULL,
    revision BIGINT NOT NULL,
    body     TEXT,
    PRIMARY KEY (org, kind, key)
);
CREATE UNIQUE INDEX records_name ON records (org, kind, name) WHERE name IS NOT NULL;
CREATE INDEX records_parent ON records (org, kind, parent, key) WHERE parent IS NOT NULL;
CREATE INDEX records_state ON records (org, kind, state, key);
CREATE INDEX records_organizations ON records (key) WHERE kind = 'organization';

-- Every name that was ever given, and to which record: a record that is renamed keeps its old one from all others.
CREATE TABLE names (
    org  TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    key  TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (org, kind, name)
);

-- idx is the index in the organization's ledger.
CREATE TABLE entries (
    org      TEXT   COLLATE "C" NOT NULL,
    idx      BIGINT NOT NULL,
    kind     TEXT   COLLATE "C" NOT NULL,
    at       BIGINT NOT NULL,
    agent    TEXT   COLLATE "C",
    run      TEXT   COLLATE "C",
    decision TEXT   COLLATE "C",
    leaf     BYTEA  NOT NULL,
    sealed   BYTEA  NOT NULL,
    PRIMARY KEY (org, idx)
);
CREATE INDEX entries_kind ON entries (org, kind, idx);
CREATE INDEX entries_agent ON entries (org, agent, idx) WHERE agent IS NOT NULL;
CREATE INDEX entries_run ON entries (org, run, idx) WHERE run IS NOT NULL;
CREATE INDEX entries_decision ON entries (org, decision, idx) WHERE decision IS NOT NULL;
CREATE FUNCTION entries_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'ledger entries are never changed or deleted';
END
$$;
CREATE TRIGGER entries_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON entries
FOR EACH STATEMENT EXECUTE FUNCTION entries_stay();

-- Single-use keys.
CREATE TABLE once (
    org   TEXT   COLLATE "C" NOT NULL,
    key   TEXT   COLLATE "C" NOT NULL,
    until BIGINT NOT NULL,
    PRIMARY KEY (org, key)
);
CREATE INDEX once_until ON once (until);

-- Information-flow labels: rows of a scope are never deleted, and their number is the scope's version.
CREATE TABLE labels (
    org   TEXT   COLLATE "C" NOT NULL,
    scope TEXT   COLLATE "C" NOT NULL,
    label TEXT   COLLATE "C" NOT NULL,
    at    BIGINT NOT NULL,
    PRIMARY KEY (org, scope, label)
);

-- What is used of limits.
CREATE TABLE counters (
    org   TEXT   COLLATE "C" NOT NULL,
    key   TEXT   COLLATE "C" NOT NULL,
    used  BIGINT NOT NULL CHECK (used >= 0),
    until BIGINT NOT NULL,
    PRIMARY KEY (org, key)
);
CREATE INDEX counters_until ON counters (until);

-- Calls without an outcome.
CREATE TABLE calls (
    org      TEXT   COLLATE "C" NOT NULL,
    decision TEXT   COLLATE "C" NOT NULL,
    idx      BIGINT NOT NULL,
    agent    TEXT   NOT NULL,
    run      TEXT   NOT NULL,
    tool     TEXT   NOT NULL,
    node     TEXT   NOT NULL,
    at       BIGINT NOT NULL,
    PRIMARY KEY (org, decision)
);

-- Content, by SHA-256 (hex).
CREATE TABLE blobs (
    org  TEXT  COLLATE "C" NOT NULL,
    hash TEXT  COLLATE "C" NOT NULL,
    body BYTEA NOT NULL,
    PRIMARY KEY (org, hash)
);

-- Derived from the entries: Merkle hashes in stored order, and the signed checkpoints.
CREATE TABLE tree (
    org  TEXT   COLLATE "C" NOT NULL,
    n    BIGINT NOT NULL,
    hash BYTEA  NOT NULL,
    PRIMARY KEY (org, n)
);
CREATE TABLE checkpoints (
    org  TEXT   COLLATE "C" NOT NULL,
    size BIGINT NOT NULL,
    note TEXT   NOT NULL,
    PRIMARY KEY (org, size)
);
