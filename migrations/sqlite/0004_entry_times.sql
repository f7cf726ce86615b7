-- The earliest and the latest time in each 1,024 entries of a ledger: those of a week are found without reading the others.
-- Times do not follow the order of entries exactly, so that these bounds leave nothing out and may take a little in.
-- block = an entry's id / 1,024.
CREATE TABLE entry_times (
    block INTEGER PRIMARY KEY,
    first INTEGER NOT NULL,
    last  INTEGER NOT NULL
) STRICT;
INSERT INTO entry_times (block, first, last) SELECT id >> 10, min(at), max(at) FROM entries GROUP BY id >> 10;
