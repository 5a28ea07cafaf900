//! fetch_connection_requests — spec/auth.md#fetch_connection_requests

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::auth::SealedConnectionRequest;
use crate::id::{Seq, UsernameHash};

/// Fetch the requests left at a username from `from` on, and drop those before; signed by the
/// username's key.
///
/// ```text
/// struct { UsernameHash username; Seq from; } FetchConnectionRequests;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct FetchConnectionRequests {
    /// The name, hashed.
    pub username: UsernameHash,
    /// The first wanted; all before are acknowledged and deleted.
    pub from: Seq,
}

/// A request at its place.
///
/// ```text
/// struct { Seq seq; SealedConnectionRequest request; } NumberedConnectionRequest;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct NumberedConnectionRequest {
    /// Its place.
    pub seq: Seq,
    /// The request.
    pub request: SealedConnectionRequest,
}

/// At most `CONNECTION_REQUESTS_FETCH_MAX`, oldest first.
///
/// ```text
/// struct { NumberedConnectionRequest requests<V>; uint32 packages_left; } FetchConnectionRequestsReply;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct FetchConnectionRequestsReply {
    /// The requests.
    pub requests: Vec<NumberedConnectionRequest>,
    /// Connection packages left besides the last resort: publish when it is low.
    pub packages_left: u32,
}
