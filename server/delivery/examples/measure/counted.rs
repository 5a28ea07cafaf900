//! A backend that counts the bytes of rows that are read from it and written to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use store::{
    Backend, Commit, CommitError, Committed, Found, Head, Partition, Read, Snapshot, Space,
    Statistics, StoreError, Version, View,
};

/// Histories, pages, wraps and superseded, as numbered in the service's `tables.rs`.
const STATE_TABLES: [u8; 4] = [2, 4, 5, 6];

/// Counts what passes to and from another backend.
#[derive(Debug)]
pub(crate) struct Counted {
    inner: Arc<dyn Backend>,
    read: AtomicU64,
    written: AtomicU64,
    /// Of these, what is written of the state: pages, and what says where they are.
    state: AtomicU64,
}

/// Bytes that passed so far.
#[derive(Clone, Copy, Default)]
pub(crate) struct Bytes {
    pub(crate) read: u64,
    pub(crate) written: u64,
    pub(crate) state: u64,
    /// Handed to the system to write, by the whole process.
    pub(crate) system: u64,
}

impl Counted {
    pub(crate) fn new(inner: Arc<dyn Backend>) -> Self {
        Self {
            inner,
            read: AtomicU64::new(0),
            written: AtomicU64::new(0),
            state: AtomicU64::new(0),
        }
    }

    pub(crate) fn bytes(&self) -> Bytes {
        Bytes {
            read: self.read.load(Ordering::Relaxed),
            written: self.written.load(Ordering::Relaxed),
            state: self.state.load(Ordering::Relaxed),
            system: system(),
        }
    }
}

/// From `/proc/self/io`.
fn system() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    let written = io.lines().find_map(|line| line.strip_prefix("wchar: "));
    written.unwrap().parse().unwrap()
}

/// A snapshot that counts.
struct CountedSnapshot<'a> {
    inner: Box<dyn Snapshot + 'a>,
    read: &'a AtomicU64,
}

fn bytes(found: &[Found]) -> u64 {
    let of = |found: &Found| match found {
        Found::Row(value) => value.as_ref().map_or(0, Vec::len),
        Found::Range(rows) => rows.iter().map(|row| row.value.len()).sum(),
    };
    found.iter().map(of).sum::<usize>() as u64
}

impl Snapshot for CountedSnapshot<'_> {
    fn head(&self) -> Head {
        self.inner.head()
    }

    fn read(&self, reads: &[Read]) -> Result<Vec<Found>, StoreError> {
        let found = self.inner.read(reads)?;
        self.read.fetch_add(bytes(&found), Ordering::Relaxed);
        Ok(found)
    }
}

impl Backend for Counted {
    fn read(&self, partition: &Partition, reads: &[Read]) -> Result<View, StoreError> {
        let view = self.inner.read(partition, reads)?;
        self.read.fetch_add(bytes(&view.found), Ordering::Relaxed);
        Ok(view)
    }

    fn snapshot(&self, partition: &Partition) -> Result<Box<dyn Snapshot + '_>, StoreError> {
        let inner = self.inner.snapshot(partition)?;
        let read = &self.read;
        Ok(Box::new(CountedSnapshot { inner, read }))
    }

    fn commit(&self, commits: Vec<Commit>) -> Vec<Result<Committed, CommitError>> {
        for (key, value) in commits.iter().flat_map(|commit| commit.changes.rows()) {
            let bytes = (key.as_ref().len() + value.map_or(0, Vec::len)) as u64;
            self.written.fetch_add(bytes, Ordering::Relaxed);
            if STATE_TABLES.contains(&key.table()) {
                self.state.fetch_add(bytes, Ordering::Relaxed);
            }
        }
        self.inner.commit(commits)
    }

    fn settle(&self, partition: &Partition, version: Version) -> Result<(), CommitError> {
        self.inner.settle(partition, version)
    }

    fn sweep(
        &self,
        space: Space,
        table: u8,
        after: Option<Partition>,
        limit: usize,
    ) -> Result<Vec<Partition>, StoreError> {
        self.inner.sweep(space, table, after, limit)
    }

    fn statistics(&self) -> Statistics {
        self.inner.statistics()
    }
}
