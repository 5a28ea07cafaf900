//! send_connection_request — spec/auth.md#send_connection_request

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::crypto::hpke::HpkeCiphertext;
use crate::id::{ConnectionPackageId, UsernameHash};
use crate::limit::CONNECTION_REQUEST_BYTES_MAX;

/// A `ConnectionRequest`, padded to 2,048 bytes and sealed to a connection package, with the
/// username hash and the package id as associated data.
///
/// ```text
/// struct { ConnectionPackageId package; HpkeCiphertext sealed; } SealedConnectionRequest;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct SealedConnectionRequest {
    /// Which package.
    pub package: ConnectionPackageId,
    /// For its owner.
    pub sealed: HpkeCiphertext<CONNECTION_REQUEST_BYTES_MAX>,
}

/// Leave a sealed request at a username. Sent again, it is there once.
///
/// ```text
/// struct { UsernameHash username; SealedConnectionRequest request; } SendConnectionRequest;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct SendConnectionRequest {
    /// The name, hashed.
    pub username: UsernameHash,
    /// The request.
    pub request: SealedConnectionRequest,
}

/// It waits for the owner.
///
/// ```text
/// struct {} SendConnectionRequestReply;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct SendConnectionRequestReply {}
