//! send_message — spec/delivery.md#send_message

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::codec::Opaque;
use crate::crypto::sealed::SymmetricKey;
use crate::id::{Epoch, GroupId, LeafIndex};
use crate::limit::MESSAGE_BYTES_MAX;
use crate::receipt::Receipt;

/// Send an application message to all other members; signed by the sender's leaf key.
/// The sender's last message, sent again, is answered with the same acceptance.
///
/// ```text
/// struct {
///     GroupId group; LeafIndex sender; Epoch epoch; opaque state_key[32];
///     opaque message<V>;                       // MLSMessage with a PrivateMessage
/// } SendMessage;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct SendMessage {
    /// The group.
    pub group: GroupId,
    /// The sender.
    pub sender: LeafIndex,
    /// The epoch that the message is of: the group's current one.
    pub epoch: Epoch,
    /// Opens the roster: the MLS exporter of the epoch.
    pub state_key: SymmetricKey,
    /// The message.
    pub message: Opaque<MESSAGE_BYTES_MAX>,
}

/// Accepted, ordered and durable.
///
/// ```text
/// struct { Receipt receipt; } SendMessageReply;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct SendMessageReply {
    /// The message's number in the group.
    pub receipt: Receipt,
}
