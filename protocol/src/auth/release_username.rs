//! release_username — spec/auth.md#release_username

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::id::UsernameHash;

/// Give a username up, with its packages and waiting requests; signed by its key.
///
/// ```text
/// struct { UsernameHash username; } ReleaseUsername;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ReleaseUsername {
    /// The name, hashed.
    pub username: UsernameHash,
}

/// The name is free.
///
/// ```text
/// struct {} ReleaseUsernameReply;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ReleaseUsernameReply {}
