//! Why an engine cannot be composed, and what is said when its own work fails.

use std::fmt;

use protocol::crypto::credential::BadCredential;
use protocol::error::{ErrorCode, ErrorReply};

/// Why an engine cannot be composed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The server keys do not verify for the domain: make new ones under the root, or correct the
    /// domain in the configuration.
    ServerKeys(BadCredential),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServerKeys(reason) => {
                write!(
                    f,
                    "the server keys do not verify for the configured domain: {reason}"
                )
            }
        }
    }
}

impl std::error::Error for Error {}

/// Log, once, that something has failed which no request waits for, and which is tried again.
pub(crate) fn internal(
    what: &'static str,
    error: &(dyn std::error::Error + 'static),
) -> ErrorReply {
    tracing::error!(error, "{what} failed and will be tried again");
    ErrorCode::Internal.into()
}
