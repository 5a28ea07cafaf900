-- What is done again after a revert.

-- What of ours was accepted and can still be undone with the epoch that it was done in.
CREATE TABLE done (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    grp BLOB NOT NULL,
    after INTEGER NOT NULL,         -- the number of the event that it followed
    number INTEGER,                 -- its own, if it has one
    until INTEGER NOT NULL,
    job BLOB NOT NULL               -- that does it again
);
