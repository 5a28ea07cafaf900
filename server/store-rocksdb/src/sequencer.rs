//! Which commits are accepted, in which order. Everything here happens under one short lock.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use store::{Changes, Commit, CommitError, Committed, Found, Head, Partition, Read, Version, View};

use crate::Batch;
use crate::recent::Recent;

/// What the head of a partition takes in a write, its key included.
const HEAD_WRITE_BYTES: usize = 100;

/// What a row takes in a write beyond its key and value.
const ROW_WRITE_BYTES: usize = 8;

/// What a partition becomes once the batch is written.
#[derive(Clone)]
pub(crate) struct Staged {
    pub(crate) head: Head,
    pub(crate) changes: Arc<Changes>,
}

impl Staged {
    /// About what it takes in a write.
    pub(crate) fn bytes(&self) -> usize {
        HEAD_WRITE_BYTES + ROW_WRITE_BYTES * self.changes.count() + self.changes.bytes()
    }
}

/// The accepted commits that are not durable yet, and the heads after them.
pub(crate) struct Sequencer {
    recent: Recent,
    staged: Batch,
    staged_ticket: Arc<Ticket>,
    flying: Arc<Batch>,
    flying_ticket: Arc<Ticket>,
    /// No version up to this one is given again: it may have been seen before its batch failed.
    floor: Version,
    /// How many commits `staged` has merged.
    commits: u64,
    pub(crate) is_closing: bool,
    /// The last write failed, and none has succeeded since.
    pub(crate) has_failed: bool,
}

/// What is known of a commit right after it was sequenced.
pub(crate) enum Verdict {
    Refused(CommitError),
    /// Applied before, and durable.
    Durable(Committed),
    /// Applied once the batch is written.
    Waits(Committed, Arc<Ticket>),
}

pub(crate) enum Sequenced {
    Known(Verdict),
    /// The head must be read from the database first.
    HeadMissing,
}

/// What became of a batch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Durable,
    /// The disk failed while it was written.
    InDoubt,
    NotApplied,
}

/// Where all who have a commit in a batch wait for it.
#[derive(Default)]
pub(crate) struct Ticket {
    outcome: Mutex<Option<Outcome>>,
    resolved: Condvar,
}

impl Sequencer {
    pub(crate) fn new(recent: Recent) -> Self {
        Self {
            recent,
            staged: Batch::default(),
            staged_ticket: Arc::default(),
            flying: Arc::default(),
            flying_ticket: Arc::default(),
            floor: Version::default(),
            commits: 0,
            is_closing: false,
            has_failed: false,
        }
    }

    /// Accept or refuse a commit.
    pub(crate) fn sequence(&mut self, commit: &Commit) -> Sequenced {
        let Some(head) = self.head(&commit.partition) else {
            return Sequenced::HeadMissing;
        };
        if head.remembers(commit.op) {
            let committed = Committed {
                version: head.version,
                is_replay: true,
            };
            return Sequenced::Known(match self.ticket(&commit.partition) {
                Some(ticket) => Verdict::Waits(committed, ticket),
                None => Verdict::Durable(committed),
            });
        }
        if head.version != commit.expected {
            let version = head.version;
            return Sequenced::Known(Verdict::Refused(CommitError::Conflict { version }));
        }
        let head = head.after(commit.op, self.floor);
        self.recent.apply(&commit.partition, head, &commit.changes);
        self.commits += 1;
        match self.staged.get_mut(&commit.partition) {
            Some(staged) => {
                staged.head = head;
                Arc::make_mut(&mut staged.changes).absorb(&commit.changes);
            }
            None => {
                let changes = Arc::clone(&commit.changes);
                self.staged
                    .insert(commit.partition, Staged { head, changes });
            }
        }
        let committed = Committed {
            version: head.version,
            is_replay: false,
        };
        Sequenced::Known(Verdict::Waits(committed, Arc::clone(&self.staged_ticket)))
    }

    /// The head read from the database when `drops` was current, unless a later one is known;
    /// `None` if it may be outdated.
    pub(crate) fn learn(
        &mut self,
        partition: &Partition,
        stored: Head,
        drops: u64,
    ) -> Option<Head> {
        if let Some(head) = self.head(partition) {
            return Some(head);
        }
        if self.recent.drops() != drops {
            return None;
        }
        self.recent.learn_head(partition, stored);
        Some(stored)
    }

