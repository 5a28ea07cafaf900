//! delete_group — spec/delivery.md#delete_group

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::codec::Opaque;
use crate::crypto::sealed::SymmetricKey;
use crate::id::{Epoch, GroupId, LeafIndex};
use crate::limit::MESSAGE_BYTES_MAX;
use crate::receipt::Receipt;

/// End a group for everybody; signed by an admin's leaf key. Sent again, it is answered the same for
/// as long as the members are being told.
///
/// ```text
/// struct {
///     GroupId group; LeafIndex sender; Epoch epoch; opaque state_key[32];
///     opaque message<V>;                       // MLSMessage with a PrivateMessage
/// } DeleteGroup;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct DeleteGroup {
    /// The group.
    pub group: GroupId,
    /// The admin.
    pub sender: LeafIndex,
    /// The group's current epoch.
    pub epoch: Epoch,
    /// Opens the state: the MLS exporter of the epoch.
    pub state_key: SymmetricKey,
    /// Tells the members, who believe no one but an admin.
    pub message: Opaque<MESSAGE_BYTES_MAX>,
}

/// The group is gone; that the members are told is durable.
///
/// ```text
/// struct { Receipt receipt; } DeleteGroupReply;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct DeleteGroupReply {
    /// Of the group's last event.
    pub receipt: Receipt,
}
