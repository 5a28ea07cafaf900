//! The store on RocksDB: one machine, group commit, one disk write for all that wait.
//!
//! ```text
//!  commit ──check, sequence──► staged ──swap──► flying ──one batch, fsync──► database
//!             (short lock)        ▲                ▲                            ▲
//!  transaction reads ── recent ───┴────────────────┴────────────────────────────┤
//!  views ────────────────────────────────────────────────────────── snapshot ───┘
//! ```
//!
//! While one batch flies, the next collects; the lock is never held across a disk write. One column
//! family per space. Row key: table id, partition id, key. Table 0 holds the heads of partitions.

mod committer;
mod database;
mod options;
mod recent;
mod sequencer;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use store::{
    Backend, Commit, CommitError, Committed, Head, Partition, Read, Snapshot, Space, Statistics,
    StoreError, Version, View,
};

use crate::committer::Shared;
use crate::database::{Database, RocksSnapshot, Source};
use crate::recent::Recent;
use crate::sequencer::{Sequenced, Staged, Verdict};

pub use crate::options::RocksOptions;

/// How often a read starts over because the partition changed under it.
const READ_ATTEMPTS_MAX: usize = 64;

/// A RocksDB database, open in this process alone.
pub struct RocksBackend {
    shared: Arc<Shared>,
    committer: Option<JoinHandle<()>>,
}

impl RocksBackend {
    /// Open the database in a directory, or create it.
    ///
    /// # Errors
    /// `Locked` if another process has it open, `UnknownFormat` if another version of this program
    /// wrote it, `Io` with the database's reason otherwise.
    pub fn open(path: &Path, spaces: &[Space], options: RocksOptions) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared::new(
            Database::open(path, spaces, options)?,
            Recent::new(options.row_cache_bytes),
        ));
        let worker = Arc::clone(&shared);
        let committer = std::thread::Builder::new()
            .name("store-committer".to_owned())
            .spawn(move || worker.run())
            .map_err(|error| StoreError::Io(error.to_string()))?;
        Ok(Self {
            shared,
            committer: Some(committer),
        })
    }

    /// The head of a partition as last sequenced.
    fn head(&self, partition: &Partition) -> Result<Head, StoreError> {
        for _ in 0..READ_ATTEMPTS_MAX {
            let drops = {
                let mut sequencer = self.shared.lock();
                if let Some(head) = sequencer.head(partition) {
                    return Ok(head);
                }
                sequencer.drops()
            };
            let stored = self.shared.database.head(partition, &Source::Latest)?;
            if let Some(head) = self.shared.lock().learn(partition, stored, drops) {
                return Ok(head);
            }
        }
        Err(StoreError::Conflict)
    }

    /// Read once; `None` if the partition changed meanwhile.
    fn try_read(&self, partition: &Partition, reads: &[Read]) -> Result<Option<View>, StoreError> {
        if let Some(view) = self.shared.lock().view(partition, reads) {
            return Ok(Some(view));
        }
        let head = self.head(partition)?;
        if reads.is_empty() {
            let found = Vec::new();
            return Ok(Some(View { head, found }));
        }
        let layers = self.shared.lock().overlays(partition);
        let database = &self.shared.database;
        let found = database.find(partition, reads, &layers, &Source::Latest)?;
        let mut sequencer = self.shared.lock();
        let is_unchanged = sequencer.learn_rows(partition, head, reads, &found);
        Ok(is_unchanged.then_some(View { head, found }))
    }
}

impl Backend for RocksBackend {
    fn read(&self, partition: &Partition, reads: &[Read]) -> Result<View, StoreError> {
        for _ in 0..READ_ATTEMPTS_MAX {
            if let Some(view) = self.try_read(partition, reads)? {
                return Ok(view);
            }
        }
        Err(StoreError::Conflict)
    }

    fn snapshot(&self, partition: &Partition) -> Result<Box<dyn Snapshot + '_>, StoreError> {
        Ok(Box::new(RocksSnapshot::new(
            &self.shared.database,
            *partition,
        )?))
    }

    fn commit(&self, commits: Vec<Commit>) -> Vec<Result<Committed, CommitError>> {
        let mut verdicts: Vec<Option<Verdict>> = commits.iter().map(|_| None).collect();
        for _ in 0..READ_ATTEMPTS_MAX {
            let mut missing = Vec::new();
            {
                let mut sequencer = self.shared.lock();
                let open = commits
                    .iter()
                    .zip(&mut verdicts)
                    .filter(|(_, verdict)| verdict.is_none());
                for (commit, verdict) in open {
                    match sequencer.sequence(commit) {
                        Sequenced::Known(known) => *verdict = Some(known),
                        // A later commit of the same partition finds its head missing too.
                        Sequenced::HeadMissing => missing.push(commit.partition),
                    }
                }
            }
            self.shared.wake_committer();
            if missing.is_empty() {
                break;
            }
            for partition in missing {
                // A failure shows when the head is still missing in the end.
                drop(self.head(&partition));
            }
        }
        verdicts
            .into_iter()
            .map(|verdict| verdict.map_or(Err(CommitError::Unavailable), Verdict::wait))
            .collect()
    }

    fn settle(&self, partition: &Partition, version: Version) -> Result<(), CommitError> {
        let current = self.head(partition).map_err(CommitError::Failed)?.version;
        if current != version {
            return Err(CommitError::Conflict { version: current });
        }
        let ticket = self.shared.lock().ticket(partition);
        ticket.map_or(Ok(()), |ticket| ticket.wait())
    }

    fn sweep(
        &self,
        space: Space,
        table: u8,
        after: Option<Partition>,
        limit: usize,
    ) -> Result<Vec<Partition>, StoreError> {
        self.shared.database.sweep(space, table, after, limit)
    }

    fn statistics(&self) -> Statistics {
        let counters = &self.shared.counters;
        Statistics {
            commits: counters.commits.load(Ordering::Relaxed),
            batches: counters.batches.load(Ordering::Relaxed),
            bytes_written: counters.bytes.load(Ordering::Relaxed),
            bytes_stored: self.shared.database.bytes_stored(),
        }
    }
}

impl Drop for RocksBackend {
    fn drop(&mut self) {
        self.shared.close();
        if let Some(committer) = self.committer.take() {
            // A committer that panics ends the process.
            drop(committer.join());
        }
        self.shared.database.flush();
    }
}

impl fmt::Debug for RocksBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RocksBackend")
    }
}

/// What goes to the disk together, in the order it is written.
type Batch = BTreeMap<Partition, Staged>;
