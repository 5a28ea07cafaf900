//! What a database must do to carry the store. It sees sealed values and blinded keys only.

use std::fmt::Debug;
use std::sync::Arc;

use crate::changes::Changes;
use crate::error::StoreError;
use crate::head::Head;
use crate::row_key::RowKey;
use crate::space::{OpId, Partition, Space, Version};

/// A database under the store; keeps the contract of the crate's root.
///
/// Bodies of transactions read what is *sequenced*: all commits accepted so far, even those still
/// on their way to the disk, so that commits on a busy partition do not wait for each other's disk
/// write. Views read a [`Snapshot`] of what is *durable*.
pub trait Backend: Send + Sync + Debug {
    /// Rows of one partition as last sequenced, as one consistent view.
    ///
    /// # Errors
    /// The database failed, or the partition changes too fast for a consistent view.
    fn read(&self, partition: &Partition, reads: &[Read]) -> Result<View, StoreError>;

    /// One partition as it is durable at this moment.
    ///
    /// # Errors
    /// The database failed.
    fn snapshot(&self, partition: &Partition) -> Result<Box<dyn Snapshot + '_>, StoreError>;

    /// Apply each commit whose condition holds, independently of the others; return once all that
    /// was applied is durable. One result per commit, in order.
    fn commit(&self, commits: Vec<Commit>) -> Vec<Result<Committed, CommitError>>;

    /// Return once `version` is durable, if it is still the last one sequenced.
    ///
    /// # Errors
    /// `Conflict` if it is not the last one; otherwise as for a commit.
    fn settle(&self, partition: &Partition, version: Version) -> Result<(), CommitError>;

    /// Partitions that have a row in a table, in the order of their blinded ids. Durable rows only.
    ///
    /// # Errors
    /// The database failed.
    fn sweep(
        &self,
        space: Space,
        table: u8,
        after: Option<Partition>,
        limit: usize,
    ) -> Result<Vec<Partition>, StoreError>;

    /// How much was written so far, and is stored.
    fn statistics(&self) -> Statistics;
}

/// A partition at one moment.
pub trait Snapshot {
    /// Its version and last operations.
    fn head(&self) -> Head;

    /// Rows of it.
    ///
    /// # Errors
    /// The database failed.
    fn read(&self, reads: &[Read]) -> Result<Vec<Found>, StoreError>;
}

/// A stored row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its full key.
    pub key: RowKey,
    /// Its value as stored.
    pub value: Vec<u8>,
}

/// What to read of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// One row.
    Row(RowKey),
    /// Rows in key order.
    Range {
        /// The first key.
        from: RowKey,
        /// The key to stop before.
        to: RowKey,
        /// The most rows to return.
        rows: usize,
        /// Return no row after the one with which keys and values reach so many bytes.
        bytes: usize,
    },
}

/// The answer to one [`Read`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The value of the row, if there is one.
    Row(Option<Vec<u8>>),
    /// The rows of the range.
    Range(Vec<Row>),
}

/// The answers to several reads at one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The head at the moment of the reads.
    pub head: Head,
    /// One answer per read, in order.
    pub found: Vec<Found>,
}

/// Changes to one partition, on condition of its version. Cheap to clone, to be repeated when in
/// doubt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The partition.
    pub partition: Partition,
    /// The operation; if the partition remembers it, nothing is applied.
    pub op: OpId,
    /// The version that was read; if the partition has another one, nothing is applied.
    pub expected: Version,
    /// What to change.
    pub changes: Arc<Changes>,
}

/// A commit that is applied and durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The version of the partition.
    pub version: Version,
    /// It had been applied before.
    pub is_replay: bool,
}

/// Why a commit is not known to be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitError {
    /// Not applied: the partition has another version.
    Conflict {
        /// The version it has.
        version: Version,
    },
    /// Unknown: submit the same commit again, never a new one.
    Ambiguous,
    /// Not applied: the database refuses writes at present.
    Unavailable,
    /// Not applied: above what the database can hold in one commit.
    TooLarge,
    /// Not applied: the database failed.
    Failed(StoreError),
}

/// Figures for the operator; approximate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Commits applied since the start.
    pub commits: u64,
    /// Disk writes they took.
    pub batches: u64,
    /// Bytes of keys and values written since the start, before compression and compaction.
    pub bytes_written: u64,
    /// Bytes the database takes on the disk.
    pub bytes_stored: u64,
}
