-- Tickets of groups that are over for us, or of a Welcome that came too late: what still comes by
-- them is of those groups.
CREATE TABLE overtaken (
    ticket_id BLOB PRIMARY KEY,
    until INTEGER NOT NULL          -- nothing is under way for longer
) WITHOUT ROWID;
