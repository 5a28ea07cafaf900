//! Why the service refuses, and what of it a peer may know.

use std::fmt;

use protocol::crypto::credential::BadCredential;
use protocol::crypto::signature::BadSignature;
use protocol::crypto::work::BadWork;
use protocol::error::{ErrorCode, ErrorReply, Rule};
use store::StoreError;

/// How long a peer should wait before it tries again, if others keep a row busy, in milliseconds.
const BUSY_MILLISECONDS: u64 = 200;

/// Why the service refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// A signature of another key, or no such username to sign for.
    Denied,
    /// The operator lets nobody register.
    Closed,
    /// The work is missing, wrong or too old.
    Work(BadWork),
    /// The credential that a client asks for breaks a rule.
    Credential(BadCredential),
    /// The user id, or the username, is another key's.
    Exists,
    /// The username is free, or has no connection package left.
    NotFound,
    /// More packages than one request may have.
    TooLarge,
    /// A connection package that breaks a rule.
    BadConnectionPackage,
    /// Too many connection requests wait for the owner.
    Full,
    /// A place beyond the last request: the client has seen what the server has lost.
    Rewound,
    /// The domain's own credentials are not valid now. The operator's fault.
    ServerKeys(BadCredential),
    /// The store failed.
    Store(StoreError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Denied => "no such username, or not allowed to use it",
            Self::Closed => "registration is closed",
            Self::Work(_) => "the proof of work is not accepted",
            Self::Credential(_) => "the credential breaks a rule",
            Self::Exists => "the name is taken",
            Self::NotFound => "no such username, or nothing left to take",
            Self::TooLarge => "more than one request may have",
            Self::BadConnectionPackage => "a connection package breaks a rule",
            Self::Full => "too many connection requests wait",
            Self::Rewound => "the place is beyond the last request",
            Self::ServerKeys(_) => "the domain's own credentials are not valid",
            Self::Store(_) => "the store failed",
        })
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Work(error) => Some(error),
            Self::Credential(error) | Self::ServerKeys(error) => Some(error),
            Self::Store(error) => Some(error),
            Self::Denied
            | Self::Closed
            | Self::Exists
            | Self::NotFound
            | Self::TooLarge
            | Self::BadConnectionPackage
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

impl From<BadWork> for Error {
    fn from(error: BadWork) -> Self {
        Self::Work(error)
    }
}

impl From<&Error> for ErrorReply {
    fn from(error: &Error) -> Self {
        match error {
            Error::Denied | Error::Closed => ErrorCode::Denied.into(),
            Error::Work(_) => ErrorCode::WorkRequired.into(),
            Error::Credential(_) => Self::invalid(Rule::Credential),
            Error::Exists => ErrorCode::Exists.into(),
            Error::NotFound => ErrorCode::NotFound.into(),
            Error::TooLarge => ErrorCode::TooLarge.into(),
            Error::BadConnectionPackage => Self::invalid(Rule::ConnectionPackage),
            Error::Full => ErrorCode::QuotaExceeded.into(),
            Error::Rewound => ErrorCode::Rewound.into(),
            Error::Store(StoreError::Conflict) => Self {
                code: ErrorCode::Busy,
                detail: BUSY_MILLISECONDS,
            },
            Error::Store(_) | Error::ServerKeys(_) => ErrorCode::Internal.into(),
        }
    }
}
