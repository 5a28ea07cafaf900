//! What one commit may hold: small enough for every engine a backend may be built on.

/// The longest encoded value of a row.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;

/// The longest key of a row behind its table and partition.
pub const KEY_BYTES_MAX: usize = 256;

/// The most rows a commit may put or delete; a range counts as one.
pub const COMMIT_ROWS_MAX: usize = 512;

/// The most bytes of keys and values in a commit.
pub const COMMIT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The longest value stored in chunks: leaves room in its commit for other rows.
pub const LARGE_BYTES_MAX: usize = 7 * 1024 * 1024;

/// How many operation ids a partition remembers. Settling a commit in doubt needs one; more help a
/// caller who repeats a request after others have been served.
pub const OPS_REMEMBERED: usize = 4;

/// How often a body runs before its caller learns of the conflict.
pub(crate) const ATTEMPTS_MAX: usize = 256;

/// How often a commit in doubt is submitted again before its caller has to.
pub(crate) const SETTLE_ATTEMPTS_MAX: usize = 8;

/// How many partitions go into one submission of `transact_each`; bounds the time of its lock.
pub(crate) const ROUND_ITEMS_MAX: usize = 1024;
