//! The narrow store under every service: transactions over one partition, sealed rows, any backend.
//!
//! A *partition* (one queue, one group, one account) is the unit of atomicity and has one version.
//! A transaction reads and writes one partition; what must happen elsewhere is a row in the same
//! commit. Services name rows by typed [`Table`]s; values are sealed and identifying key parts are
//! blinded here, above the [`Backend`], so that every backend gets it.
//!
//! # Contract
//!
//! Every backend keeps it, and `conformance` tests it clause by clause.
//!
//! 1. *Linearizable per partition.* The commits of a partition form one sequence; each has seen all
//!    before it. Nothing is said about two partitions together.
//! 2. *Durable before the answer.* A transaction that returned survives a crash. A view shows only
//!    what survives, and a transaction that only reads, or that its body refused, returns only once
//!    what it has read survives.
//! 3. *Bodies may run more than once*, each time on the then-current state, and must not change
//!    anything outside the transaction. Conflicts stay invisible until the retries run out
//!    ([`StoreError::Conflict`]).
//! 4. *All or nothing*: all rows of a commit appear together, and no body sees half of one.
//! 5. *An operation id is applied once.* [STORE-COMMIT-1] A partition remembers its last [`OPS_REMEMBERED`] ids. The
//!    body of a repeated one runs ([`Tx::is_replay`] tells it so) and what it writes is dropped.
//! 6. *A commit in doubt is settled*, not guessed: the same commit is submitted again until it is
//!    known to be applied or refused, because reading is not a fence: it may appear later. What
//!    cannot be settled is [`StoreError::Ambiguous`], and only the same operation id may be retried.
//! 7. *Limits hold on every backend*: a value of [`VALUE_BYTES_MAX`], a key of [`KEY_BYTES_MAX`],
//!    [`COMMIT_ROWS_MAX`] row mutations and [`COMMIT_BYTES_MAX`] a commit. What exceeds them is
//!    [`StoreError::TooLarge`] and changes nothing. A scan always has a limit; a queue is scanned
//!    from its own first entry, never from the table's beginning.
//! 8. *A row opens only in its own place.* A row that was altered, or moved to another key, table
//!    or partition, is [`StoreError::Corrupt`], which names the table. Client-sealed values are
//!    stored as they come; their integrity is the clients' affair.
//! 9. *A write that failed shows nowhere*, and the backend refuses writes until it can write again.

mod backend;
mod changes;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod error;
mod head;
mod ids;
mod large;
mod limit;
mod memory;
mod record;
mod row_key;
mod sealed;
mod space;
mod store;
mod table;
mod tx;

pub use backend::{
    Backend, Commit, CommitError, Committed, Found, Read, Row, Snapshot, Statistics, View,
};
pub use changes::Changes;
pub use error::StoreError;
pub use head::Head;
pub use large::Large;
pub use limit::{
    COMMIT_BYTES_MAX, COMMIT_ROWS_MAX, KEY_BYTES_MAX, LARGE_BYTES_MAX, OPS_REMEMBERED,
    VALUE_BYTES_MAX,
};
pub use memory::{Fault, MemoryBackend};
pub use record::{CorruptRecord, Raw, Record};
pub use row_key::RowKey;
pub use sealed::{Entropy, StorageKey};
pub use space::{OpId, Partition, Space, Version};
pub use store::Store;
pub use table::{At, Key, KeySuffix, KeyWriter, Sealing, Table};
pub use tx::{RowAt, ScanLimit, Tx};
