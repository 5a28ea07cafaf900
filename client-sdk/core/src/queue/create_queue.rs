//! create_queue - spec/queue.md#create_queue

use protocol::codec::encode;
use protocol::crypto::hpke::OpenKey;
use protocol::crypto::ratchet::Ratchet;
use protocol::crypto::sealed::SymmetricKey;
use protocol::queue::{CreateQueue, CreateQueueReply};
use zeroize::Zeroizing;

use crate::drive::{Next, success};
use crate::error::Error;
use crate::job::{Outcome, Step};
use crate::outgoing::{Isolation, Outgoing};
use crate::queue::StoredQueue;
use crate::tx::Tx;

impl Tx<'_> {
    /// Keys are made and stored before the request: sent again, it is the same.
    pub(crate) fn next_create_queue(&self) -> Result<Next, Error> {
        let queue = match self.queue()? {
            Some(queue) if queue.created => return Ok(Next::Done(Outcome::Kept)),
            Some(queue) => queue,
            None => self.start_queue()?,
        };
        let seal_key = queue.open_key.seal_key().map_err(|_| Error::Crypto)?;
        let body = CreateQueue {
            public_key: queue.key.public_key(),
            seal_key,
            ratchet_seed: self.ratchet_seed()?,
            friendship_token_hash: queue.friendship_token.hash(),
        };
        let domain = self.own_domain()?;
        Ok(Next::Step(Step::Send(Outgoing::signed(
            body,
            queue.key,
            domain,
            Isolation::Queue,
        ))))
    }

    pub(crate) fn answered_create_queue(&self, payload: &[u8]) -> Result<Next, Error> {
        let reply: CreateQueueReply = success(payload)?;
        let queue = self.queue()?.ok_or(Error::NotExpected)?;
        if reply.queue != queue.id() {
            return Err(Error::BadReply);
        }
        self.execute("UPDATE queue SET created = 1", [])?;
        Ok(Next::Done(Outcome::Kept))
    }

    fn start_queue(&self) -> Result<StoredQueue, Error> {
        let (key, open_seed) = (Zeroizing::new(self.random::<32>()?), self.random::<32>()?);
        let ratchet = Zeroizing::new(encode(&Ratchet::new(SymmetricKey(self.random()?))));
        self.execute(
            "INSERT INTO queue (one, key, open_seed, ratchet, friendship_token, friendship_key)
             VALUES (1, ?1, ?2, ?3, ?4, ?5)",
            (
                *key,
                *OpenKey::from_seed(open_seed).seed(),
                &*ratchet,
                *Zeroizing::new(self.random::<32>()?),
                *Zeroizing::new(self.random::<32>()?),
            ),
        )?;
        self.queue()?.ok_or(Error::Corrupt("queue"))
    }

    /// Where the ratchet starts: what is stored until the first entry has come.
    fn ratchet_seed(&self) -> Result<SymmetricKey, Error> {
        let bytes = self.row("SELECT ratchet FROM queue", [], |row| {
            row.get::<_, [u8; 32]>(0)
        })?;
        bytes.map(SymmetricKey).ok_or(Error::Corrupt("ratchet"))
    }
}
