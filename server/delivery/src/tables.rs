//! How the service lays out its data: one partition per group.
//!
//! | table | key | value | sealed by | lifetime |
//! |---|---|---|---|---|
//! | groups | – | [`Group`]: epoch, counters, links | store | with the group |
//! | histories | – | [`History`]: what older requests are recognised by | store | with the group |
//! | sent | leaf, blinded | [`Sent`]: the leaf's last message | store | with the group |
//! | pages | edition, number | pieces of roster and state, and lists of them | data key | while a kept state needs it |
//! | wraps | edition | [`Wraps`]: the data key that began with it | store, state keys | while a kept state needs it |
//! | superseded | edition | [`Superseded`]: pages in use up to it | store | while a kept state needs one |
//! | complaints | commit, leaf (blinded) | a complaint | store | while the commit can be undone |
//! | gone | – | [`Gone`]: tickets that led to no queue | store | until their members are to go |
//! | parcels | shipment, number | [`StoredParcel`] | store | until delivered or expired |
//! | payloads | shipment, kind | what several parcels of a shipment carry | store | until the last one is |

use std::fmt;

use protocol::contact::Ticket;
use protocol::crypto::signature::PublicKey;
use protocol::delivery::{Complaint, ProofVerdict};
use protocol::id::{Domain, Epoch, LeafIndex, LinkId, Seq};
use protocol::receipt::{ChainHash, ContentDigest, Receipt};
use protocol::time::Timestamp;
use store::{CorruptRecord, Key, KeyWriter, Large, Raw, Record, Space, Table};
use tls_codec::{DeserializeBytes, Serialize, TlsDeserializeBytes, TlsSerialize, TlsSize, VLBytes};

pub(crate) const SPACE: Space = Space::new(3, "groups");

pub(crate) const GROUPS: Table<(), Group> = Table::new(SPACE, 1, "delivery/groups");
pub(crate) const HISTORIES: Table<(), History> = Table::new(SPACE, 2, "delivery/histories");
pub(crate) const SENT: Table<Sender, Sent> = Table::new(SPACE, 3, "delivery/sent");
pub(crate) const PAGES: Table<PageId, Raw> = Table::new(SPACE, 4, "delivery/pages").client_sealed();
pub(crate) const WRAPS: Table<Edition, Wraps> = Table::new(SPACE, 5, "delivery/wraps");
pub(crate) const SUPERSEDED: Table<Edition, Superseded> =
    Table::new(SPACE, 6, "delivery/superseded");
pub(crate) const GONE: Table<(), Gone> = Table::new(SPACE, 10, "delivery/gone");
pub(crate) const PARCELS: Table<(Seq, u32), StoredParcel> =
    Table::new(SPACE, 7, "delivery/parcels");
pub(crate) const PAYLOADS: Table<(Seq, u32), Large> = Table::new(SPACE, 8, "delivery/payloads");
pub(crate) const COMPLAINTS: Table<ComplaintKey, StoredComplaint> =
    Table::new(SPACE, 9, "delivery/complaints");

/// The sender of a request, blinded: how often rows change says nothing about who is who.
pub(crate) enum Sender {
    /// The member at a leaf.
    Leaf(LeafIndex),
    /// Before all of them.
    First,
    /// After all of them: no blinded key is that high.
    End,
}

impl Key for Sender {
    fn encode_key(&self, out: &mut KeyWriter<'_>) {
        match self {
            Self::Leaf(leaf) => out.blinded(&leaf.0.to_be_bytes()),
            Self::First => {}
            Self::End => out.ordered_u64(u64::MAX),
        }
    }
}

/// A state of a group's parts: each change makes the next one. It never goes back, so that no two
/// pages have one name.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, TlsSize, TlsSerialize, TlsDeserializeBytes,
)]
pub(crate) struct Edition(pub(crate) u64);

impl Edition {
    pub(crate) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl Key for Edition {
    fn encode_key(&self, out: &mut KeyWriter<'_>) {
        out.ordered_u64(self.0);
    }
}

/// A page, by the edition that it was written in.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, TlsSize, TlsSerialize, TlsDeserializeBytes,
)]
pub(crate) struct PageId {
    pub(crate) edition: Edition,
    pub(crate) index: u32,
}

impl PageId {
    /// Before all pages of an edition.
    pub(crate) const fn first(edition: Edition) -> Self {
        Self { edition, index: 0 }
    }
}

