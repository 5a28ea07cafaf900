//! propose — spec/delivery.md#propose

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::codec::Opaque;
use crate::crypto::sealed::SymmetricKey;
use crate::id::{Epoch, GroupId, LeafIndex};
use crate::limit::PROPOSAL_BYTES_MAX;
use crate::receipt::Receipt;

/// Propose to leave; signed by the sender's leaf key. Whoever commits next commits it. The sender's
/// last request, sent again, is answered with the same acceptance.
///
/// ```text
/// struct {
///     GroupId group; LeafIndex sender; Epoch epoch; opaque state_key[32];
///     opaque proposal<V>;                      // MLSMessage with a PublicMessage: SelfRemove
/// } Propose;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Propose {
    /// The group.
    pub group: GroupId,
    /// The sender.
    pub sender: LeafIndex,
    /// The epoch that the proposal is of: the group's current one.
    pub epoch: Epoch,
    /// Opens the state: the MLS exporter of the epoch.
    pub state_key: SymmetricKey,
    /// The proposal.
    pub proposal: Opaque<PROPOSAL_BYTES_MAX>,
}

/// Accepted, ordered and durable.
///
/// ```text
/// struct { Receipt receipt; } ProposeReply;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ProposeReply {
    /// The proposal's number in the group.
    pub receipt: Receipt,
}
