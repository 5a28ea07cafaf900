//! Transactions: run a body, commit on condition of the version, run it again after a conflict.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::backend::{Backend, Commit, CommitError, Committed, Statistics};
use crate::error::StoreError;
use crate::limit::{ATTEMPTS_MAX, OPS_REMEMBERED, ROUND_ITEMS_MAX, SETTLE_ATTEMPTS_MAX};
use crate::sealed::{Entropy, Keys, StorageKey};
use crate::space::{OpId, Partition, Space, Version};
use crate::table::Table;
use crate::tx::Tx;

/// The store: a backend, and the keys that seal what is in it. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    backend: Arc<dyn Backend>,
    keys: Arc<Keys>,
    entropy: Arc<dyn Entropy>,
}

/// What one run of a body led to.
enum Attempt<T, E> {
    /// The partition changed under the body: run it again.
    Torn,
    /// It wrote nothing: its answer holds once what it read is durable.
    Read(Result<T, E>, Version),
    /// Its answer holds once the commit is applied.
    Write(T, Commit),
}

/// What became of a commit, if that is known.
enum Outcome {
    Applied,
    Conflict,
}

impl Store {
    /// A store over a backend. Another storage key does not find what this one has stored.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>, key: &StorageKey, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            backend,
            keys: Arc::new(Keys::new(key)),
            entropy,
        }
    }

    /// The partition of `id` in a space.
    #[must_use]
    pub fn partition(&self, space: Space, id: &[u8]) -> Partition {
        self.keys.partition(space, id)
    }

    /// Run `body` on the partition until what it wrote is committed, from scratch after each
    /// conflict; return its answer once that is durable. A body that returns an error changes
    /// nothing.
    ///
    /// # Errors
    /// The body's, or the store's: see [`StoreError`].
    pub fn transact<T, E: From<StoreError>>(
        &self,
        partition: &Partition,
        op: OpId,
        mut body: impl FnMut(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        for _ in 0..ATTEMPTS_MAX {
            match self.attempt(partition, op, &mut body)? {
                Attempt::Torn => {}
                Attempt::Read(answer, version) => {
                    match settled(self.backend.settle(partition, version))? {
                        Outcome::Applied => return answer,
                        Outcome::Conflict => {}
                    }
                }
                Attempt::Write(answer, commit) => {
                    let result = self.backend.commit(vec![commit.clone()]).pop();
                    match self.conclude(&commit, result)? {
                        Outcome::Applied => return Ok(answer),
                        Outcome::Conflict => {}
                    }
                }
            }
            std::thread::yield_now();
        }
        Err(StoreError::Conflict.into())
    }

    /// Run `body` on each item's partition, and commit all of them for about the price of one. The
    /// transactions are independent; items of the same partition run in their order. One result
    /// per item, in order.
    pub fn transact_each<I, T, E: From<StoreError>>(
        &self,
        items: &[(Partition, OpId, I)],
        mut body: impl FnMut(&mut Tx<'_>, &I) -> Result<T, E>,
    ) -> Vec<Result<T, E>> {
        let mut results: Vec<Option<Result<T, E>>> = items.iter().map(|_| None).collect();
        // Each round settles the first item of every partition, unless others interfere.
        let mut conflicts = 0;
        while conflicts < ATTEMPTS_MAX {
            let open = items
                .iter()
                .zip(&mut results)
                .filter(|(_, result)| result.is_none());
            match self.round(open, &mut body) {
                Round { taken: 0, .. } => break,
                Round { settled: 0, .. } => conflicts += 1,
                Round { .. } => conflicts = 0,
            }
        }
        let unsettled = || Err(StoreError::Conflict.into());
        results
            .into_iter()
            .map(|result| result.unwrap_or_else(unsettled))
            .collect()
    }

    /// Run `body` on a consistent, durable view of the partition; what it writes is dropped.
    ///
    /// # Errors
    /// The body's, or the store's.
    pub fn view<T, E: From<StoreError>>(
        &self,
        partition: &Partition,
        body: impl FnOnce(&Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let snapshot = self.backend.snapshot(partition)?;
        body(&Tx::look(&self.keys, &*snapshot, partition))
    }

    /// Partitions that have a row in `table`, in the order of their blinded ids, after `after`.
    /// For maintenance only: it walks over what all partitions have in the table.
    ///
    /// # Errors
    /// The backend failed.
    pub fn sweep<K, V>(
        &self,
        table: &Table<K, V>,
        after: Option<Partition>,
        limit: usize,
    ) -> Result<Vec<Partition>, StoreError> {
        self.backend.sweep(table.space(), table.id(), after, limit)
    }

    /// How much the backend has written and stores.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.backend.statistics()
    }

    fn attempt<T, E: From<StoreError>>(
        &self,
        partition: &Partition,
        op: OpId,
        body: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<Attempt<T, E>, StoreError> {
        let op = self.keys.operation(partition, op);
        let mut tx = match Tx::begin(&self.keys, &*self.backend, partition, op) {
            Ok(tx) => tx,
            Err(StoreError::Conflict) => return Ok(Attempt::Torn),
            Err(error) => return Err(error),
        };
        let answer = body(&mut tx);
        if tx.is_torn() {
            return Ok(Attempt::Torn);
        }
        let version = tx.version();
        let Ok(answer) = answer else {
            return Ok(Attempt::Read(answer, version));
        };
        Ok(match tx.finish(op, &*self.entropy)? {
            None => Attempt::Read(Ok(answer), version),
            Some(commit) => Attempt::Write(answer, commit),
        })
    }

    /// Try items of distinct partitions once, and commit them together.
    fn round<'i, I: 'i, T: 'i, E: From<StoreError> + 'i>(
        &self,
        open: impl Iterator<Item = (&'i (Partition, OpId, I), &'i mut Option<Result<T, E>>)>,
        body: &mut impl FnMut(&mut Tx<'_>, &I) -> Result<T, E>,
    ) -> Round {
        let mut partitions = BTreeSet::new();
        let expected = open.size_hint().0.min(ROUND_ITEMS_MAX);
        let (mut commits, mut reads) = (Vec::with_capacity(expected), Vec::new());
        let mut round = Round {
            taken: 0,
            settled: 0,
        };
        for ((partition, op, item), result) in open {
            if partitions.len() >= ROUND_ITEMS_MAX || !partitions.insert(partition) {
                continue;
            }
            round.taken += 1;
            match self.attempt(partition, *op, |tx| body(tx, item)) {
                Err(error) => {
                    *result = Some(Err(error.into()));
                    round.settled += 1;
                }
                Ok(Attempt::Torn) => {}
                Ok(Attempt::Read(answer, version)) => {
                    reads.push((partition, answer, version, result));
                }
                Ok(Attempt::Write(answer, commit)) => commits.push((commit, answer, result)),
            }
        }
        let mut committed = if commits.is_empty() {
            Vec::new()
        } else {
            self.backend
                .commit(commits.iter().map(|(commit, ..)| commit.clone()).collect())
        }
        .into_iter();
        for (commit, answer, result) in commits {
            *result = match self.conclude(&commit, committed.next()) {
                Ok(Outcome::Applied) => Some(Ok(answer)),
                Ok(Outcome::Conflict) => None,
                Err(error) => Some(Err(error.into())),
            };
            round.settled += usize::from(result.is_some());
        }
        for (partition, answer, version, result) in reads {
            *result = match settled(self.backend.settle(partition, version)) {
                Ok(Outcome::Applied) => Some(answer),
                Ok(Outcome::Conflict) => None,
                Err(error) => Some(Err(error.into())),
            };
            round.settled += usize::from(result.is_some());
        }
        round
    }

    fn conclude(
        &self,
        commit: &Commit,
        result: Option<Result<Committed, CommitError>>,
    ) -> Result<Outcome, StoreError> {
        match result {
            // Someone else applied the operation while the body ran: it must see that.
            Some(Ok(Committed {
                is_replay: true, ..
            })) => Ok(Outcome::Conflict),
            Some(Ok(_)) => Ok(Outcome::Applied),
            Some(Err(CommitError::Ambiguous)) => self.settle_doubt(commit),
            Some(Err(error)) => settled::<()>(Err(error)),
            None => Err(StoreError::Ambiguous),
        }
    }

    /// Submit the same commit until it is applied or can no longer be.
    fn settle_doubt(&self, commit: &Commit) -> Result<Outcome, StoreError> {
        for _ in 0..SETTLE_ATTEMPTS_MAX {
            match self.backend.commit(vec![commit.clone()]).pop() {
                Some(Ok(_)) => return Ok(Outcome::Applied),
                Some(Err(CommitError::Conflict { version })) => {
                    // If it was applied, its operation was the next one; is that still remembered?
                    let since = version.0.saturating_sub(commit.expected.0);
                    return match usize::try_from(since) {
                        Ok(since) if since <= OPS_REMEMBERED => Ok(Outcome::Conflict),
                        Ok(_) | Err(_) => Err(StoreError::Ambiguous),
                    };
                }
                Some(Err(_)) | None => std::thread::yield_now(),
            }
        }
        Err(StoreError::Ambiguous)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({:?})", self.backend)
    }
}

/// What a round of `transact_each` did.
struct Round {
    taken: usize,
    settled: usize,
}

fn settled<T>(result: Result<T, CommitError>) -> Result<Outcome, StoreError> {
    match result {
        Ok(_) => Ok(Outcome::Applied),
        Err(CommitError::Conflict { .. }) => Ok(Outcome::Conflict),
        Err(CommitError::Ambiguous) => Err(StoreError::Ambiguous),
        Err(CommitError::Unavailable) => Err(StoreError::Unavailable),
        Err(CommitError::TooLarge) => Err(StoreError::TooLarge { what: "commit" }),
        Err(CommitError::Failed(error)) => Err(error),
    }
}
