//! fetch_server_keys — spec/auth.md#fetch_server_keys

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::crypto::credential::ServerKeys;

/// Fetch the domain's credentials.
///
/// ```text
/// struct {} FetchServerKeys;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct FetchServerKeys {}

/// The domain's credentials.
///
/// ```text
/// struct { ServerKeys keys; } FetchServerKeysReply;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct FetchServerKeysReply {
    /// Root and intermediate.
    pub keys: ServerKeys,
}
