//! take_tickets - spec/queue.md#take_tickets

use protocol::limit::TICKETS_MAX;
use protocol::queue::{TakeTickets, TakeTicketsReply};

use crate::drive::{Next, success};
use crate::error::Error;
use crate::job::{Outcome, Step};
use crate::outgoing::{Isolation, Outgoing};
use crate::state::JobState;
use crate::tx::Tx;

impl Tx<'_> {
    pub(crate) fn next_take_tickets(&self) -> Result<Next, Error> {
        let Some(queue) = self.created_queue()? else {
            return Ok(Next::Step(self.wait_for_upkeep(&JobState::CreateQueue)?));
        };
        let body = TakeTickets {
            queue: queue.id(),
            count: TICKETS_MAX,
        };
        let domain = self.own_domain()?;
        Ok(Next::Step(Step::Send(Outgoing::signed(
            body,
            queue.key,
            domain,
            Isolation::Queue,
        ))))
    }

    pub(crate) fn answered_take_tickets(&self, payload: &[u8]) -> Result<Next, Error> {
        let reply: TakeTicketsReply = success(payload)?;
        let count = reply.ids.len();
        if count == 0 || count != reply.tickets.len() || count > usize::from(TICKETS_MAX) {
            return Err(Error::BadReply);
        }
        for (id, ticket) in reply.ids.iter().zip(&reply.tickets) {
            self.execute(
                "INSERT OR IGNORE INTO tickets VALUES (?1, ?2)",
                (id.0, ticket.0),
            )?;
        }
        Ok(Next::Done(Outcome::Kept))
    }
}