impl Key for PageId {
    fn encode_key(&self, out: &mut KeyWriter<'_>) {
        out.ordered_u64(self.edition.0);
        out.ordered_u32(self.index);
    }
}

/// A member's complaint about a commit; the member blinded.
pub(crate) struct ComplaintKey {
    commit: Seq,
    leaf: Option<LeafIndex>,
}

impl ComplaintKey {
    pub(crate) const fn new(commit: Seq, leaf: LeafIndex) -> Self {
        Self {
            commit,
            leaf: Some(leaf),
        }
    }

    /// Before all complaints about a commit.
    pub(crate) const fn first(commit: Seq) -> Self {
        Self { commit, leaf: None }
    }
}

impl Key for ComplaintKey {
    fn encode_key(&self, out: &mut KeyWriter<'_>) {
        out.ordered_u64(self.commit.0);
        if let Some(leaf) = self.leaf {
            out.blinded(&leaf.0.to_be_bytes());
        }
    }
}

/// What an epoch's group state key is recognised by.
#[derive(Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct KeyHash(pub(crate) [u8; 16]);

/// What a repeated request is recognised by.
#[derive(Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct RequestHash(pub(crate) [u8; 32]);

/// What every request to a group needs.
#[derive(Clone, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct Group {
    pub(crate) epoch: Epoch,
    /// Of the epoch's group state key.
    pub(crate) key: KeyHash,
    /// Where the parts are.
    pub(crate) root: Root,
    /// Of the last event.
    pub(crate) number: Seq,
    /// All events up to that one.
    pub(crate) chain: ChainHash,
    /// Of the last letters that were put into the outbox.
    pub(crate) shipment: Seq,
    /// Shipments before this one have no parcels.
    pub(crate) first: Seq,
    /// How many parcels wait.
    pub(crate) waiting: u32,
    pub(crate) links: Vec<Link>,
    /// The request that deleted the group, while its members are being told.
    pub(crate) deleted: Option<Sent>,
}

/// Where the parts of a state are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct Root {
    /// Which state it is.
    pub(crate) edition: Edition,
    /// When the roster was last written.
    pub(crate) roster: Edition,
    /// When the MLS state was.
    pub(crate) state: Edition,
    /// When the data key began.
    pub(crate) data: Edition,
    /// Commits under the data key.
    pub(crate) commits: u32,
}

/// The next place on the link to one destination.
#[derive(Clone, Copy, Debug, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct Link {
    pub(crate) id: LinkId,
    pub(crate) next: Seq,
}

/// What requests of earlier epochs are recognised by.
#[derive(Clone, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct History {
    pub(crate) created: Accepted,
    pub(crate) committed: Option<Committed>,
    /// Of earlier epochs, oldest first.
    pub(crate) keys: Vec<KeyHash>,
    /// Until when the present state is kept for those added by the commit that led to it.
    pub(crate) joinable: Option<Timestamp>,
    /// Which past states are kept, oldest first.
    pub(crate) kept: Vec<Kept>,
    /// Nothing is kept under data keys that began before.
    pub(crate) floor: Edition,
    /// Superseded pages are to be looked at from here on.
    pub(crate) sweep_from: Option<Edition>,
    /// The last commit that was undone.
    pub(crate) reverted: Option<Reverted>,
}

/// A request that was accepted, and the key that signed it.
#[derive(Clone, Copy, Debug, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct Accepted {
    pub(crate) request: RequestHash,
    pub(crate) key: PublicKey,
}

/// The last commit that was accepted.
#[derive(Clone, Copy, Debug, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct Committed {
    pub(crate) accepted: Accepted,
    /// The epoch that it led to.
    pub(crate) epoch: Epoch,
    /// The committer's leaf there.
    pub(crate) leaf: LeafIndex,
    pub(crate) receipt: Receipt,
    /// Of the proof that it carried.
    pub(crate) proof: ProofVerdict,
}

/// A past state: that of an epoch just before the commit that ended it.
#[derive(Clone, Copy, Debug, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct Kept {
    pub(crate) epoch: Epoch,
    pub(crate) key: KeyHash,
    pub(crate) root: Root,
    /// Until when it is kept for those added by the commit that led to it.
    pub(crate) joinable: Option<Timestamp>,
    /// What is needed to undo the commit that ended it.
    pub(crate) undo: Option<Undo>,
}

