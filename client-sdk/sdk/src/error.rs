//! What can go wrong, named for what is wrong and said so that a person knows what to do.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use protocol::error::ErrorReply;

/// Why an operation of the SDK failed. Texts hold no secret.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// An address that is not `host:port`.
    BadAddress,
    /// A username that is none; says why.
    BadUsername(protocol::id::BadName),
    /// A username at another domain than the account's: servers do not talk to each other yet.
    OtherDomain(String),
    /// There is no account in this home.
    NotRegistered(PathBuf),
    /// The server does not answer. What was begun is stored, and finished when it does.
    Unreachable(String),
    /// The server's certificate is not one to trust.
    Certificate(String),
    /// The server at this loopback address shows another certificate than at registration.
    CertificateChanged(String),
    /// The server does not keep to the protocol.
    Protocol(String),
    /// The server refused.
    Refused(ErrorReply),
    /// Longer than a frame may be.
    TooLarge,
    /// A file or directory of the home cannot be used.
    File(PathBuf, Arc<io::Error>),
    /// A file is not what it should be; says what.
    BadFile(PathBuf, &'static str),
    /// The state says no.
    Core(Arc<client_core::Error>),
    /// The handle was closed.
    Closed,
}

impl Error {
    /// A short stable name, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadAddress => "bad_address",
            Self::BadUsername(_) => "bad_username",
            Self::OtherDomain(_) => "other_domain",
            Self::NotRegistered(_) => "not_registered",
            Self::Unreachable(_) => "unreachable",
            Self::Certificate(_) => "certificate",
            Self::CertificateChanged(_) => "certificate_changed",
            Self::Protocol(_) => "protocol",
            Self::Refused(reply) => refusal_code(reply),
            Self::TooLarge => "too_large",
            Self::File(..) | Self::BadFile(..) => "file",
            Self::Core(error) => core_code(error),
            Self::Closed => "closed",
        }
    }

    /// Whether the same may succeed a moment later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused(reply) => is_passing(reply),
            Self::Core(error) => matches!(
                **error,
                client_core::Error::Storage(_)
                    | client_core::Error::Io(_)
                    | client_core::Error::Crypto
            ),
            Self::BadAddress
            | Self::BadUsername(_)
            | Self::OtherDomain(_)
            | Self::NotRegistered(_)
            | Self::Certificate(_)
            | Self::CertificateChanged(_)
            | Self::Protocol(_)
            | Self::TooLarge
            | Self::File(..)
            | Self::BadFile(..)
            | Self::Closed => false,
        }
    }
}

/// Whether the server only asks to come back later.
pub(crate) fn is_passing(reply: &ErrorReply) -> bool {
    use protocol::error::ErrorCode;
    matches!(
        reply.code,
        ErrorCode::Busy | ErrorCode::RateLimited | ErrorCode::Internal
    )
}

fn refusal_code(reply: &ErrorReply) -> &'static str {
    use protocol::error::ErrorCode;
    match reply.code {
        ErrorCode::Malformed => "malformed",
        ErrorCode::UnsupportedVersion => "unsupported_version",
        ErrorCode::UnknownOperation => "unknown_operation",
        ErrorCode::Denied => "denied",
        ErrorCode::NotFound => "not_found",
        ErrorCode::RateLimited => "rate_limited",
        ErrorCode::Busy => "busy",
        ErrorCode::TooLarge => "too_large",
        ErrorCode::WrongEpoch => "wrong_epoch",
        ErrorCode::Exists => "exists",
        ErrorCode::WorkRequired => "work_required",
        ErrorCode::Invalid => "invalid",
        ErrorCode::QuotaExceeded => "quota_exceeded",
        ErrorCode::Internal => "internal",
        ErrorCode::Rewound => "rewound",
    }
}

fn core_code(error: &client_core::Error) -> &'static str {
    use client_core::Error as Core;
    match error {
        Core::InUse => "in_use",
        Core::WrongKey => "wrong_key",
        Core::NewerHome => "newer_home",
        Core::NotRegistered => "not_registered",
        Core::AlreadyRegistered => "already_registered",
        Core::Unknown(_) => "not_found",
        Core::NameTaken => "name_taken",
        Core::TooLong => "too_large",
        Core::AlreadyMember => "already_member",
        Core::NotAdmin => "not_admin",
        Core::LastAdmin => "last_admin",
        Core::Leaving => "leaving",
        Core::Alone => "alone",
        Core::Stranger => "stranger",
        Core::BadServerKeys => "server_keys",
        Core::Refused(reply) => refusal_code(reply),
        Core::Rewound => "rewound",
        Core::Storage(_)
        | Core::Io(_)
        | Core::Crypto
        | Core::Mls(_)
        | Core::BadReply
        | Core::BadPackage
        | Core::NotExpected
        | _ => "internal",
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadAddress => f.write_str("a server is written host:port, as in localhost:4433"),
            Self::BadUsername(why) => write!(f, "this is no username: {why}"),
            Self::OtherDomain(domain) => write!(
                f,
                "people at {domain} cannot be reached: servers do not talk to each other yet"
            ),
            Self::NotRegistered(home) => write!(
                f,
                "there is no account in {}: register first",
                home.display()
            ),
            Self::Unreachable(why) => write!(
                f,
                "the server cannot be reached ({why}); what was begun is kept and finished later"
            ),
            Self::Certificate(why) => write!(
                f,
                "the server's certificate is not trusted: {why}; if its authority is your own, \
                 register with that authority's certificate"
            ),
            Self::CertificateChanged(server) => write!(
                f,
                "the server at {server} shows another certificate than the one pinned when this \
                 home was registered: it was set up anew, or something else answers there; \
                 this home talks to the first one only"
            ),
            Self::Protocol(why) => write!(f, "the server does not keep to the protocol: {why}"),
            Self::Refused(reply) => write!(f, "{reply}"),
            Self::TooLarge => f.write_str("longer than allowed"),
            Self::File(path, error) => write!(f, "{}: {error}", path.display()),
            Self::BadFile(path, what) => write!(f, "{}: {what}", path.display()),
            Self::Core(error) => write!(f, "{error}"),
            Self::Closed => f.write_str("the client was closed"),
        }
    }
}

impl std::error::Error for Error {}

impl From<client_core::Error> for Error {
    fn from(error: client_core::Error) -> Self {
        Self::Core(Arc::new(error))
    }
}

impl From<protocol::id::BadName> for Error {
    fn from(error: protocol::id::BadName) -> Self {
        Self::BadUsername(error)
    }
}
