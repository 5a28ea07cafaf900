//! How queues are laid out: one partition per queue. Nothing else knows.
//!
//! | table | key | value | lifetime |
//! |---|---|---|---|
//! | `registrations` | | owner's key, seal key, friendship token's hash | the queue's |
//! | `tails` | | ratchet, first and next place, usage, tickets used last | the queue's; written with each item |
//! | `entries` | place, chunk | a part of an encoded `Entry`, sealed by the ratchet | until acknowledged |
//! | `tickets` | ticket id | what came by it, unless it was used lately: usage, last place on each link | the queue's |
//! | `stocks` | | which KeyPackages are left | the queue's |
//! | `key_packages` | number | a KeyPackage | until handed out or replaced |
//! | `last_resorts` | | the KeyPackage of last resort | until replaced |

use protocol::codec::{decode_exact, encode};
use protocol::crypto::hpke::SealKey;
use protocol::crypto::ratchet::Ratchet;
use protocol::crypto::signature::PublicKey;
use protocol::id::{LinkId, Seq, TicketId};
use protocol::queue::PublishedKeyPackage;
use protocol::time::Timestamp;
use store::{CorruptRecord, Record, Space, Table, VALUE_BYTES_MAX};
use tls_codec::{DeserializeBytes, Serialize, TlsDeserializeBytes, TlsSerialize, TlsSize};

pub(crate) const SPACE: Space = Space::new(4, "queues");

pub(crate) const REGISTRATIONS: Table<(), Registration> =
    Table::new(SPACE, 1, "queue/registrations");
pub(crate) const TAILS: Table<(), Tail> = Table::new(SPACE, 2, "queue/tails");
pub(crate) const ENTRIES: Table<(Seq, u32), Chunk> =
    Table::new(SPACE, 3, "queue/entries").client_sealed();
pub(crate) const TICKETS: Table<TicketId, TicketUse> = Table::new(SPACE, 4, "queue/tickets");
pub(crate) const STOCKS: Table<(), Stock> = Table::new(SPACE, 5, "queue/stocks");
pub(crate) const KEY_PACKAGES: Table<u32, Package> = Table::new(SPACE, 6, "queue/key_packages");
pub(crate) const LAST_RESORTS: Table<(), Package> = Table::new(SPACE, 7, "queue/last_resorts");

/// The version of every record's encoding.
const FORMAT: u8 = 1;

/// How a queue was created.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct Registration {
    /// The hash of the request, by which it is recognised when it comes again.
    pub(crate) request: [u8; 32],
    pub(crate) public_key: PublicKey,
    pub(crate) seal_key: SealKey,
    pub(crate) friendship_token_hash: [u8; 32],
}

/// Where a queue grows. Small, because every item rewrites it.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct Tail {
    pub(crate) ratchet: Ratchet,
    /// The first place that is not acknowledged.
    pub(crate) first: Seq,
    /// The place of the next entry.
    pub(crate) next: Seq,
    /// Bytes of all entries before `first`, since the beginning.
    pub(crate) bytes_first: u64,
    /// Bytes of all entries before `next`, since the beginning.
    pub(crate) bytes_next: u64,
    /// How many tickets have been used.
    pub(crate) tickets: u32,
    /// The tickets used last, the very last in front; the others are rows of `tickets`. Most items
    /// come by one of them, and cost no row of their own.
    pub(crate) recent: Vec<RecentTicket>,
}

/// A ticket used lately.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct RecentTicket {
    pub(crate) ticket: TicketId,
    pub(crate) usage: TicketUse,
}

/// A part of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Bytes of all entries before this one, since the beginning of the queue.
    pub(crate) bytes_before: u64,
    /// No more chunks follow in this entry.
    pub(crate) is_last: bool,
    /// A part of the encoded entry.
    pub(crate) bytes: Vec<u8>,
}

impl Chunk {
    const HEADER_BYTES: usize = 10;
    /// The most bytes of an entry in one chunk.
    pub(crate) const BYTES_MAX: usize = VALUE_BYTES_MAX - Self::HEADER_BYTES;
}

/// What one ticket has brought.
#[derive(Clone, Debug, Default, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct TicketUse {
    pub(crate) older: Share,
    pub(crate) newer: Share,
    /// The links it was used on, the one used last in front.
    pub(crate) links: Vec<LinkPlace>,
}

/// Entries that came by a ticket.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes,
)]
pub(crate) struct Share {
    /// The place behind the last of them.
    pub(crate) end: Seq,
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
}