/// A commit that can be undone.
#[derive(Clone, Copy, Debug, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct Undo {
    /// Its number.
    pub(crate) commit: Seq,
    /// The chain with it.
    pub(crate) chain: ChainHash,
    /// What it says, for those who show it.
    pub(crate) content: ContentDigest,
    /// The key that signed it.
    pub(crate) committer: PublicKey,
    /// How many it was sent to.
    pub(crate) recipients: u32,
    /// How many have complained.
    pub(crate) complaints: u32,
    pub(crate) expires: Timestamp,
}

/// A commit that was undone, for those who repeat the complaint that undid it.
#[derive(Clone, Copy, Debug, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct Reverted {
    pub(crate) commit: Seq,
    pub(crate) complaints: u32,
    pub(crate) quorum: u32,
}

/// A data key, for the members of each epoch since it began.
#[derive(Clone, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct Wraps {
    pub(crate) wraps: Vec<Wrap>,
    /// For the members of the epochs before, while a commit of theirs can be undone.
    pub(crate) before: Option<Before>,
}

/// A data key under the one before it.
#[derive(Clone, Debug, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct Before {
    /// When that one began.
    pub(crate) data: Edition,
    pub(crate) wrap: Wrap,
}

/// A data key under the state key of an epoch, or under another data key.
#[derive(Clone, Debug, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct Wrap {
    pub(crate) epoch: Epoch,
    /// What that key is recognised by.
    pub(crate) key: KeyHash,
    pub(crate) sealed: VLBytes,
}

/// Pages that are in use no more.
#[derive(Clone, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct Superseded {
    pub(crate) pages: Vec<PageId>,
}

/// A complaint as the member signed it.
#[derive(Clone, Copy, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct StoredComplaint {
    pub(crate) complaint: Complaint,
}

/// The last message of a leaf.
#[derive(Clone, Copy, Debug, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct Sent {
    pub(crate) accepted: Accepted,
    pub(crate) receipt: Receipt,
}

/// Tickets of parcels that led to no queue.
#[derive(Clone, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct Gone {
    pub(crate) tickets: Vec<Ticket>,
}

/// A parcel that waits for delivery.
#[derive(Clone, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct StoredParcel {
    pub(crate) domain: Domain,
    pub(crate) link: LinkId,
    pub(crate) seq: Seq,
    /// The day after which nobody tries any more.
    pub(crate) expires: Timestamp,
    pub(crate) tickets: Vec<Ticket>,
    pub(crate) payload: StoredPayload,
}

/// An encoded `Payload`, in its only parcel or in a row of its own.
#[derive(Clone, TlsSize, TlsSerialize, TlsDeserializeBytes)]
#[repr(u8)]
pub(crate) enum StoredPayload {
    #[tls_codec(discriminant = 1)]
    Inline(VLBytes),
    /// The kind in the key of `payloads`.
    #[tls_codec(discriminant = 2)]
    Shared(u32),
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(..)")
    }
}

impl fmt::Debug for RequestHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestHash(..)")
    }
}

/// The version of the encoding of every record here.
const FORMAT: u8 = 1;

macro_rules! records {
    ($($name:ident),*) => {$(
        impl Record for $name {
            fn encode(&self) -> Vec<u8> {
                encode_record(self)
            }

            fn decode(bytes: &[u8]) -> Result<Self, CorruptRecord> {
                decode_record(bytes)
            }
        }
    )*};
}

records!(
    Gone,
    Group,
    History,
    Sent,
    StoredComplaint,
    StoredParcel,
    Superseded,
    Wraps
);

fn encode_record<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + value.tls_serialized_len());
    bytes.push(FORMAT);
    #[expect(
        clippy::expect_used,
        reason = "memory accepts every write; lengths are bounded"
    )]
    value
        .tls_serialize(&mut bytes)
        .expect("encoding into memory succeeds");
    bytes
}

fn decode_record<T: DeserializeBytes>(bytes: &[u8]) -> Result<T, CorruptRecord> {
    let (format, content) = bytes.split_first().ok_or(CorruptRecord)?;
    if *format != FORMAT {
        return Err(CorruptRecord);
    }
    protocol::codec::decode_exact(content).map_err(|_| CorruptRecord)
}
