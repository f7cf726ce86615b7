-- What each label comes of: the call that raised it first, or the declassification that took it back. Rows stay, and their
-- number stays the version of the scope: `pii~1` marks that `pii` was taken back, `pii+1` that it was raised again after that.
ALTER TABLE labels ADD COLUMN origin TEXT;
