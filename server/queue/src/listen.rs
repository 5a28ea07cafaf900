//! listen — spec/queue.md#listen

use std::fmt;

use protocol::crypto::signed::{Binding, Signed};
use protocol::id::{QueueId, Seq};
use protocol::limit::{ENTRY_BYTES_MAX, LISTEN_BATCH_BYTES, LISTEN_BATCH_ENTRIES};
use protocol::queue::{Listen, ListenReply};
use store::{Entropy, KeySuffix, ScanLimit, Tx};
use tls_codec::vlen::write_length;

use crate::error::Error;
use crate::owner::Owner;
use crate::tables::{Chunk, ENTRIES, STOCKS, TAILS};
use crate::{Queue, operation};

/// The number of `ListenEvent::Entries` on the wire.
const ENTRIES_EVENT: u8 = 1;

/// The capability to read and acknowledge one queue, for as long as its stream is open.
pub struct Listener {
    owner: Owner,
}

impl Listener {
    /// The queue, to be woken by.
    #[must_use]
    pub const fn queue(&self) -> QueueId {
        self.owner.queue()
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener(..)")
    }
}

/// Entries in order, as a frame's payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// An encoded `ListenEvent::Entries`.
    pub event: Vec<u8>,
    /// The place behind the last entry of the batch: where the next batch begins.
    pub next: Seq,
    /// There was nothing to read.
    pub is_empty: bool,
}

impl Queue {
    /// Begin to listen: everything before `from` is acknowledged. [QS-LISTEN-1]
    ///
    /// # Errors
    /// `Denied` if the sender does not own the queue, `Rewound` if `from` lies beyond its end; or
    /// the store's.
    pub fn listen(
        &self,
        request: Signed<Listen>,
        binding: &Binding,
        entropy: &dyn Entropy,
    ) -> Result<(Listener, ListenReply), Error> {
        let (owner, request) = Owner::verify(&self.store, request, binding)?;
        let reply = self
            .store
            .transact(owner.partition(), operation(entropy), |tx| {
                let next = acknowledge(tx, request.from)?;
                Ok::<_, Error>(ListenReply {
                    next,
                    key_packages_left: packages_left(tx)?,
                })
            })?;
        Ok((Listener { owner }, reply))
    }

    /// The oldest entries from `from` on, at most [`LISTEN_BATCH_ENTRIES`] and
    /// [`LISTEN_BATCH_BYTES`], but at least one if there is one.
    ///
    /// # Errors
    /// The store's.
    pub fn entries(&self, listener: &Listener, from: Seq) -> Result<Batch, Error> {
        self.store.view(listener.owner.partition(), |tx| {
            let tail = tx.get(&TAILS, &())?.ok_or(Error::Denied)?;
            let from = from.max(tail.first);
            let mut collected = Collected::new(from);
            if from < tail.next {
                let limit = ScanLimit {
                    rows: LISTEN_BATCH_ENTRIES,
                    bytes: LISTEN_BATCH_BYTES,
                };
                collected = Collected::from_rows(from, scan(tx, from, tail.next, limit)?);
                if collected.next == from {
                    // One entry is longer than a whole batch.
                    let limit = ScanLimit {
                        bytes: 2 * ENTRY_BYTES_MAX,
                        ..limit
                    };
                    collected = Collected::from_rows(from, scan(tx, from, from.next(), limit)?);
                }
                if collected.next == from {
                    return Err(store::StoreError::Corrupt {
                        table: ENTRIES.name(),
                    }
                    .into());
                }
            }
            Ok(collected.into_batch(from))
        })
    }

    /// Delete everything before `next`. Repeating it is harmless. [QS-LISTEN-3]
    ///
    /// # Errors
    /// `Rewound` if `next` lies beyond the end of the queue; or the store's.
    pub fn ack(&self, listener: &Listener, next: Seq, entropy: &dyn Entropy) -> Result<(), Error> {
        self.store
            .transact(listener.owner.partition(), operation(entropy), |tx| {
                acknowledge(tx, next).map(|_| ())
            })
    }

    /// How many KeyPackages are left besides the last resort.
    ///
    /// # Errors
    /// The store's.
    pub fn key_packages_left(&self, listener: &Listener) -> Result<u32, Error> {
        self.store.view(listener.owner.partition(), packages_left)
    }
}

/// Delete everything before `from`; gives the place of the next entry. [QS-LISTEN-2]
fn acknowledge(tx: &mut Tx<'_>, from: Seq) -> Result<Seq, Error> {
    let mut tail = tx.get(&TAILS, &())?.ok_or(Error::Denied)?;
    if from > tail.next {
        return Err(Error::Rewound);
    }
    if from > tail.first {
        let corrupt = || store::StoreError::Corrupt {
            table: ENTRIES.name(),
        };
        tail.bytes_first = if from == tail.next {
            tail.bytes_next
        } else {
            tx.get(&ENTRIES, &(from, 0))?
                .ok_or_else(corrupt)?
                .bytes_before
        };
        tx.delete_range(&ENTRIES, &(tail.first, 0), &(from, 0))?;
        tail.first = from;
        tx.put(&TAILS, &(), &tail)?;
    }
    Ok(tail.next)
}

fn packages_left(tx: &Tx<'_>) -> Result<u32, Error> {
    let stock = tx.get(&STOCKS, &())?;
    Ok(stock.map_or(0, |stock| stock.left()))
}

type Rows = Vec<(KeySuffix, Chunk)>;

fn scan(tx: &Tx<'_>, from: Seq, to: Seq, limit: ScanLimit) -> Result<Rows, Error> {
    Ok(tx.scan(&ENTRIES, &(from, 0), &(to, 0), limit)?)
}

