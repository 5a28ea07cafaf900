//! Why a command fails, and what to do next.

use std::{fmt, io};

use hearth_sdk::Error;

/// A command's failure.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The SDK says no.
    Sdk(Error),
    /// Nobody answers a newcomer; where, and why.
    NoServer(String, String),
    /// No such group, contact, member or request; which, and what was typed.
    Unknown(&'static str, String),
    /// More than one fits what was typed.
    Ambiguous(&'static str, String),
    /// Fewer messages came in time than were to be waited for.
    Timeout { wanted: u64, came: u64 },
    /// The passphrase file cannot be read.
    Passphrase(io::Error),
    /// Standard input or output fails.
    Terminal(io::Error),
}

impl Failure {
    /// A stable name, for programs.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Sdk(error) => error.code(),
            Self::NoServer(..) => "unreachable",
            Self::Unknown(..) => "not_found",
            Self::Ambiguous(..) => "ambiguous",
            Self::Timeout { .. } => "timeout",
            Self::Passphrase(_) => "file",
            Self::Terminal(_) => "terminal",
        }
    }

    /// Whether the reader of our output has gone, which is nobody's failure.
    pub(crate) fn is_hang_up(&self) -> bool {
        matches!(self, Self::Terminal(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// What to do next, where there is something.
    fn advice(&self) -> Option<&'static str> {
        let code = self.code();
        Some(match (self, code) {
            (Self::Unknown("group", _), _) => "`hearth group list` shows the groups",
            (Self::Unknown("contact", _), _) => {
                "`hearth contacts` shows who can be invited; `hearth connect USER@DOMAIN` asks \
                 somebody to become a contact"
            }
            (Self::Unknown("member", _), _) => "`hearth group members GROUP` shows who is there",
            (Self::Unknown(..) | Self::Ambiguous("request", _), _) => {
                "`hearth connections` lists the requests"
            }
            (Self::NoServer(..), _) => "check that it runs there, then register again",
            (_, "not_registered") => "`hearth --home DIR register --server HOST:PORT` signs up",
            (_, "already_registered") => "choose another --home for another account",
            (_, "in_use") => "is a `hearth chat` or `hearth receive --follow` running with it?",
            (_, "wrong_key") => "check --passphrase-file and HEARTH_PASSPHRASE",
            (_, "not_admin") => "`hearth group members GROUP` shows who is admin",
            (_, "last_admin") => {
                "`hearth group promote GROUP MEMBER` makes somebody else admin first"
            }
            (_, "leaving") => "it is under way; `hearth receive` says when you are out",
            (_, "unreachable") => "check that the server runs, then `hearth receive` goes on",
            (_, "certificate_changed") => "if you set the server up anew, register a new --home",
            _ => return None,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sdk(error) => write!(f, "{error}")?,
            Self::NoServer(server, why) => {
                write!(f, "no server answers at {server} ({why})")?;
            }
            Self::Unknown(what, typed) => write!(f, "there is no {what} {typed:?}")?,
            Self::Ambiguous(what, typed) => write!(f, "more than one {what} fits {typed:?}")?,
            Self::Timeout { wanted, came } => {
                write!(f, "{came} of {wanted} messages came in time")?;
            }
            Self::Passphrase(error) => write!(f, "the passphrase file cannot be read: {error}")?,
            Self::Terminal(error) => write!(f, "input or output fails: {error}")?,
        }
        self.advice()
            .map_or(Ok(()), |advice| write!(f, "; {advice}"))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Sdk(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Terminal(error)
    }
}
