//! The contract of the store as tests, run against every backend.
//!
//! A backend's own tests call [`run`] with a way to make fresh databases.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a suite of tests"
)]

mod clauses;
mod crash;
mod model;
mod sealing;
mod threads;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::backend::Backend;
use crate::error::StoreError;
use crate::record::Raw;
use crate::sealed::{Entropy, StorageKey};
use crate::space::{OpId, Partition, Space};
use crate::store::Store;
use crate::table::Table;

/// The first space the suite uses.
pub const ALPHA: Space = Space::new(1, "alpha");
/// The second space the suite uses.
pub const BETA: Space = Space::new(2, "beta");

pub(crate) const COUNTERS: Table<(), Raw> = Table::new(ALPHA, 1, "alpha/counters");
pub(crate) const ENTRIES: Table<u64, Raw> = Table::new(ALPHA, 2, "alpha/entries");
pub(crate) const CLIENT_SEALED: Table<u64, Raw> =
    Table::new(ALPHA, 3, "alpha/client_sealed").client_sealed();
pub(crate) const NAMES: Table<Name, Raw> = Table::new(ALPHA, 4, "alpha/names");
pub(crate) const BLOBS: Table<u64, crate::Large> = Table::new(ALPHA, 5, "alpha/blobs");
pub(crate) const OTHERS: Table<u64, Raw> = Table::new(BETA, 2, "beta/others");

/// A database of a backend under test, with the spaces [`ALPHA`] and [`BETA`].
pub trait Fixture {
    /// The open database. The suite drops all it got before it closes the database.
    fn backend(&self) -> Arc<dyn Backend>;

    /// Close the database in good order and open it again.
    fn reopen(self: Box<Self>) -> Box<dyn Fixture>;

    /// Open what a process would find that starts after this one was killed now.
    fn crash(self: Box<Self>) -> Box<dyn Fixture>;

    /// All the bytes the database has on its disk.
    fn stored_bytes(&self) -> Vec<u8>;
}

/// Check every clause of the contract.
///
/// # Panics
/// The backend breaks one.
pub fn run(make: &dyn Fn() -> Box<dyn Fixture>) {
    clauses::run(make);
    sealing::run(make);
    model::run(make);
    threads::run(make);
    crash::run(make);
}

/// A blinded key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name(pub(crate) &'static str);

impl crate::Key for Name {
    fn encode_key(&self, out: &mut crate::KeyWriter<'_>) {
        out.blinded(self.0.as_bytes());
    }
}

/// Repeatable entropy: the hash of a counter.
#[derive(Debug, Default)]
pub struct SeededEntropy(AtomicU64);

impl SeededEntropy {
    /// Entropy that differs from that of other seeds.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed << 40))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(32) {
            let count = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            let digest = ring::digest::digest(&ring::digest::SHA256, &count);
            for (out, byte) in chunk.iter_mut().zip(digest.as_ref()) {
                *out = *byte;
            }
        }
    }
}

/// A store over a backend, always with the same key.
#[must_use]
pub fn store_over(backend: Arc<dyn Backend>) -> Store {
    Store::new(
        backend,
        &StorageKey::from_bytes([7; 32]),
        Arc::new(SeededEntropy::new(1)),
    )
}

pub(crate) fn open(fixture: &dyn Fixture) -> Store {
    store_over(fixture.backend())
}

/// The n-th operation.
#[must_use]
pub fn op(n: u64) -> OpId {
    let mut id = [0xee; 16];
    let (_, last) = id.split_at_mut(8);
    last.copy_from_slice(&n.to_be_bytes());
    OpId(id)
}

/// Add one to the counter of a partition; the new count.
///
/// # Errors
/// The store's.
pub fn increment(store: &Store, partition: &Partition, op: OpId) -> Result<u64, StoreError> {
    store.transact(partition, op, |tx| {
        let count = tx.get(&COUNTERS, &())?.as_ref().map_or(0, number) + 1;
        tx.put(&COUNTERS, &(), &Raw(count.to_be_bytes().to_vec()))?;
        Ok(count)
    })
}

/// The counter of a partition.
///
/// # Errors
/// The store's.
pub fn count(store: &Store, partition: &Partition) -> Result<u64, StoreError> {
    store.view(partition, |tx| {
        Ok(tx.get(&COUNTERS, &())?.as_ref().map_or(0, number))
    })
}

fn number(value: &Raw) -> u64 {
    value.0.first_chunk().copied().map_or(0, u64::from_be_bytes)
}

/// Set the entries of a partition in one commit.
pub(crate) fn put_entries(store: &Store, partition: &Partition, n: u64, keys: &[u64]) {
    let result: Result<(), StoreError> = store.transact(partition, op(n), |tx| {
        keys.iter()
            .try_for_each(|key| tx.put(&ENTRIES, key, &entry(*key)))
    });
    assert_eq!(result, Ok(()));
}

/// The value of an entry.
pub(crate) fn entry(key: u64) -> Raw {
    Raw(format!("entry {key}").into_bytes())
}
