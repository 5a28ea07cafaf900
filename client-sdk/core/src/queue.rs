//! The client's own queue: its keys as stored, its tickets, and the operations on it.

mod create_queue;
mod listen;
mod post_entry;
mod publish_key_packages;
mod take_key_package;
mod take_tickets;

use protocol::codec::encode;
use protocol::contact::{FriendshipToken, Ticket};
use protocol::crypto::hpke::OpenKey;
use protocol::crypto::ratchet::Ratchet;
use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::signature::PrivateKey;
use protocol::id::{Domain, QueueId, Seq, TicketId};
use protocol::queue::queue_id;

pub use listen::Received;
pub(crate) use take_key_package::OpenedKeyPackage;

use crate::drive::Next;
use crate::error::Error;
use crate::state::JobState;
use crate::tx::{Tx, stored};

/// The queue as stored.
pub(crate) struct StoredQueue {
    pub(crate) key: PrivateKey,
    pub(crate) open_key: OpenKey,
    pub(crate) ratchet: Ratchet,
    pub(crate) friendship_token: FriendshipToken,
    pub(crate) friendship_key: SymmetricKey,
    pub(crate) created: bool,
    pub(crate) next: Seq,
}

impl StoredQueue {
    pub(crate) fn id(&self) -> QueueId {
        queue_id(&self.key.public_key())
    }
}

impl Tx<'_> {
    pub(crate) fn queue(&self) -> Result<Option<StoredQueue>, Error> {
        let row = self.row(
            "SELECT key, open_seed, ratchet, friendship_token, friendship_key, created, next
             FROM queue",
            [],
            |row| {
                let ratchet: Vec<u8> = row.get(2)?;
                Ok((
                    ratchet,
                    StoredQueue {
                        key: PrivateKey::from_seed(&row.get(0)?),
                        open_key: OpenKey::from_seed(row.get(1)?),
                        ratchet: Ratchet::new(SymmetricKey([0; 32])),
                        friendship_token: FriendshipToken(row.get(3)?),
                        friendship_key: SymmetricKey(row.get(4)?),
                        created: row.get(5)?,
                        next: Seq(row.get(6)?),
                    },
                ))
            },
        )?;
        let Some((ratchet, queue)) = row else {
            return Ok(None);
        };
        Ok(Some(StoredQueue {
            ratchet: stored(&ratchet, "ratchet")?,
            ..queue
        }))
    }

    /// The queue, once the server has it.
    pub(crate) fn created_queue(&self) -> Result<Option<StoredQueue>, Error> {
        Ok(self.queue()?.filter(|queue| queue.created))
    }

    pub(crate) fn save_position(&self, queue: &StoredQueue) -> Result<(), Error> {
        let ratchet = zeroize::Zeroizing::new(encode(&queue.ratchet));
        self.execute(
            "UPDATE queue SET ratchet = ?1, next = ?2",
            (&*ratchet, queue.next.0),
        )?;
        Ok(())
    }

    /// The server that holds our queue.
    pub(crate) fn own_domain(&self) -> Result<Domain, Error> {
        Ok(self.registered()?.user.domain)
    }

    pub(crate) fn free_tickets(&self) -> Result<u64, Error> {
        self.count("SELECT count(*) FROM tickets", [])
    }

    /// A step that waits for queue or tickets, unless there are as many as needed.
    pub(crate) fn wait_for_tickets(&self, needed: u64) -> Result<Option<Next>, Error> {
        if self.created_queue()?.is_none() {
            return Ok(Some(Next::Step(
                self.wait_for_upkeep(&JobState::CreateQueue)?,
            )));
        }
        if self.free_tickets()? < needed {
            return Ok(Some(Next::Step(
                self.wait_for_upkeep(&JobState::TakeTickets)?,
            )));
        }
        Ok(None)
    }

    /// A ticket that nobody has, out of the stock.
    pub(crate) fn pop_ticket(&self) -> Result<(TicketId, Ticket), Error> {
        let row = self.row(
            "DELETE FROM tickets WHERE ticket_id = (SELECT ticket_id FROM tickets LIMIT 1)
             RETURNING ticket_id, ticket",
            [],
            |row| Ok((TicketId(row.get(0)?), Ticket(row.get(1)?))),
        )?;
        row.ok_or(Error::Corrupt("tickets"))
    }
}
