//! What the service sees of an application message: its framing.

use protocol::codec::decode_exact;
use protocol::error::Rule;
use protocol::id::{Epoch, GroupId};
use tls_codec::{TlsDeserializeBytes, TlsSize, VLBytes};

/// An `MLSMessage` with a `PrivateMessage` (RFC 9420 section 6.3).
///
/// ```text
/// struct {
///     ProtocolVersion version; WireFormat wire_format = mls_private_message;
///     opaque group_id<V>; uint64 epoch; ContentType content_type;
///     opaque authenticated_data<V>; opaque encrypted_sender_data<V>; opaque ciphertext<V>;
/// } MLSMessage;
/// ```
#[derive(TlsSize, TlsDeserializeBytes)]
struct PrivateMessage {
    version: u16,
    wire_format: u16,
    group: VLBytes,
    epoch: u64,
    content_type: u8,
    _authenticated_data: VLBytes,
    _encrypted_sender_data: VLBytes,
    _ciphertext: VLBytes,
}

const MLS10: u16 = 1;
const PRIVATE_MESSAGE: u16 = 2;
const APPLICATION: u8 = 1;

/// Check that the bytes are an application message of this group in this epoch. [DS-SEND-1]
pub(crate) fn check_message(bytes: &[u8], group: &GroupId, epoch: Epoch) -> Result<(), Rule> {
    let message: PrivateMessage = decode_exact(bytes).map_err(|_| Rule::WireFormat)?;
    if message.version != MLS10
        || message.wire_format != PRIVATE_MESSAGE
        || message.content_type != APPLICATION
    {
        return Err(Rule::WireFormat);
    }
    if message.group.as_slice() != group.0 || message.epoch != epoch.0 {
        return Err(Rule::Framing);
    }
    Ok(())
}
