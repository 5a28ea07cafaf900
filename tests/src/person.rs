//! A queue's owner, as far as load needs one.

use std::time::Duration;

use protocol::contact::{FriendshipToken, QualifiedTicket, Ticket};
use protocol::crypto::hpke::OpenKey;
use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::signature::PrivateKey;
use protocol::id::{Domain, QueueId, Seq};
use protocol::limit::RATCHET_REFRESH_ENTRIES;
use protocol::queue::{CreateQueue, Listen, TakeTickets};

use crate::connection::{Connection, Failure};

/// A queue and its key.
#[derive(Debug)]
pub struct Person {
    key: PrivateKey,
    queue: QueueId,
}

impl Person {
    /// Create a queue.
    pub async fn new(connection: &Connection) -> Result<Self, Failure> {
        let key = PrivateKey::from_seed(&rand::random());
        let reply = connection
            .signed(
                CreateQueue {
                    public_key: key.public_key(),
                    seal_key: OpenKey::from_seed(rand::random()).seal_key()?,
                    ratchet_seed: SymmetricKey(rand::random()),
                    friendship_token_hash: FriendshipToken(rand::random()).hash(),
                },
                &key,
            )
            .await?;
        Ok(Self {
            key,
            queue: reply.queue,
        })
    }

    /// The queue.
    #[must_use]
    pub fn queue(&self) -> QueueId {
        self.queue
    }

    /// The queue's key.
    #[must_use]
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// One fresh ticket into the queue.
    pub async fn ticket(&self, connection: &Connection) -> Result<Ticket, Failure> {
        let request = TakeTickets {
            queue: self.queue,
            count: 1,
        };
        let reply = connection.signed(request, &self.key).await?;
        reply
            .tickets
            .first()
            .copied()
            .ok_or_else(|| "no ticket was given".into())
    }

    /// The same, with the domain.
    pub async fn qualified_ticket(
        &self,
        connection: &Connection,
        domain: &Domain,
    ) -> Result<QualifiedTicket, Failure> {
        Ok(QualifiedTicket {
            domain: domain.clone(),
            ticket: self.ticket(connection).await?,
        })
    }

    /// Listen from the beginning.
    pub async fn listen(
        &self,
        connection: &Connection,
    ) -> Result<(quinn::SendStream, quinn::RecvStream), Failure> {
        let request = Listen {
            queue: self.queue,
            from: Seq(0),
        };
        Ok(connection.listen_reply(request, &self.key).await?.1)
    }

    /// Wait until `items` items and the refreshes between them have arrived, without
    /// acknowledging any: the reply to `listen` says how long the queue is.
    pub async fn wait_for(&self, connection: &Connection, items: usize) -> Result<(), Failure> {
        let refreshes = items.div_ceil(usize::try_from(RATCHET_REFRESH_ENTRIES)?);
        loop {
            let request = Listen {
                queue: self.queue,
                from: Seq(0),
            };
            let (reply, streams) = connection.listen_reply(request, &self.key).await?;
            drop(streams);
            if usize::try_from(reply.next.0)? >= items + refreshes {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}
