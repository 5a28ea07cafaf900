//! Why an engine cannot be composed.

use std::fmt;

use protocol::crypto::credential::BadCredential;

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
