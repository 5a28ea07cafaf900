//! Why the store could not do what it was asked.

use std::fmt;

/// Why the store could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// Others kept changing the partition; nothing was applied. Try later.
    Conflict,
    /// The commit may or may not be applied. Only the same operation id may be tried again.
    Ambiguous,
    /// The backend cannot write at present; nothing was applied.
    Unavailable,
    /// A limit of the contract was exceeded; nothing was applied. A mistake of the caller.
    TooLarge {
        /// What was too large.
        what: &'static str,
    },
    /// A stored row is not what was written.
    Corrupt {
        /// The table of the row.
        table: &'static str,
    },
    /// A table was used in a partition of another space, or in a space the backend does not have.
    /// A mistake of the caller.
    WrongSpace {
        /// The table or the space.
        name: &'static str,
    },
    /// Another process has the database open.
    Locked,
    /// The database has a format this program does not know.
    UnknownFormat,
    /// The backend failed; for the operator. Nothing was applied.
    Io(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict => f.write_str("the partition is too busy"),
            Self::Ambiguous => f.write_str("it is not known whether the commit was applied"),
            Self::Unavailable => f.write_str("the store refuses writes until it can write again"),
            Self::TooLarge { what } => write!(f, "too large: {what}"),
            Self::Corrupt { table } => write!(f, "a row of {table} is corrupt"),
            Self::WrongSpace { name } => write!(f, "{name} does not belong to this space"),
            Self::Locked => f.write_str("another process has the database open"),
            Self::UnknownFormat => f.write_str("the database has an unknown format"),
            Self::Io(reason) => write!(f, "storage failed: {reason}"),
        }
    }
}

impl std::error::Error for StoreError {}
