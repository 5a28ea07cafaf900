//! Why the service refuses, and what of it a peer may know.

use std::fmt;

use protocol::crypto::hpke::HpkeFailed;
use protocol::crypto::signature::BadSignature;
use protocol::error::{ErrorCode, ErrorReply, Rule};
use store::StoreError;

/// How long a peer should wait before it tries again, if others keep a queue busy.
const BUSY_MILLISECONDS: u64 = 200;

/// Why the service refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// No such queue, a signature of another key, a ticket that does not open, a wrong token.
    Denied,
    /// The queue's key is taken by a queue that was created otherwise.
    Exists,
    /// A key that nothing can be sealed to.
    BadSealKey,
    /// A KeyPackage that breaks a rule.
    BadKeyPackage,
    /// More packages, tickets or bytes than one request may have.
    TooLarge,
    /// All KeyPackages are gone or have expired.
    NoKeyPackage,
    /// The queue, or the ticket's share of it, is full.
    Full,
    /// A place beyond the end of the queue: the client has seen what the server has lost.
    Rewound,
    /// Sealing to a queue failed, though its key was good when it was created.
    Sealing(HpkeFailed),
    /// The store failed.
    Store(StoreError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied => f.write_str("no such queue, or not allowed to use it"),
            Self::Exists => f.write_str("the queue exists and was created otherwise"),
            Self::BadSealKey => f.write_str("nothing can be sealed to the queue's key"),
            Self::BadKeyPackage => f.write_str("a KeyPackage breaks a rule"),
            Self::TooLarge => f.write_str("more than one request may have"),
            Self::NoKeyPackage => f.write_str("no KeyPackage is left"),
            Self::Full => f.write_str("the queue is full"),
            Self::Rewound => f.write_str("the place is beyond the end of the queue"),
            Self::Sealing(_) => f.write_str("sealing to a queue failed"),
            Self::Store(_) => f.write_str("the store failed"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Sealing(error) => Some(error),
            Self::Store(error) => Some(error),
            Self::Denied
            | Self::Exists
            | Self::BadSealKey
            | Self::BadKeyPackage
            | Self::TooLarge
            | Self::NoKeyPackage
            | Self::Full
            | Self::Rewound => None,
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<BadSignature> for Error {
    fn from(_: BadSignature) -> Self {
        Self::Denied
    }
}

impl From<&Error> for ErrorReply {
    fn from(error: &Error) -> Self {
        match error {
            Error::Denied => ErrorCode::Denied.into(),
            Error::Exists => ErrorCode::Exists.into(),
            Error::BadSealKey => ErrorCode::Malformed.into(),
            Error::BadKeyPackage => Self::invalid(Rule::KeyPackage),
            Error::TooLarge => ErrorCode::TooLarge.into(),
            Error::NoKeyPackage => ErrorCode::NotFound.into(),
            Error::Full => ErrorCode::QuotaExceeded.into(),
            Error::Rewound => ErrorCode::Rewound.into(),
            Error::Store(StoreError::Conflict) => Self {
                code: ErrorCode::Busy,
                detail: BUSY_MILLISECONDS,
            },
            Error::Store(_) | Error::Sealing(_) => ErrorCode::Internal.into(),
        }
    }
}
