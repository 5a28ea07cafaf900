//! take_connection_package — spec/auth.md#take_connection_package

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::auth::ConnectionPackage;
use crate::crypto::signature::PublicKey;
use crate::id::UsernameHash;

/// Take one connection package of a username.
///
/// ```text
/// struct { UsernameHash username; } TakeConnectionPackage;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct TakeConnectionPackage {
    /// The name, hashed.
    pub username: UsernameHash,
}

/// The package with the key that signed it.
///
/// ```text
/// struct { opaque public_key[32]; ConnectionPackage package; } TakeConnectionPackageReply;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct TakeConnectionPackageReply {
    /// The username's key.
    pub public_key: PublicKey,
    /// The package.
    pub package: ConnectionPackage,
}
