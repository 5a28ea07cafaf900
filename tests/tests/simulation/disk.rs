//! A disk under the store that can die at any commit, taking the process with it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use store::{
    Backend, Commit, CommitError, Committed, Fault, MemoryBackend, Partition, Read, Snapshot,
    Space, Statistics, StoreError, Version, View,
};

/// A memory backend with a fuse.
#[derive(Debug)]
pub(crate) struct Disk {
    memory: MemoryBackend,
    /// Commits until the process dies, if it is to die.
    fuse: Mutex<Option<u32>>,
    is_dead: AtomicBool,
    /// What happens to the next commit. One at a time: a commit that was applied is never refused
    /// when it is submitted again.
    fault: Mutex<Option<Fault>>,
    /// A lie to be found: the next commit is acknowledged and forgotten.
    forgets: AtomicBool,
}

impl Disk {
    /// What is on a disk when a process starts.
    pub(crate) fn new(memory: MemoryBackend) -> Self {
        Self {
            memory,
            fuse: Mutex::new(None),
            is_dead: AtomicBool::new(false),
            fault: Mutex::new(None),
            forgets: AtomicBool::new(false),
        }
    }

    /// Die after so many more commits.
    pub(crate) fn light_fuse(&self, commits: u32) {
        *self.fuse.lock().unwrap_or_else(PoisonError::into_inner) = Some(commits);
    }

    /// Let nothing more go wrong.
    pub(crate) fn disarm(&self) {
        *self.fuse.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether the process that uses it is dead.
    pub(crate) fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::Relaxed)
    }

    /// Let the next commit go wrong in a way that the store has to cope with.
    pub(crate) fn inject(&self, fault: Fault) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
    }

    /// Let late commits arrive.
    pub(crate) fn deliver_delayed(&self) {
        self.memory.deliver_delayed();
    }

    /// What the next process finds.
    pub(crate) fn after_crash(&self) -> MemoryBackend {
        self.memory.after_crash()
    }

    /// Acknowledge the next commit without making it: durability broken.
    pub(crate) fn forget_one(&self) {
        self.forgets.store(true, Ordering::Relaxed);
    }

    fn gone() -> StoreError {
        StoreError::Io("the process is dead".to_owned())
    }

    /// Whether the process dies with this commit.
    fn burns_down(&self) -> bool {
        let mut fuse = self.fuse.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = *fuse == Some(0);
        *fuse = fuse.and_then(|left| left.checked_sub(1));
        is_over
    }

    fn commit_one(&self, commit: Commit) -> Result<Committed, CommitError> {
        if self.burns_down() {
            self.is_dead.store(true, Ordering::Relaxed);
        }
        if self.is_dead() {
            return Err(CommitError::Failed(Self::gone()));
        }
        if self.forgets.swap(false, Ordering::Relaxed) {
            let version = commit.expected;
            return Ok(Committed {
                version,
                is_replay: false,
            });
        }
        let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fault) = fault.take() {
            self.memory.inject(fault);
        }
        let result = self.memory.commit(vec![commit]).pop();
        result.unwrap_or_else(|| Err(CommitError::Failed(Self::gone())))
    }
}

impl Backend for Disk {
    fn read(&self, partition: &Partition, reads: &[Read]) -> Result<View, StoreError> {
        match self.is_dead() {
            true => Err(Self::gone()),
            false => self.memory.read(partition, reads),
        }
    }

    fn snapshot(&self, partition: &Partition) -> Result<Box<dyn Snapshot + '_>, StoreError> {
        match self.is_dead() {
            true => Err(Self::gone()),
            false => self.memory.snapshot(partition),
        }
    }

    fn commit(&self, commits: Vec<Commit>) -> Vec<Result<Committed, CommitError>> {
        let each = commits.into_iter().map(|commit| self.commit_one(commit));
        each.collect()
    }

    fn settle(&self, partition: &Partition, version: Version) -> Result<(), CommitError> {
        match self.is_dead() {
            true => Err(CommitError::Failed(Self::gone())),
            false => self.memory.settle(partition, version),
        }
    }

    fn sweep(
        &self,
        space: Space,
        table: u8,
        after: Option<Partition>,
        limit: usize,
    ) -> Result<Vec<Partition>, StoreError> {
        self.memory.sweep(space, table, after, limit)
    }

    fn statistics(&self) -> Statistics {
        self.memory.statistics()
    }
}
