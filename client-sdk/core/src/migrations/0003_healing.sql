-- The order of a group's events as the service vouched for it, and what heals a group.

-- The chain up to `last`, once a receipt is known.
ALTER TABLE groups ADD COLUMN chain BLOB;
-- What of ours waits for its place: the chain that the reply's receipt gave, and the content's digest.
ALTER TABLE own_numbers ADD COLUMN chain BLOB;
ALTER TABLE own_numbers ADD COLUMN digest BLOB;
-- The newest receipts, to compare with what other members carry.
CREATE TABLE receipts (
    grp BLOB NOT NULL,
    number INTEGER NOT NULL,
    receipt BLOB NOT NULL,          -- Receipt
    PRIMARY KEY (grp, number)
) WITHOUT ROWID;
-- Numbers that were passed over: what comes of them still, comes late.
CREATE TABLE missing (grp BLOB NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (grp, number)) WITHOUT ROWID;
-- What shows others that a service lied.
CREATE TABLE evidence (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    grp BLOB NOT NULL,
    evidence BLOB NOT NULL          -- OrderEvidence
);

-- When the queue has brought something last.
ALTER TABLE queue ADD COLUMN heard INTEGER NOT NULL DEFAULT 0;

-- States from before commits, to which the service can go back.
CREATE TABLE retained (
    grp BLOB NOT NULL,
    number INTEGER NOT NULL,        -- of the commit that ended it
    epoch INTEGER NOT NULL,
    state_key BLOB NOT NULL,
    until INTEGER NOT NULL,
    state BLOB NOT NULL,            -- Snapshot
    PRIMARY KEY (grp, number)
) WITHOUT ROWID;

-- Groups that this client cannot follow, and how far it is in helping itself.
CREATE TABLE damage (
    grp BLOB PRIMARY KEY,
    since INTEGER NOT NULL,
    epoch INTEGER NOT NULL,         -- that we are stuck in
    number INTEGER,                 -- of the commit that cannot be followed, if there is one
    chain BLOB,                     -- with it
    stage INTEGER NOT NULL          -- 0 complain, 1 wait for a revert, 2 resync, 3 be added again
) WITHOUT ROWID;

-- An external commit of ours that waits for its answer.
CREATE TABLE resyncs (
    grp BLOB PRIMARY KEY,
    state BLOB NOT NULL DEFAULT x'', -- what has come of the group's state
    ticket_id BLOB,                 -- once the commit is made: into our queue
    pending BLOB                    -- and the MLS state that it leads to: Snapshot
) WITHOUT ROWID;

-- Who made the newest commits, for as long as they can be undone.
CREATE TABLE committers (
    grp BLOB NOT NULL,
    number INTEGER NOT NULL,
    leaf INTEGER NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (grp, number)
) WITHOUT ROWID;

-- Members who complained, and since when.
CREATE TABLE stuck (
    grp BLOB NOT NULL,
    signature_key BLOB NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (grp, signature_key)
) WITHOUT ROWID;
