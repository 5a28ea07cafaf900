//! What still comes for a group that is over for this client. [SDK-LATE-1]

use std::time::Duration;

use protocol::id::{GroupId, TicketId};

use crate::error::Error;
use crate::tx::Tx;

/// Nothing is under way for longer: a delivery service gives parcels up after a week unless its
/// operator wants otherwise.
const LATE: Duration = Duration::from_secs(30 * 86_400);

impl Tx<'_> {
    /// The group is over: what comes by its tickets is of no interest any more.
    pub(crate) fn overtake(&self, group: &GroupId) -> Result<(), Error> {
        self.execute(
            "INSERT OR REPLACE INTO overtaken SELECT ticket_id, ?2 FROM groups WHERE id = ?1
             UNION SELECT ticket_id, ?2 FROM group_tickets WHERE grp = ?1",
            (group.0, self.now.after(LATE).0),
        )?;
        Ok(())
    }

    /// The group that was to be entered by this ticket is over.
    pub(crate) fn overtake_ticket(&self, ticket: TicketId) -> Result<(), Error> {
        self.execute(
            "INSERT OR REPLACE INTO overtaken VALUES (?1, ?2)",
            (ticket.0, self.now.after(LATE).0),
        )?;
        Ok(())
    }

    /// Whether what comes by a ticket may be of a group that is over.
    pub(crate) fn is_overtaken(&self, ticket: TicketId) -> Result<bool, Error> {
        let sql = "SELECT count(*) FROM overtaken WHERE ticket_id = ?1";
        Ok(self.count(sql, [ticket.0])? > 0)
    }

    /// Forget what nothing can come by any more.
    pub(crate) fn forget_overtaken(&self) -> Result<(), Error> {
        self.execute("DELETE FROM overtaken WHERE until < ?1", [self.now.0])?;
        Ok(())
    }
}