/// The last parcel of a link that a queue has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct LinkPlace {
    pub(crate) link: LinkId,
    pub(crate) last: Seq,
}

/// Which KeyPackages are left: those from `first` to just before `end`.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct Stock {
    /// The hash of the publication, by which it is recognised when it comes again.
    pub(crate) publication: [u8; 32],
    pub(crate) first: u32,
    pub(crate) end: u32,
}

/// A validated KeyPackage.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct Package {
    /// The last second in which it may be handed out.
    pub(crate) not_after: Timestamp,
    pub(crate) published: PublishedKeyPackage,
}

macro_rules! records {
    ($($record:ident),*) => {$(
        impl Record for $record {
            fn encode(&self) -> Vec<u8> {
                encode_versioned(self)
            }

            fn decode(bytes: &[u8]) -> Result<Self, CorruptRecord> {
                decode_versioned(bytes)
            }
        }
    )*};
}

records!(Registration, Tail, TicketUse, Stock, Package);

fn encode_versioned<T: Serialize>(record: &T) -> Vec<u8> {
    [[FORMAT].as_slice(), &encode(record)].concat()
}

fn decode_versioned<T: DeserializeBytes>(bytes: &[u8]) -> Result<T, CorruptRecord> {
    match bytes.split_first() {
        Some((&FORMAT, record)) => decode_exact(record).map_err(|_| CorruptRecord),
        Some(_) | None => Err(CorruptRecord),
    }
}

impl Record for Chunk {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::HEADER_BYTES + self.bytes.len());
        out.extend_from_slice(&[FORMAT, u8::from(self.is_last)]);
        out.extend_from_slice(&self.bytes_before.to_be_bytes());
        out.extend_from_slice(&self.bytes);
        out
    }

    fn decode(bytes: &[u8]) -> Result<Self, CorruptRecord> {
        let (&[format, is_last], rest) = bytes.split_first_chunk().ok_or(CorruptRecord)?;
        let (bytes_before, rest) = rest.split_first_chunk().ok_or(CorruptRecord)?;
        if format != FORMAT || is_last > 1 {
            return Err(CorruptRecord);
        }
        let bytes_before = u64::from_be_bytes(*bytes_before);
        Ok(Self {
            bytes_before,
            is_last: is_last == 1,
            bytes: rest.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use protocol::crypto::sealed::SymmetricKey;

    use super::*;

    fn survives<R: Record + PartialEq + std::fmt::Debug>(record: &R) {
        let bytes = record.encode();
        assert_eq!(R::decode(&bytes).as_ref(), Ok(record));
        assert!(R::decode(&[&bytes, [0].as_slice()].concat()).as_ref() != Ok(record));
        assert!(R::decode(&[&[9], bytes.get(1..).unwrap()].concat()).is_err());
    }

    proptest! {
        #[test]
        fn records_survive_encoding(numbers: [u64; 4], small: [u32; 2], key: [u8; 32], bytes: Vec<u8>, is_last: bool) {
            survives(&Registration {
                request: key,
                public_key: PublicKey(key),
                seal_key: SealKey(key),
                friendship_token_hash: key,
            });
            survives(&Chunk { bytes_before: numbers[0], is_last, bytes });
            let share = Share { end: Seq(numbers[0]), entries: numbers[1], bytes: numbers[2] };
            let mut link = LinkId([0; 16]);
            link.0.copy_from_slice(&key[..16]);
            let links = vec![LinkPlace { link, last: Seq(numbers[3]) }; 3];
            let usage = TicketUse { older: share, newer: Share::default(), links };
            survives(&usage);
            let recent = RecentTicket { ticket: TicketId(link.0), usage };
            survives(&Tail {
                ratchet: Ratchet::new(SymmetricKey(key)),
                first: Seq(numbers[0]),
                next: Seq(numbers[1]),
                bytes_first: numbers[2],
                bytes_next: numbers[3],
                tickets: small[0],
                recent: vec![recent; 2],
            });
            survives(&Stock { publication: key, first: small[0], end: small[1] });
        }

        #[test]
        fn decoding_never_panics(mut bytes: Vec<u8>) {
            for first in [None, Some(FORMAT)] {
                if let (Some(first), Some(byte)) = (first, bytes.first_mut()) {
                    *byte = first;
                }
                drop(Registration::decode(&bytes));
                drop(Tail::decode(&bytes));
                drop(Chunk::decode(&bytes));
                drop(TicketUse::decode(&bytes));
                drop(Stock::decode(&bytes));
                drop(Package::decode(&bytes));
            }
        }
    }
}
