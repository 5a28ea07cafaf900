-- What a resync shows the service of the commit that made it necessary.

-- The commit that cannot be followed, while the service can still judge it.
ALTER TABLE damage ADD COLUMN message BLOB;
-- Whether a private key of the state that we are stuck in was shown.
ALTER TABLE damage ADD COLUMN revealed INTEGER NOT NULL DEFAULT 0;