/// Whole entries, encoded as they go on the wire. What is stored is copied, never encoded again.
struct Collected {
    numbered: Vec<u8>,
    next: Seq,
}

impl Collected {
    const fn new(from: Seq) -> Self {
        Self {
            numbered: Vec::new(),
            next: from,
        }
    }

    /// All entries whose chunks are complete.
    fn from_rows(from: Seq, rows: Rows) -> Self {
        let mut collected = Self::new(from);
        let bytes: usize = rows.iter().map(|(_, chunk)| chunk.bytes.len() + 8).sum();
        collected.numbered.reserve(bytes);
        let mut whole = 0;
        for (key, chunk) in rows {
            if key.first_ordered_u64() != Some(collected.next.0) {
                break;
            }
            if collected.numbered.len() == whole {
                collected
                    .numbered
                    .extend_from_slice(&collected.next.0.to_be_bytes());
            }
            collected.numbered.extend_from_slice(&chunk.bytes);
            if chunk.is_last {
                whole = collected.numbered.len();
                collected.next = collected.next.next();
            }
        }
        collected.numbered.truncate(whole);
        collected
    }

    /// `uint8 kind = 1; NumberedEntry entries<V>;`
    fn into_batch(self, from: Seq) -> Batch {
        let mut event = Vec::with_capacity(self.numbered.len() + 9);
        event.push(ENTRIES_EVENT);
        #[expect(clippy::expect_used, reason = "a batch is far below 2^30 bytes")]
        write_length(&mut event, self.numbered.len())
            .expect("the length of a batch is encoded into memory");
        event.extend_from_slice(&self.numbered);
        Batch {
            event,
            next: self.next,
            is_empty: self.next == from,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Person, Reader, World, binding};

    fn filled(count: u64) -> (World, Person) {
        let world = World::new();
        let (person, ticket, _) = world.person(1);
        for seq in 0..count {
            world.deliver(seq, &[ticket], &[1; 100]);
        }
        (world, person)
    }

    /// [QS-OWNER-1]
    #[test]
    fn nobody_listens_to_a_queue_of_others_or_on_another_connection() {
        let (world, person) = filled(1);
        let before = world.rows();
        let request = Listen {
            queue: person.queue(),
            from: Seq(2),
        };
        let attempts = [(&person.key, 2), (&Person::new(2).key, 1)];
        for (key, exporter) in attempts {
            let request = Signed::new(request, key, &binding(exporter));
            let denied = world.queue.listen(request, &binding(1), &world.entropy);
            assert_eq!(denied.unwrap_err(), Error::Denied);
        }
        assert_eq!(world.rows(), before);
    }

    #[test]
    fn batches_are_bounded_and_go_on_where_the_last_ended() {
        let (world, person) = filled(2_500);
        let (listener, reply) = world.listen(&person, 0).unwrap();
        assert_eq!(
            reply,
            ListenReply {
                next: Seq(2_510),
                key_packages_left: 0
            }
        );
        let batch = world.queue.entries(&listener, Seq(0)).unwrap();
        assert!(batch.event.len() <= LISTEN_BATCH_BYTES + LISTEN_BATCH_ENTRIES * 8);
        assert!(batch.next.0 <= LISTEN_BATCH_ENTRIES as u64 && batch.next.0 > 500);
        assert_eq!(world.read(&mut Reader::new(&person)).len(), 2_500);
        assert!(world.queue.entries(&listener, Seq(2_510)).unwrap().is_empty);
    }

    #[test]
    fn what_is_acknowledged_is_deleted_and_never_read_again() {
        let (world, person) = filled(10);
        let (listener, _) = world.listen(&person, 0).unwrap();
        let rows = world.rows().len();
        for next in [4, 4, 2] {
            world
                .queue
                .ack(&listener, Seq(next), &world.entropy)
                .unwrap();
            assert_eq!(world.rows().len(), rows - 4);
        }
        let batch = world.queue.entries(&listener, Seq(0)).unwrap();
        assert_eq!(batch.next, Seq(11));
        assert_eq!(batch, world.queue.entries(&listener, Seq(4)).unwrap());
        world.listen(&person, 11).unwrap();
        assert!(world.queue.entries(&listener, Seq(0)).unwrap().is_empty);
        assert_eq!(world.rows().len(), rows - 11);
    }

    /// [QS-LISTEN-2]
    #[test]
    fn a_place_beyond_the_end_means_that_the_server_was_rewound() {
        let (world, person) = filled(3);
        let before = world.rows();
        assert_eq!(world.listen(&person, 5).unwrap_err(), Error::Rewound);
        let (listener, _) = world.listen(&person, 0).unwrap();
        assert_eq!(
            world.queue.ack(&listener, Seq(5), &world.entropy),
            Err(Error::Rewound)
        );
        assert_eq!(world.rows(), before);
    }

    #[test]
    fn the_usage_of_a_queue_is_exact_after_each_acknowledgement() {
        let (world, person) = filled(20);
        let (listener, _) = world.listen(&person, 0).unwrap();
        let waiting = || {
            let partition = listener.owner.partition();
            let tail = world
                .queue
                .store
                .view::<_, Error>(partition, |tx| Ok(tx.get(&TAILS, &())?));
            let tail = tail.unwrap().unwrap();
            tail.bytes_next - tail.bytes_first
        };
        for next in 0..=21 {
            world
                .queue
                .ack(&listener, Seq(next), &world.entropy)
                .unwrap();
            let batch = world.queue.entries(&listener, Seq(next)).unwrap();
            let entries = batch.next.0 - next;
            let header = if entries == 0 {
                2
            } else if batch.event.len() < 16_384 {
                3
            } else {
                5
            };
            let lengths = batch.event.len() as u64 - header.min(batch.event.len() as u64);
            assert_eq!(waiting(), lengths - entries * 8);
        }
    }
}
