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
-- By the database, so that nodes of the version before, which still append while the others are replaced, leave none out.
CREATE FUNCTION note_entry_times() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO entry_times (org, block, first, last)
    SELECT org, idx >> 10, min(at), max(at) FROM new_entries GROUP BY 1, 2
    ON CONFLICT (org, block) DO UPDATE
    SET first = least(entry_times.first, excluded.first), last = greatest(entry_times.last, excluded.last);
    RETURN NULL;
END
$$;
LOCK TABLE entries IN SHARE ROW EXCLUSIVE MODE;
CREATE TRIGGER entries_have_times AFTER INSERT ON entries
REFERENCING NEW TABLE AS new_entries FOR EACH STATEMENT EXECUTE FUNCTION note_entry_times();
INSERT INTO entry_times (org, block, first, last) SELECT org, idx >> 10, min(at), max(at) FROM entries GROUP BY 1, 2;
