-- The client's own state. MLS state is in the tables of openmls_sqlite_storage.
-- Wire structures are stored in their wire encoding, times in seconds since 1970.

CREATE TABLE account (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    domain TEXT NOT NULL,
    user BLOB NOT NULL,
    client BLOB NOT NULL,
    display_name TEXT NOT NULL,
    key BLOB NOT NULL,              -- seed of the client's signature key
    credential BLOB                 -- ClientCredential, once signed
);

-- Roots are pinned at first sight; intermediates rotate below them.
CREATE TABLE roots (domain TEXT PRIMARY KEY, fingerprint BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE issuers (
    domain TEXT NOT NULL,
    fingerprint BLOB NOT NULL,      -- of the intermediate
    keys BLOB NOT NULL,             -- ServerKeys
    fetched INTEGER NOT NULL,
    PRIMARY KEY (domain, fingerprint)
) WITHOUT ROWID;

CREATE TABLE queue (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    key BLOB NOT NULL,              -- seed of the queue's signature key
    open_seed BLOB NOT NULL,        -- seed of the HPKE key
    ratchet BLOB NOT NULL,
    friendship_token BLOB NOT NULL,
    friendship_key BLOB NOT NULL,
    created INTEGER NOT NULL DEFAULT 0,
    next INTEGER NOT NULL DEFAULT 0,
    packages_left INTEGER NOT NULL DEFAULT 0,
    packages_published INTEGER NOT NULL DEFAULT 0
);

-- Tickets that nobody has got yet.
CREATE TABLE tickets (ticket_id BLOB PRIMARY KEY, ticket BLOB NOT NULL) WITHOUT ROWID;

-- KeyPackages that somebody may have; the private keys are in openmls' table.
CREATE TABLE key_packages (
    ticket_id BLOB PRIMARY KEY,
    reference BLOB NOT NULL,        -- KeyPackageRef in openmls' storage
    leaf_key BLOB NOT NULL,         -- seed of the leaf's signature key
    last_resort INTEGER NOT NULL,
    expires INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE usernames (
    hash BLOB PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    key BLOB NOT NULL,
    claimed INTEGER NOT NULL DEFAULT 0,
    expires INTEGER NOT NULL DEFAULT 0,
    next INTEGER NOT NULL DEFAULT 0,
    packages_left INTEGER NOT NULL DEFAULT 0,
    packages_published INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE TABLE connection_packages (
    id BLOB PRIMARY KEY,
    username BLOB NOT NULL,
    seed BLOB NOT NULL,
    last_resort INTEGER NOT NULL,
    expires INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE outgoing_requests (
    reply_id BLOB PRIMARY KEY,
    username TEXT NOT NULL,
    reply_key BLOB NOT NULL,
    sent INTEGER NOT NULL DEFAULT 0,
    acceptance BLOB                 -- ConnectionAcceptance that waits for its domain's keys
) WITHOUT ROWID;

CREATE TABLE incoming_requests (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    username BLOB NOT NULL,
    package BLOB NOT NULL,
    request BLOB NOT NULL,          -- ConnectionRequest
    reply_id BLOB NOT NULL UNIQUE,
    verified INTEGER NOT NULL DEFAULT 0,
    closed INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE contacts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    domain TEXT NOT NULL,
    user BLOB NOT NULL,
    client BLOB NOT NULL,
    client_key BLOB NOT NULL,
    username TEXT,
    display_name TEXT NOT NULL,
    friendship_token BLOB NOT NULL,
    friendship_key BLOB NOT NULL,
    ticket BLOB NOT NULL,           -- QualifiedTicket
    UNIQUE (domain, user, client)
);

CREATE TABLE groups (
    id BLOB PRIMARY KEY,
    name TEXT NOT NULL,
    leaf_key BLOB NOT NULL,         -- seed of the leaf's signature key; zeros once we are out
    identity_key BLOB NOT NULL,
    ticket_id BLOB NOT NULL,
    domain TEXT NOT NULL,
    state INTEGER NOT NULL,         -- 0 being created, 1 active, 2 left
    last INTEGER                    -- number of the last event, once one is known
) WITHOUT ROWID;
CREATE INDEX groups_by_ticket ON groups (ticket_id);

-- Our own accepted numbers that are not yet reached by what came from the queue.
CREATE TABLE own_numbers (grp BLOB NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (grp, number)) WITHOUT ROWID;

-- State keys: of the current epoch, and of earlier ones while their events may still come.
CREATE TABLE epochs (
    grp BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    state_key BLOB NOT NULL,
    began INTEGER NOT NULL,         -- number of the commit that began it
    PRIMARY KEY (grp, epoch)
) WITHOUT ROWID;

-- Those who are gone stay while messages of epochs with them may still come.
CREATE TABLE members (
    grp BLOB NOT NULL,
    signature_key BLOB NOT NULL,
    leaf INTEGER NOT NULL,
    pseudonym BLOB NOT NULL,
    sealed BLOB NOT NULL,           -- the leaf's extension
    identity BLOB,                  -- Identity, if it opened
    verified INTEGER NOT NULL,
    gone INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (grp, signature_key)
) WITHOUT ROWID;

CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    grp BLOB NOT NULL,
    kind INTEGER NOT NULL,          -- 0 text, 1 the group's name
    number INTEGER,
    tag BLOB NOT NULL,              -- the sender's random id: a message sent twice is there once
    sender TEXT,                    -- Person; absent for our own
    body BLOB NOT NULL,
    sent_at INTEGER NOT NULL,
    state INTEGER NOT NULL          -- 0 sending, 1 sent, 2 failed, 3 received
);
CREATE UNIQUE INDEX messages_by_tag ON messages (grp, tag);
CREATE INDEX messages_by_group ON messages (grp, id);

-- What the user has not been shown yet. AUTOINCREMENT: a number is never used again.
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    event TEXT NOT NULL             -- Event, as JSON
);

-- Welcomes whose state is being fetched, and what came by their tickets since.
CREATE TABLE joins (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    ticket_id BLOB NOT NULL,
    leaf_key BLOB NOT NULL,
    welcome BLOB NOT NULL
);
CREATE TABLE parked (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    ticket_id BLOB NOT NULL,
    payload BLOB NOT NULL
);
CREATE INDEX parked_by_ticket ON parked (ticket_id, id);

CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind INTEGER NOT NULL,
    subject BLOB NOT NULL,          -- what makes an upkeep job the only one of its kind
    grp BLOB,
    state BLOB NOT NULL
);
CREATE INDEX jobs_by_group ON jobs (grp, id);

-- Upkeep that failed for good rests until then.
CREATE TABLE resting (kind INTEGER NOT NULL, subject BLOB NOT NULL, until INTEGER NOT NULL, PRIMARY KEY (kind, subject)) WITHOUT ROWID;

-- What the shell wants to keep in the home.
CREATE TABLE settings (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
