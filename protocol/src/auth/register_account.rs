//! register_account — spec/auth.md#register_account

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::crypto::credential::{ClientCredential, ClientCredentialRequest};
use crate::crypto::work::Work;

/// Register a user with its first client. Sent again, it is answered the same.
/// The work's purpose is SHA-256 of `client`'s encoding under the label of a fingerprint.
///
/// ```text
/// struct { Work work; ClientCredentialRequest client; } RegisterAccount;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct RegisterAccount {
    /// The price.
    pub work: Work,
    /// The client, self-signed.
    pub client: ClientCredentialRequest,
}

/// The signed credential.
///
/// ```text
/// struct { ClientCredential credential; } RegisterAccountReply;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct RegisterAccountReply {
    /// Signed by the intermediate.
    pub credential: ClientCredential,
}
