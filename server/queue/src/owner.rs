//! The capability over one queue: made from a signature under the queue's key, and in no other way.

use std::fmt;

use protocol::crypto::signature::PublicKey;
use protocol::crypto::signed::{Binding, Signed};
use protocol::id::QueueId;
use protocol::queue::{Listen, PublishKeyPackages, TakeTickets};
use protocol::request::Operation;
use store::{Partition, Store};

use crate::error::Error;
use crate::tables::{REGISTRATIONS, SPACE};

/// A key that verifies nothing of ours: the base point. A queue that does not exist takes as long
/// to refuse as a wrong signature. [QS-OWNER-2]
const NOBODY: PublicKey = {
    let mut point = [0x66; 32];
    point[0] = 0x58;
    PublicKey(point)
};

/// A request about a queue of the sender's own.
pub(crate) trait Owned: Operation {
    /// The queue.
    fn queue(&self) -> QueueId;
}

macro_rules! owned {
    ($($request:ident),*) => {$(
        impl Owned for $request {
            fn queue(&self) -> QueueId {
                self.queue
            }
        }
    )*};
}

owned!(TakeTickets, PublishKeyPackages, Listen);

/// The holder of a queue's key.
pub(crate) struct Owner {
    queue: QueueId,
    partition: Partition,
}

impl Owner {
    /// Check that the queue's key signed the request. [QS-OWNER-1]
    ///
    /// # Errors
    /// `Denied` if it did not or there is no such queue; or the store's.
    pub(crate) fn verify<T: Owned>(
        store: &Store,
        request: Signed<T>,
        binding: &Binding,
    ) -> Result<(Self, T), Error> {
        let queue = request.unverified().queue();
        let partition = store.partition(SPACE, &queue.0);
        let registration =
            store.view::<_, Error>(&partition, |tx| Ok(tx.get(&REGISTRATIONS, &())?))?;
        let key = registration
            .as_ref()
            .map_or(NOBODY, |registration| registration.public_key);
        let request = request.verify(&key, binding)?;
        match registration {
            Some(_) => Ok((Self { queue, partition }, request)),
            None => Err(Error::Denied),
        }
    }

    pub(crate) const fn queue(&self) -> QueueId {
        self.queue
    }

    pub(crate) const fn partition(&self) -> &Partition {
        &self.partition
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Owner(..)")
    }
}
