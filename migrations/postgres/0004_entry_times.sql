-- The earliest and the latest time in each 1,024 entries of a ledger: those of a week are found without reading the others.
-- Times do not follow the order of entries exactly, so that these bounds leave nothing out and may take a little in.
-- block = an entry's index / 1,024.
CREATE TABLE entry_times (
    org   TEXT   COLLATE "C" NOT NULL,
    block BIGINT NOT NULL,
    first BIGINT NOT NULL,
    last  BIGINT NOT NULL,
    PRIMARY KEY (org, block)
);
INSERT INTO entry_times (org, block, first, last) SELECT org, idx >> 10, min(at), max(at) FROM entries GROUP BY 1, 2;
