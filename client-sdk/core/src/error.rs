//! What can go wrong in the core, for its caller.

use std::fmt;

use protocol::error::ErrorReply;

/// Why the core could not do what it was asked. Texts hold no secret and no identifier.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// Another process has the home open.
    InUse,
    /// The home's key is wrong, or the file is no home.
    WrongKey,
    /// The home was written by a later version.
    NewerHome,
    /// The database or the file system failed.
    Storage(rusqlite::Error),
    /// A file of the home could not be made.
    Io(std::io::Error),
    /// The operating system gave no entropy, or a primitive failed on good input.
    Crypto,
    /// MLS refused; says which step.
    Mls(&'static str),
    /// There is no account yet: register first.
    NotRegistered,
    /// There is an account already.
    AlreadyRegistered,
    /// No such job, contact, request, group, username or member; says which.
    Unknown(&'static str),
    /// The name is in use in this home already.
    NameTaken,
    /// The text, name or message is longer than allowed.
    TooLong,
    /// The person is a member already.
    AlreadyMember,
    /// Only an admin of the group may do this.
    NotAdmin,
    /// The group would be without an admin: make somebody else admin first.
    LastAdmin,
    /// This client is about to leave the group, which takes a commit of somebody else.
    Leaving,
    /// Nobody else has entered the connection group yet, or the other has left it.
    Alone,
    /// Somebody else than the contact is in the connection group, or the contact's identity does
    /// not verify (yet).
    Stranger,
    /// The server's answer is no answer to the request.
    BadReply,
    /// The server's keys do not verify, or are not the ones that were pinned.
    BadServerKeys,
    /// A credential, package or signature in the server's answer does not verify.
    BadPackage,
    /// The server refused for good; the job is over.
    Refused(ErrorReply),
    /// The server is older than what this client has seen: it was restored from a backup.
    Rewound,
    /// The reply belongs to no request that is open.
    NotExpected,
    /// The home holds something that this version cannot read; says what.
    Corrupt(&'static str),
}

impl Error {
    /// Whether a job that failed with this is over and forgotten. Otherwise it is as it was, and
    /// may be tried again.
    #[must_use]
    pub fn ends_job(&self) -> bool {
        match self {
            Self::Mls(_)
            | Self::NotRegistered
            | Self::AlreadyRegistered
            | Self::Unknown(_)
            | Self::NameTaken
            | Self::TooLong
            | Self::AlreadyMember
            | Self::NotAdmin
            | Self::LastAdmin
            | Self::Leaving
            | Self::Alone
            | Self::Stranger
            | Self::BadServerKeys
            | Self::BadPackage
            | Self::Refused(_)
            | Self::Rewound => true,
            Self::InUse
            | Self::WrongKey
            | Self::NewerHome
            | Self::Storage(_)
            | Self::Io(_)
            | Self::Crypto
            | Self::BadReply
            | Self::NotExpected
            | Self::Corrupt(_) => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse => f.write_str("another process uses this home"),
            Self::WrongKey => f.write_str("the key does not open this home"),
            Self::NewerHome => f.write_str("a later version of Hearth wrote this home"),
            Self::Storage(_) => f.write_str("the database failed"),
            Self::Io(_) => f.write_str("the home directory cannot be used"),
            Self::Crypto => f.write_str("a cryptographic operation failed"),
            Self::Mls(step) => write!(f, "MLS: {step}"),
            Self::NotRegistered => f.write_str("there is no account yet: register first"),
            Self::AlreadyRegistered => f.write_str("there is an account already"),
            Self::Unknown(what) => write!(f, "no such {what}"),
            Self::NameTaken => f.write_str("the name is in use already"),
            Self::TooLong => f.write_str("longer than allowed"),
            Self::AlreadyMember => f.write_str("already a member of the group"),
            Self::NotAdmin => f.write_str("only an admin of the group may do this"),
            Self::LastAdmin => f.write_str("the group would be without an admin"),
            Self::Leaving => f.write_str("about to leave the group"),
            Self::Alone => f.write_str("nobody else is in the group"),
            Self::Stranger => f.write_str("the other in the group is not the contact"),
            Self::BadReply => f.write_str("the server's answer makes no sense"),
            Self::BadServerKeys => f.write_str("the server's keys are not the ones it had before"),
            Self::BadPackage => f.write_str("the server handed out something that does not verify"),
            Self::Refused(reply) => write!(f, "{reply}"),
            Self::Rewound => f.write_str("the server lost data that this client has seen"),
            Self::NotExpected => f.write_str("the reply answers no open request"),
            Self::Corrupt(what) => write!(f, "the home is damaged: {what}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Storage(error) => Some(error),
            Self::Io(error) => Some(error),
            Self::Refused(reply) => Some(reply),
            Self::InUse
            | Self::WrongKey
            | Self::NewerHome
            | Self::Crypto
            | Self::Mls(_)
            | Self::NotRegistered
            | Self::AlreadyRegistered
            | Self::Unknown(_)
            | Self::NameTaken
            | Self::TooLong
            | Self::AlreadyMember
            | Self::NotAdmin
            | Self::LastAdmin
            | Self::Leaving
            | Self::Alone
            | Self::Stranger
            | Self::BadReply
            | Self::BadServerKeys
            | Self::BadPackage
            | Self::Rewound
            | Self::NotExpected
            | Self::Corrupt(_) => None,
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(error)
    }
}
