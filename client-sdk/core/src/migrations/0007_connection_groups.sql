-- Groups of two, which the second person enters by an external commit.

-- What only we and a contact know, since we became contacts.
CREATE TABLE pairs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    reply_id BLOB NOT NULL UNIQUE,  -- of the connection request
    contact INTEGER NOT NULL,
    key BLOB NOT NULL               -- seals invitations
);

-- With whom a connection group is.
CREATE TABLE connection_groups (
    grp BLOB PRIMARY KEY,
    contact INTEGER NOT NULL
) WITHOUT ROWID;

-- Connection groups that we are about to enter, by the newest invitation of each contact. What has
-- come of the state, and our commit, are in resyncs.
CREATE TABLE entrances (
    contact INTEGER PRIMARY KEY,
    grp BLOB NOT NULL UNIQUE,
    state_key BLOB NOT NULL,
    identity_key BLOB NOT NULL,
    leaf_key BLOB,                  -- once the commit is made: of our leaf
    rounds INTEGER NOT NULL DEFAULT 0 -- how often it was begun anew
);
