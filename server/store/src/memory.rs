//! The reference backend: rows in memory, and faults on demand.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::backend::{
    Backend, Commit, CommitError, Committed, Found, Read, Row, Snapshot, Statistics, View,
};
use crate::changes::Changes;
use crate::error::StoreError;
use crate::head::Head;
use crate::row_key::RowKey;
use crate::space::{Partition, Space, Version};

/// What happens to the next commit instead of the ordinary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is refused as if another one had come first.
    Conflict,
    /// It is refused as if the disk were full.
    Unavailable,
    /// It is applied and the answer lost.
    AmbiguousApplied,
    /// It is lost.
    AmbiguousLost,
    /// It is under way, and arrives when [`MemoryBackend::deliver_delayed`] says so.
    AmbiguousDelayed,
}

/// A database in memory. What is committed counts as durable.
#[derive(Default)]
pub struct MemoryBackend {
    state: Mutex<State>,
}

#[derive(Clone, Default)]
struct State {
    partitions: BTreeMap<Partition, Arc<Contents>>,
    statistics: Statistics,
    faults: VecDeque<Fault>,
    delayed: Vec<Commit>,
    refuses_writes: bool,
}

#[derive(Clone, Default)]
struct Contents {
    head: Head,
    rows: BTreeMap<RowKey, Vec<u8>>,
}

impl MemoryBackend {
    /// An empty database.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Let the next commit that has no fault yet go wrong.
    pub fn inject(&self, fault: Fault) {
        self.lock().faults.push_back(fault);
    }

    /// Refuse all commits, as on a full disk, or stop doing so.
    pub fn refuse_writes(&self, refuses: bool) {
        self.lock().refuses_writes = refuses;
    }

    /// Let the delayed commits arrive.
    pub fn deliver_delayed(&self) {
        let mut state = self.lock();
        for commit in std::mem::take(&mut state.delayed) {
            // Whether it still applies is nobody's business any more.
            drop(state.apply(&commit));
        }
    }

    /// The database a process finds that starts after this one was killed: what was committed, and
    /// nothing that was delayed.
    #[must_use]
    pub fn after_crash(&self) -> Self {
        let State {
            partitions,
            statistics,
            ..
        } = self.lock().clone();
        let state = State {
            partitions,
            statistics,
            ..State::default()
        };
        Self {
            state: Mutex::new(state),
        }
    }

    /// All rows as stored, for tests that look for what must not be there.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let row = |(key, value): (&RowKey, &Vec<u8>)| Row {
            key: key.clone(),
            value: value.clone(),
        };
        self.lock()
            .partitions
            .values()
            .flat_map(|contents| contents.rows.iter().map(row))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend for MemoryBackend {
    fn read(&self, partition: &Partition, reads: &[Read]) -> Result<View, StoreError> {
        let contents = self.lock().contents(partition);
        Ok(View {
            head: contents.head,
            found: contents.find(reads),
        })
    }

    fn snapshot(&self, partition: &Partition) -> Result<Box<dyn Snapshot + '_>, StoreError> {
        Ok(Box::new(self.lock().contents(partition)))
    }

    fn commit(&self, commits: Vec<Commit>) -> Vec<Result<Committed, CommitError>> {
        let mut state = self.lock();
        state.statistics.batches += 1;
        commits
            .into_iter()
            .map(|commit| state.commit(commit))
            .collect()
    }

    fn settle(&self, partition: &Partition, version: Version) -> Result<(), CommitError> {
        let current = self.lock().contents(partition).head.version;
        if current == version {
            Ok(())
        } else {
            Err(CommitError::Conflict { version: current })
        }
    }

    fn sweep(
        &self,
        space: Space,
        table: u8,
        after: Option<Partition>,
        limit: usize,
    ) -> Result<Vec<Partition>, StoreError> {
        let state = self.lock();
        let has_row = |(partition, contents): &(&Partition, &Arc<Contents>)| {
            partition.space() == space
                && after.is_none_or(|after| after < **partition)
                && contents.rows.keys().any(|key| key.table() == table)
        };
        let partitions = state.partitions.iter().filter(has_row);
        Ok(partitions
            .map(|(partition, _)| *partition)
            .take(limit)
            .collect())
    }

    fn statistics(&self) -> Statistics {
        self.lock().statistics
    }
}

impl fmt::Debug for MemoryBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryBackend")
    }
}

impl State {
    fn contents(&self, partition: &Partition) -> Arc<Contents> {
        self.partitions.get(partition).cloned().unwrap_or_default()
    }

    fn commit(&mut self, commit: Commit) -> Result<Committed, CommitError> {
        if self.refuses_writes {
            return Err(CommitError::Unavailable);
        }
        match self.faults.pop_front() {
            None => self.apply(&commit),
            Some(Fault::Conflict) => Err(CommitError::Conflict {
                version: commit.expected,
            }),
            Some(Fault::Unavailable) => Err(CommitError::Unavailable),
            Some(Fault::AmbiguousApplied) => {
                self.apply(&commit)?;
                Err(CommitError::Ambiguous)
            }
            Some(Fault::AmbiguousLost) => Err(CommitError::Ambiguous),
            Some(Fault::AmbiguousDelayed) => {
                self.delayed.push(commit);
                Err(CommitError::Ambiguous)
            }
        }
    }

    fn apply(&mut self, commit: &Commit) -> Result<Committed, CommitError> {
        let contents = Arc::make_mut(self.partitions.entry(commit.partition).or_default());
        let version = contents.head.version;
        if contents.head.remembers(commit.op) {
            return Ok(Committed {
                version,
                is_replay: true,
            });
        }
        if version != commit.expected {
            return Err(CommitError::Conflict { version });
        }
        contents.head = contents.head.after(commit.op, Version::default());
        contents.change(&commit.changes);
        self.statistics.commits += 1;
        self.statistics.bytes_written += commit.changes.bytes() as u64;
        Ok(Committed {
            version: contents.head.version,
            is_replay: false,
        })
    }
}

impl Contents {
    fn change(&mut self, changes: &Changes) {
        for (from, to) in changes.cleared() {
            self.rows.retain(|key, _| key < from || key >= to);
        }
        for (key, value) in changes.rows() {
            match value {
                Some(value) => drop(self.rows.insert(key.clone(), value.clone())),
                None => drop(self.rows.remove(key)),
            }
        }
    }

    fn find(&self, reads: &[Read]) -> Vec<Found> {
        reads.iter().map(|read| self.find_one(read)).collect()
    }

    fn find_one(&self, read: &Read) -> Found {
        let (from, to, limit, bytes_max) = match read {
            Read::Row(key) => return Found::Row(self.rows.get(key).cloned()),
            Read::Range {
                from,
                to,
                rows,
                bytes,
            } => (from, to, *rows, *bytes),
        };
        let mut bytes = 0;
        let mut found = Vec::new();
        for (key, value) in self.rows.range::<RowKey, _>(from..to.max(from)).take(limit) {
            bytes += key.as_ref().len() + value.len();
            found.push(Row {
                key: key.clone(),
                value: value.clone(),
            });
            if bytes >= bytes_max {
                break;
            }
        }
        Found::Range(found)
    }
}

impl Snapshot for Arc<Contents> {
    fn head(&self) -> Head {
        self.head
    }

    fn read(&self, reads: &[Read]) -> Result<Vec<Found>, StoreError> {
        Ok(self.find(reads))
    }
}

#[cfg(test)]
mod tests;