    /// The head as last sequenced, if it is known without the database.
    pub(crate) fn head(&mut self, partition: &Partition) -> Option<Head> {
        self.recent.head(partition).or_else(|| {
            let staged = self
                .staged
                .get(partition)
                .or_else(|| self.flying.get(partition))?;
            Some(staged.head)
        })
    }

    /// Take what is staged, to be written, and how many commits it has merged.
    pub(crate) fn take_off(&mut self) -> (Arc<Batch>, u64) {
        self.flying = Arc::new(std::mem::take(&mut self.staged));
        self.flying_ticket = std::mem::take(&mut self.staged_ticket);
        (Arc::clone(&self.flying), std::mem::take(&mut self.commits))
    }

    /// The batch is in the database. Returns whom to tell.
    pub(crate) fn land(&mut self) -> Arc<Ticket> {
        self.flying = Arc::default();
        self.has_failed = false;
        std::mem::take(&mut self.flying_ticket)
    }

    /// The batch could not be written, so what was sequenced on top of it falls too. Returns whom
    /// to tell: those of the batch, then the others.
    pub(crate) fn crash(&mut self) -> [Arc<Ticket>; 2] {
        let batches = [&self.staged, &*self.flying];
        let highest = batches
            .into_iter()
            .flat_map(BTreeMap::values)
            .map(|staged| staged.head.version);
        self.floor = highest.fold(self.floor, Version::max);
        self.staged.clear();
        self.commits = 0;
        self.flying = Arc::default();
        self.recent.clear();
        self.has_failed = true;
        [&mut self.flying_ticket, &mut self.staged_ticket].map(std::mem::take)
    }

    /// Whom to wait for until the last commit of a partition is durable.
    pub(crate) fn ticket(&self, partition: &Partition) -> Option<Arc<Ticket>> {
        if self.staged.contains_key(partition) {
            return Some(Arc::clone(&self.staged_ticket));
        }
        self.flying
            .contains_key(partition)
            .then(|| Arc::clone(&self.flying_ticket))
    }

    /// What the commits under way say about a partition, latest first. Shared, not copied: a commit
    /// that comes while someone reads copies instead.
    pub(crate) fn overlays(&self, partition: &Partition) -> Vec<Arc<Changes>> {
        let staged = [self.staged.get(partition), self.flying.get(partition)];
        staged
            .into_iter()
            .flatten()
            .map(|staged| Arc::clone(&staged.changes))
            .collect()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.staged.is_empty()
    }

    pub(crate) const fn drops(&self) -> u64 {
        self.recent.drops()
    }

    /// The answer to reads, if it is known without the database.
    pub(crate) fn view(&mut self, partition: &Partition, reads: &[Read]) -> Option<View> {
        self.recent.view(partition, reads)
    }

    /// Take note of what was found when `head` was the last one; false if another one is by now.
    pub(crate) fn learn_rows(
        &mut self,
        partition: &Partition,
        head: Head,
        reads: &[Read],
        found: &[Found],
    ) -> bool {
        let is_unchanged = self.head(partition) == Some(head);
        if is_unchanged {
            self.recent.learn_rows(partition, reads, found);
        }
        is_unchanged
    }
}

impl Verdict {
    /// The result of the commit, once it is known.
    pub(crate) fn wait(self) -> Result<Committed, CommitError> {
        match self {
            Self::Refused(error) => Err(error),
            Self::Durable(committed) => Ok(committed),
            Self::Waits(committed, ticket) => ticket.wait().map(|()| committed),
        }
    }
}

impl Ticket {
    /// Tell all who wait.
    pub(crate) fn resolve(&self, outcome: Outcome) {
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        self.resolved.notify_all();
    }

    /// Wait until the batch is durable or has failed.
    pub(crate) fn wait(&self) -> Result<(), CommitError> {
        let outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = self
            .resolved
            .wait_while(outcome, |outcome| outcome.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        match *outcome {
            Some(Outcome::Durable) => Ok(()),
            Some(Outcome::NotApplied) => Err(CommitError::Unavailable),
            Some(Outcome::InDoubt) | None => Err(CommitError::Ambiguous),
        }
    }
}
