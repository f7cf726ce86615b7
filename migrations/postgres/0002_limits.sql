-- What an open call holds until it closes: a JSON array of [counter, amount]; null where it holds nothing.
ALTER TABLE calls ADD COLUMN held TEXT;
