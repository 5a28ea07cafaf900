//! Why a request fails, and what its sender is told.

use std::fmt;

use protocol::error::{ErrorCode, ErrorReply, Rule};
use protocol::id::Epoch;
use store::StoreError;

/// How long a sender should wait before trying again, in milliseconds.
const RETRY_MS: u64 = 500;
/// The same where queues have to take something first.
const BACKLOG_RETRY_MS: u64 = 2_000;

/// Why a request fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The sender has not shown that it is a member: an unknown group, a wrong key, a wrong
    /// signature. Which one is not told. [DS-STATE-3]
    Denied,
    /// The sender holds an earlier epoch's key; the group is in this epoch.
    WrongEpoch(Epoch),
    /// The group id is taken.
    Exists,
    /// A member's request breaks a rule.
    Invalid(Rule),
    /// Too many parcels of the group wait for delivery.
    Backlog,
    /// The store failed.
    Store(StoreError),
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Rule> for Error {
    fn from(rule: Rule) -> Self {
        Self::Invalid(rule)
    }
}

impl From<&Error> for ErrorReply {
    fn from(error: &Error) -> Self {
        match error {
            Error::Denied => ErrorCode::Denied.into(),
            Error::WrongEpoch(current) => Self::wrong_epoch(*current),
            Error::Exists => ErrorCode::Exists.into(),
            Error::Invalid(rule) => Self::invalid(*rule),
            // Whatever became of the request, repeating it is safe.
            Error::Backlog => Self {
                code: ErrorCode::Busy,
                detail: BACKLOG_RETRY_MS,
            },
            Error::Store(StoreError::Conflict | StoreError::Ambiguous) => Self {
                code: ErrorCode::Busy,
                detail: RETRY_MS,
            },
            Error::Store(_) => ErrorCode::Internal.into(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied => f.write_str("the sender is not known to be a member"),
            Self::WrongEpoch(_) => f.write_str("the group is in another epoch"),
            Self::Exists => f.write_str("the group id is taken"),
            Self::Invalid(rule) => write!(f, "the request breaks rule {}", rule.number()),
            Self::Backlog => f.write_str("too much of the group waits for delivery"),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}
