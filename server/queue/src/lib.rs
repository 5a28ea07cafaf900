//! The queueing service: queues, tickets, KeyPackages. Spec: queue.md.
//!
//! It knows a person as a queue key, and neither user ids nor groups. What it stores of an item is
//! ciphertext that the queue's owner alone can open.
//!
//! | operation | caller | file |
//! |---|---|---|
//! | `create_queue`, `take_tickets`, `publish_key_packages`, `listen` | the queue's owner | of the same name |
//! | `take_key_package`, `post_entry` | holders of a ticket | of the same name |
//! | `deliver` | the courier: parcels of a delivery service | `deliver.rs` |
//!
//! No clock and no entropy of its own: both are arguments. A transaction touches one queue.

mod append;
mod create_queue;
mod deliver;
mod error;
mod key_package;
mod listen;
mod owner;
mod post_entry;
mod publish_key_packages;
mod tables;
mod take_key_package;
mod take_tickets;
#[cfg(test)]
mod testing;
mod ticket;

use std::fmt;

use protocol::crypto::sealed::SymmetricKey;
use store::{Entropy, OpId, Space, Store};

pub use deliver::{Delivered, Parcel};
pub use error::Error;
pub use listen::{Batch, Listener};

/// The space that holds the service's rows: one partition per queue.
pub const SPACES: &[Space] = &[tables::SPACE];

/// What the operator decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Entries that may wait in one queue.
    pub entries_max: u64,
    /// Bytes of entries that may wait in one queue. An empty queue takes one entry of any length.
    pub bytes_max: u64,
    /// The owner is told when no more KeyPackages than this are left.
    pub key_packages_low: u32,
    /// How much of both quotas what came by one ticket may take, in percent.
    pub ticket_share_percent: u8,
}

/// The service's secrets.
#[derive(Debug)]
pub struct Keys {
    /// Seals tickets. Whoever has it can tell which queue a ticket leads to.
    pub ticket: SymmetricKey,
}

/// The queueing service over a store.
pub struct Queue {
    store: Store,
    policy: Policy,
    keys: Keys,
}

impl Queue {
    /// The service over a store that has [`SPACES`].
    #[must_use]
    pub const fn new(store: Store, policy: Policy, keys: Keys) -> Self {
        Self {
            store,
            policy,
            keys,
        }
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Queue")
    }
}

/// The name of one attempt at a transaction. Repeated requests are recognised by their content.
fn operation(entropy: &dyn Entropy) -> OpId {
    let mut id = [0; 16];
    entropy.fill(&mut id);
    OpId(id)
}
