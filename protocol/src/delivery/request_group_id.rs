//! request_group_id — spec/delivery.md#request_group_id

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::id::GroupId;

/// Obtain an unused group id. Nothing is stored until the group is created.
///
/// ```text
/// struct {} RequestGroupId;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct RequestGroupId {}

/// A random id, for `create_group`.
///
/// ```text
/// struct { GroupId group; } RequestGroupIdReply;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct RequestGroupIdReply {
    /// The id.
    pub group: GroupId,
}
