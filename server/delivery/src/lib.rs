//! The delivery service: group state, validation and order of commits, fan-out. Spec: delivery.md.
//!
//! It knows a person as a leaf with a signature key of its own per group, and learns neither user
//! ids nor queues. What a group consists of is stored under a key that only its members hold and
//! that comes with each request; the plaintext lives as long as the request. [DS-STATE-2]
//!
//! Operations: [`Delivery::request_group_id`], [`Delivery::create_group`],
//! [`Delivery::commit_group`], [`Delivery::send_message`], [`Delivery::fetch_welcome_state`],
//! [`Delivery::send_to_member`], [`Delivery::propose`], [`Delivery::fetch_external_state`],
//! [`Delivery::join_group`], [`Delivery::update_ticket`], [`Delivery::delete_group`].
//! What they accept waits in the group's outbox: [`Delivery::pending`], [`Delivery::parcels`],
//! [`Delivery::settle`], [`Delivery::expire`].
//! What is kept of a group's past goes in time: [`Delivery::keeping`], [`Delivery::sweep`].
//!
//! Each operation reads and proves on a view first, outside of any transaction, and then writes in
//! one, on condition that the group is still in the epoch that was seen.

mod announce;
mod commit_group;
mod complain;
mod create_group;
mod delete_group;
mod error;
mod fetch_external_state;
mod fetch_welcome_state;
mod group;
mod join_group;
mod member;
mod message;
mod outbox;
mod propose;
mod removal;
mod request_group_id;
mod send_message;
mod send_to_member;
mod sent;
mod sweep;
mod tables;
#[cfg(test)]
mod tests;
mod update_ticket;

use std::fmt;

use openmls_rust_crypto::RustCrypto;
use protocol::crypto::delivery_credential::DeliveryCredential;
use protocol::crypto::label;
use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::signature::PrivateKey;
use protocol::crypto::signed::Binding;
use protocol::id::{Domain, GroupId, LinkId};
use protocol::receipt::Receipt;
use store::{Entropy, OpId, Partition, Space, Store};

use crate::tables::Group;

pub use crate::error::Error;
pub use crate::outbox::{Outbox, Page, Parcel, ParcelKey};

/// The spaces of the store that the service uses.
pub const SPACES: &[Space] = &[tables::SPACE];

/// What the operator allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Members of a group; at most [`protocol::limit::GROUP_MEMBERS_MAX`].
    pub members_max: u32,
    /// Bytes of a group's roster and MLS state; at most [`STATE_BYTES_MAX`] whatever is set.
    pub state_bytes_max: usize,
    /// How long the state of an epoch is kept for those whom a commit added in it, in seconds.
    pub past_state_seconds: u64,
    /// How long a commit can be undone by complaints, in seconds; 0 for not at all.
    pub undo_seconds: u64,
    /// How many percent of those whom a commit was sent to must complain to undo it.
    pub undo_quorum_percent: u8,
    /// Months without a request after which a member's removal is proposed; 0 for never.
    pub inactive_months: u32,
    /// How long a parcel is tried, in seconds.
    pub parcel_seconds: u64,
    /// Parcels of a group that may wait for delivery.
    pub parcels_max: u32,
}

/// The most bytes of a group's roster and MLS state: when their key changes, all of them and a commit
/// fit one transaction.
pub const STATE_BYTES_MAX: usize = 11 * 512 * 1024;

/// Keys of the service, derived from the operator's storage key, and the credential of one of them.
#[derive(Clone)]
pub struct Keys {
    /// Makes a group's pseudonym towards each destination.
    pub link: SymmetricKey,
    /// Signs receipts and the service's proposals.
    pub signing: PrivateKey,
    /// Of the signing key, by the domain's intermediate.
    pub credential: DeliveryCredential,
}

/// The delivery service of one domain.
pub struct Delivery {
    store: Store,
    domain: Domain,
    policy: Policy,
    keys: Keys,
    crypto: RustCrypto,
}

impl Delivery {
    /// The service over a store that has [`SPACES`].
    #[must_use]
    pub fn new(store: Store, domain: Domain, policy: Policy, keys: Keys) -> Self {
        Self {
            store,
            domain,
            policy,
            keys,
            crypto: RustCrypto::default(),
        }
    }

    fn partition(&self, group: &GroupId) -> Partition {
        self.store.partition(tables::SPACE, &group.0)
    }

    /// The group's pseudonym towards a destination: it reveals neither. [DS-OUTBOX-1]
    fn link(&self, group: &GroupId, destination: &Domain) -> LinkId {
        let place = [group.0.as_slice(), destination.as_str().as_bytes()].concat();
        let derived = self.keys.link.derive(label::LINK_ID, &place);
        let mut link = LinkId([0; 16]);
        link.0
            .iter_mut()
            .zip(derived.0)
            .for_each(|(out, byte)| *out = byte);
        link
    }

    /// The receipt of a group's last event. [DS-RECEIPT-1]
    fn receipt(&self, id: GroupId, group: &Group) -> Receipt {
        Receipt::sign(&self.keys.signing, id, group.number, group.chain)
    }

    /// A signature made for another domain's server says nothing here.
    fn check_domain(&self, binding: &Binding) -> Result<(), Error> {
        if binding.domain == self.domain {
            Ok(())
        } else {
            Err(Error::Denied)
        }
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Delivery({})", self.domain)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(..)")
    }
}

/// A fresh operation id. That a request is applied once is for its hash to see to, which outlives
/// the ids that the store remembers.
fn operation(entropy: &dyn Entropy) -> OpId {
    let mut op = OpId([0; 16]);
    entropy.fill(&mut op.0);
    op
}

/// A random nonce.
fn nonce(entropy: &dyn Entropy) -> [u8; 12] {
    let mut nonce = [0; 12];
    entropy.fill(&mut nonce);
    nonce
}
