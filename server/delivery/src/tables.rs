//! How the service lays out its data: one partition per group.
//!
//! | table | key | value | sealed by | lifetime |
//! |---|---|---|---|---|
//! | groups | – | [`Group`]: epoch, counters, links | store | with the group |
//! | histories | – | [`History`]: what older requests are recognised by | store | with the group |
//! | sent | leaf, blinded | [`Sent`]: the leaf's last message | store | with the group |
//! | rosters | row number | who is a member, and the ways to them | group state key | one epoch |
//! | states | – | the MLS public group, wrapped link keys | group state key | one epoch |
//! | past | epoch | the state of an epoch that somebody was added to | that epoch's key | policy |
//! | parcels | event, number | [`StoredParcel`] | store | until delivered or expired |
//! | payloads | event, kind | what several parcels of an event carry | store | until the last one is |

use std::fmt;

use protocol::contact::Ticket;
use protocol::crypto::signature::PublicKey;
use protocol::delivery::CommitGroupReply;
use protocol::id::{Domain, Epoch, LeafIndex, LinkId, Seq};
use protocol::time::Timestamp;
use store::{CorruptRecord, Key, KeyWriter, Large, Raw, Record, Space, Table};
use tls_codec::{DeserializeBytes, Serialize, TlsDeserializeBytes, TlsSerialize, TlsSize, VLBytes};

pub(crate) const SPACE: Space = Space::new(3, "groups");

pub(crate) const GROUPS: Table<(), Group> = Table::new(SPACE, 1, "delivery/groups");
pub(crate) const HISTORIES: Table<(), History> = Table::new(SPACE, 2, "delivery/histories");
pub(crate) const SENT: Table<Sender, Sent> = Table::new(SPACE, 3, "delivery/sent");
pub(crate) const ROSTERS: Table<u32, Raw> =
    Table::new(SPACE, 4, "delivery/rosters").client_sealed();
pub(crate) const STATES: Table<(), Large> = Table::new(SPACE, 5, "delivery/states").client_sealed();
pub(crate) const PAST: Table<Epoch, Large> = Table::new(SPACE, 6, "delivery/past").client_sealed();
pub(crate) const PARCELS: Table<(Seq, u32), StoredParcel> =
    Table::new(SPACE, 7, "delivery/parcels");
pub(crate) const PAYLOADS: Table<(Seq, u32), Large> = Table::new(SPACE, 8, "delivery/payloads");

/// The sender of a message, blinded: how often rows change says nothing about who is who.
pub(crate) struct Sender(pub(crate) LeafIndex);

impl Key for Sender {
    fn encode_key(&self, out: &mut KeyWriter<'_>) {
        out.blinded(&self.0.0.to_be_bytes());
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
    /// How many rows the roster takes.
    pub(crate) roster_rows: u32,
    /// Of the last event.
    pub(crate) number: Seq,
    /// Events before this one have no parcels.
    pub(crate) first: Seq,
    /// How many parcels wait.
    pub(crate) waiting: u32,
    pub(crate) links: Vec<Link>,
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
    pub(crate) past: Vec<PastState>,
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
    pub(crate) reply: CommitGroupReply,
}

/// A past state.
#[derive(Clone, Copy, Debug, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct PastState {
    pub(crate) epoch: Epoch,
    pub(crate) key: KeyHash,
    pub(crate) expires: Timestamp,
    pub(crate) bytes: u32,
}

/// The last message of a leaf.
#[derive(Clone, Copy, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct Sent {
    pub(crate) accepted: Accepted,
    pub(crate) number: Seq,
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

records!(Group, History, Sent, StoredParcel);

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
