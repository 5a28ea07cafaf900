//! send_to_member — spec/delivery.md#send_to_member

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::codec::Opaque;
use crate::crypto::sealed::SymmetricKey;
use crate::id::{Epoch, GroupId, LeafIndex};
use crate::limit::MESSAGE_BYTES_MAX;
use crate::receipt::Receipt;

/// Send an application message to one other member; signed by the sender's leaf key. It takes no
/// number of the group. The sender's last message, sent again, is answered the same.
///
/// ```text
/// struct {
///     GroupId group; LeafIndex sender; Epoch epoch; opaque state_key[32];
///     LeafIndex recipient;
///     opaque message<V>;                       // MLSMessage with a PrivateMessage
/// } SendToMember;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct SendToMember {
    /// The group.
    pub group: GroupId,
    /// The sender.
    pub sender: LeafIndex,
    /// The epoch that the message is of: the group's current one.
    pub epoch: Epoch,
    /// Opens the roster: the MLS exporter of the epoch.
    pub state_key: SymmetricKey,
    /// Whom it is for.
    pub recipient: LeafIndex,
    /// The message.
    pub message: Opaque<MESSAGE_BYTES_MAX>,
}

/// Accepted and durable.
///
/// ```text
/// struct { Receipt receipt; } SendToMemberReply;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct SendToMemberReply {
    /// Of the group's last event.
    pub receipt: Receipt,
}
