//! request_group_id — spec/delivery.md#request_group_id

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::crypto::delivery_credential::DeliveryCredential;
use crate::id::GroupId;

/// Obtain an unused group id. Nothing is stored until the group is created.
///
/// ```text
/// struct {} RequestGroupId;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct RequestGroupId {}

/// A random id, for `create_group`, and the credential for the group's `external_senders`.
///
/// ```text
/// struct { GroupId group; DeliveryCredential delivery; } RequestGroupIdReply;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct RequestGroupIdReply {
    /// The id.
    pub group: GroupId,
    /// The key by which the service proposes and vouches for the order of events.
    pub delivery: DeliveryCredential,
}
