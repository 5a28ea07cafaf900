-- Roles, proposals, direct messages, tickets that change; receipts, and state that comes in windows.

-- The delivery service's key, from external_senders in the group's context.
ALTER TABLE groups ADD COLUMN delivery_key BLOB NOT NULL DEFAULT (zeroblob(32));
-- GroupPolicy of the epoch that this client is in.
ALTER TABLE groups ADD COLUMN policy BLOB NOT NULL DEFAULT x'';
-- Whether our wish to leave waits for somebody's commit.
ALTER TABLE groups ADD COLUMN leaving INTEGER NOT NULL DEFAULT 0;
-- When this client commits what waits, if nobody else has by then.
ALTER TABLE groups ADD COLUMN commit_after INTEGER;
-- Since when the group has had the ticket.
ALTER TABLE groups ADD COLUMN ticket_since INTEGER NOT NULL DEFAULT 0;

-- Tickets that a group has had or is about to get: something may still come by them.
CREATE TABLE group_tickets (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    grp BLOB NOT NULL,
    ticket_id BLOB NOT NULL,
    UNIQUE (grp, ticket_id)
);
CREATE INDEX group_tickets_by_ticket ON group_tickets (ticket_id);

-- For whom alone a message is: the signature key of a leaf. Kinds of messages: 0 text, 1 the
-- group's name, 2 the group's end, 3 text for one member.
ALTER TABLE messages ADD COLUMN recipient BLOB;

-- What has come of a joiner's state so far.
ALTER TABLE joins ADD COLUMN state BLOB NOT NULL DEFAULT x'';

-- Groups without roles and receipts do not go on: their history stays, what was under way does not.
UPDATE groups SET state = 2;
DELETE FROM jobs WHERE grp IS NOT NULL;
UPDATE messages SET state = 2 WHERE state = 0;
