//! create_group — spec/delivery.md#create_group

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::codec::Opaque;
use crate::contact::QualifiedTicket;
use crate::crypto::identity::WrappedLinkKey;
use crate::crypto::sealed::SymmetricKey;
use crate::delivery::SealedIdentityKey;
use crate::id::GroupId;
use crate::limit::{GROUP_INFO_BYTES_MAX, RATCHET_TREE_BYTES_MAX};

/// Create a group in epoch 0 with its creator as the only member; signed by the creator's leaf key.
/// Sent again, it is answered the same.
///
/// ```text
/// struct {
///     GroupId group; opaque state_key[32];
///     opaque group_info<V>;                    // MLSMessage with the GroupInfo of epoch 0
///     opaque ratchet_tree<V>;                  // optional<Node> ratchet_tree<V>
///     QualifiedTicket ticket; WrappedLinkKey link_key; SealedIdentityKey identity_key;
/// } CreateGroup;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct CreateGroup {
    /// From `request_group_id`.
    pub group: GroupId,
    /// The MLS exporter of epoch 0, label `GROUP_STATE_KEY`.
    pub state_key: SymmetricKey,
    /// Signed by the creator.
    pub group_info: Opaque<GROUP_INFO_BYTES_MAX>,
    /// One leaf.
    pub ratchet_tree: Opaque<RATCHET_TREE_BYTES_MAX>,
    /// Into the creator's queue.
    pub ticket: QualifiedTicket,
    /// The creator's link key under the group's identity key.
    pub link_key: WrappedLinkKey,
    /// The identity key for those who join in epoch 0's successors.
    pub identity_key: SealedIdentityKey,
}

/// The group exists.
///
/// ```text
/// struct {} CreateGroupReply;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct CreateGroupReply {}
