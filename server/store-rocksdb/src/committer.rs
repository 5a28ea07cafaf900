//! The one thread that writes: each turn, all that has been staged meanwhile, in one batch that is
//! ordered by key and synced once. [STORE-BATCH-1]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::Batch;
use crate::database::Database;
use crate::recent::Recent;
use crate::sequencer::{Outcome, Sequencer};

/// What the committer shares with those who wait for it.
pub(crate) struct Shared {
    pub(crate) database: Database,
    pub(crate) counters: Counters,
    sequencer: Mutex<Sequencer>,
    staged: Condvar,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) commits: AtomicU64,
    pub(crate) batches: AtomicU64,
    pub(crate) bytes: AtomicU64,
}

/// Ends the process when it is dropped. Panicking has told the reason by then.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        std::process::abort();
    }
}

impl Shared {
    pub(crate) fn new(database: Database, recent: Recent) -> Self {
        Self {
            database,
            counters: Counters::default(),
            sequencer: Mutex::new(Sequencer::new(recent)),
            staged: Condvar::new(),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Sequencer> {
        self.sequencer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn wake_committer(&self) {
        self.staged.notify_one();
    }

    /// Let the committer write what is staged and end.
    pub(crate) fn close(&self) {
        self.lock().is_closing = true;
        self.staged.notify_one();
    }

    /// Write until closed. Should this panic, nobody would answer those who wait, and what is
    /// sequenced would be read for ever and never be written: the process ends instead, and the next
    /// one finds what is durable.
    pub(crate) fn run(&self) {
        let abort = AbortOnPanic;
        self.write_until_closed();
        std::mem::forget(abort);
    }

    fn write_until_closed(&self) {
        loop {
            let mut sequencer = self.lock();
            while sequencer.is_idle() {
                if sequencer.is_closing {
                    return;
                }
                sequencer = self
                    .staged
                    .wait(sequencer)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            let has_failed = sequencer.has_failed;
            let (batch, commits) = sequencer.take_off();
            drop(sequencer);
            match self.write(&batch, has_failed) {
                Outcome::Durable => {
                    self.counters.commits.fetch_add(commits, Ordering::Relaxed);
                    self.counters.batches.fetch_add(1, Ordering::Relaxed);
                    let ticket = self.lock().land();
                    ticket.resolve(Outcome::Durable);
                }
                outcome @ (Outcome::InDoubt | Outcome::NotApplied) => {
                    let [flying, staged] = self.lock().crash();
                    flying.resolve(outcome);
                    staged.resolve(Outcome::NotApplied);
                }
            }
        }
    }

    fn write(&self, batch: &Batch, has_failed: bool) -> Outcome {
        // After a failure, do not risk a commit in doubt before the disk takes anything at all.
        if has_failed && self.database.probe().is_err() {
            return Outcome::NotApplied;
        }
        let Ok(writes) = self.database.merge(batch) else {
            return Outcome::NotApplied;
        };
        self.counters
            .bytes
            .fetch_add(writes.size_in_bytes() as u64, Ordering::Relaxed);
        match self.database.write(writes) {
            Ok(()) => Outcome::Durable,
            Err(_) => Outcome::InDoubt,
        }
    }
}
