//! What a peer is told when a request fails: a code and at most one number. Spec: wire.md#errors.

use std::fmt;

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::id::Epoch;

/// Coarse reasons. They never tell a stranger whether something exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
#[repr(u16)]
pub enum ErrorCode {
    /// Not an encoding of a request.
    Malformed = 1,
    /// A protocol version that the server does not speak.
    UnsupportedVersion = 2,
    /// An operation that the server does not know.
    UnknownOperation = 3,
    /// Not allowed: a wrong signature or key, or nothing there to be allowed to use.
    Denied = 4,
    /// Not there; only where existence is public.
    NotFound = 5,
    /// Too many requests; detail: milliseconds to wait.
    RateLimited = 6,
    /// The server has too much to do; detail: milliseconds to wait.
    Busy = 7,
    /// Larger than a limit allows.
    TooLarge = 8,
    /// The group is in another epoch; detail: the epoch.
    WrongEpoch = 9,
    /// The name or identifier is taken.
    Exists = 10,
    /// The proof of work is missing, wrong, or its challenge has expired: get a new challenge.
    WorkRequired = 11,
    /// Content that breaks a rule; detail: the rule's number (spec/registry.md#rules).
    Invalid = 12,
    /// A quota is used up.
    QuotaExceeded = 13,
    /// The server failed; try again later.
    Internal = 14,
    /// The server's state is older than what the client has seen: restored from a backup.
    Rewound = 15,
}

/// A failed request's answer.
///
/// ```text
/// struct { ErrorCode code; uint64 detail; } ErrorReply;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ErrorReply {
    /// The reason.
    pub code: ErrorCode,
    /// A number whose meaning the code gives; zero elsewhere.
    pub detail: u64,
}

impl ErrorReply {
    /// `WrongEpoch` with the group's current epoch.
    #[must_use]
    pub fn wrong_epoch(current: Epoch) -> Self {
        Self {
            code: ErrorCode::WrongEpoch,
            detail: current.0,
        }
    }

    /// `Invalid` with the rule that was broken.
    #[must_use]
    pub fn invalid(rule: Rule) -> Self {
        Self {
            code: ErrorCode::Invalid,
            detail: u64::from(rule.number()),
        }
    }
}

impl From<ErrorCode> for ErrorReply {
    fn from(code: ErrorCode) -> Self {
        Self { code, detail: 0 }
    }
}

impl fmt::Display for ErrorReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            ErrorCode::Malformed => f.write_str("the server could not decode the request"),
            ErrorCode::UnsupportedVersion => {
                f.write_str("the server speaks another protocol version")
            }
            ErrorCode::UnknownOperation => f.write_str("the server does not know this operation"),
            ErrorCode::Denied => f.write_str("the server refused the request"),
            ErrorCode::NotFound => f.write_str("not found"),
            ErrorCode::RateLimited => {
                write!(f, "too many requests; try again in {} ms", self.detail)
            }
            ErrorCode::Busy => write!(f, "the server is busy; try again in {} ms", self.detail),
            ErrorCode::TooLarge => f.write_str("larger than the server allows"),
            ErrorCode::WrongEpoch => write!(f, "the group is in epoch {}", self.detail),
            ErrorCode::Exists => f.write_str("already taken"),
            ErrorCode::WorkRequired => {
                f.write_str("the proof of work is missing, wrong or too old")
            }
            ErrorCode::Invalid => write!(f, "the request breaks rule {}", self.detail),
            ErrorCode::QuotaExceeded => f.write_str("a quota is used up"),
            ErrorCode::Internal => f.write_str("the server failed; try again later"),
            ErrorCode::Rewound => f.write_str("the server lost data that this client has seen"),
        }
    }
}

impl std::error::Error for ErrorReply {}

/// What is wrong with content, for those who may know. Numbers: spec/registry.md#rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A client credential's names, lifetime, issuer or self-signature.
    Credential,
    /// A connection package's signature or lifetime.
    ConnectionPackage,
    /// A KeyPackage's signature, lifetime, ciphersuite, capabilities or extensions.
    KeyPackage,
    /// Not the MLS message that the operation takes.
    WireFormat,
    /// The message names another group or sender than the request.
    Framing,
    /// A commit that an MLS client would refuse (RFC 9420 sections 12.2 to 12.4).
    Commit,
    /// A GroupInfo that does not describe the state that results.
    GroupInfo,
    /// The members described beside the commit are not the ones it adds.
    Members,
    /// A proposal or extension that policy does not allow.
    Policy,
    /// More members or bytes than a group may have.
    GroupSize,
    /// A commit without a proposal that waits for the next one.
    PendingProposals,
    /// The sender's role does not allow it, or nobody would be admin any more.
    Role,
    /// An external commit that neither replaces the sender's own leaf nor enters a connection group.
    ExternalCommit,
    /// The member addressed is not in the group.
    Recipient,
    /// A complaint about a commit that is not known, is too old, or is one's own.
    Complaint,
}

impl Rule {
    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            Self::Credential => 1,
            Self::ConnectionPackage => 2,
            Self::KeyPackage => 3,
            Self::WireFormat => 4,
            Self::Framing => 5,
            Self::Commit => 6,
            Self::GroupInfo => 7,
            Self::Members => 8,
            Self::Policy => 9,
            Self::GroupSize => 10,
            Self::PendingProposals => 11,
            Self::Role => 12,
            Self::ExternalCommit => 13,
            Self::Recipient => 14,
            Self::Complaint => 15,
        }
    }
}
