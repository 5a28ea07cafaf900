//! join_group — spec/delivery.md#join_group

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::codec::Opaque;
use crate::contact::QualifiedTicket;
use crate::crypto::hpke::NodeKey;
use crate::crypto::identity::WrappedLinkKey;
use crate::crypto::sealed::SymmetricKey;
use crate::delivery::SealedIdentityKey;
use crate::id::{Epoch, GroupId, LeafIndex};
use crate::limit::{COMMIT_BYTES_MAX, GROUP_INFO_BYTES_MAX};
use crate::receipt::Receipt;

/// Join by an external commit (RFC 9420 section 12.4.3.2): enter a connection group, or resync, which
/// replaces the sender's own leaf. Signed by the key of the leaf that it makes. A commit that equals
/// the last accepted one is answered with the same acceptance.
///
/// ```text
/// struct {
///     GroupId group; Epoch epoch; opaque state_key[32]; opaque next_state_key[32];
///     opaque commit<V>;                        // MLSMessage with a PublicMessage
///     opaque group_info<V>;                    // MLSMessage with the GroupInfo of the next epoch
///     QualifiedTicket ticket; WrappedLinkKey link_key;
///     SealedIdentityKey identity_key;          // under the next epoch
///     optional<PathProof> proof;               // of a resync
/// } JoinGroup;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct JoinGroup {
    /// The group.
    pub group: GroupId,
    /// The epoch that the commit ends: the group's current one.
    pub epoch: Epoch,
    /// Opens the state: as for `fetch_external_state`.
    pub state_key: SymmetricKey,
    /// Seals the state that results: the MLS exporter of the next epoch.
    pub next_state_key: SymmetricKey,
    /// The external commit.
    pub commit: Opaque<COMMIT_BYTES_MAX>,
    /// The state that results, signed by the joiner.
    pub group_info: Opaque<GROUP_INFO_BYTES_MAX>,
    /// Into the joiner's queue.
    pub ticket: QualifiedTicket,
    /// The joiner's link key under the group's identity key.
    pub link_key: WrappedLinkKey,
    /// The identity key for later joiners.
    pub identity_key: SealedIdentityKey,
    /// What shows whose commit has locked the sender out, if one has.
    pub proof: Option<PathProof>,
}

/// What shows that a commit's path was wrong for the sender: the private key of the node to which it
/// was encrypted for the sender, which is of no use any more when the resync that carries it is
/// accepted. The commit is one that ended the epoch of `state_key`.
///
/// ```text
/// struct { opaque commit<V>; opaque node_key[32]; } PathProof;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct PathProof {
    /// The commit as the sender was told it: an `MLSMessage` with a `PublicMessage`.
    pub commit: Opaque<COMMIT_BYTES_MAX>,
    /// Of the sender's leaf or of a node above it.
    pub node_key: NodeKey,
}

/// What became of the proof that a resync carried; the resync does not depend on it. [DS-PROOF-2]
///
/// ```text
/// enum { absent(0), holds(1), fails(2), late(3) } ProofVerdict;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
#[repr(u8)]
pub enum ProofVerdict {
    /// There was none.
    Absent = 0,
    /// It holds: whoever made the commit is to go.
    Holds = 1,
    /// It shows nothing.
    Fails = 2,
    /// The commit is not kept any more, or never was one that ended the epoch of the state key.
    Late = 3,
}

/// Accepted, ordered and durable.
///
/// ```text
/// struct { Epoch epoch; LeafIndex leaf; Receipt receipt; ProofVerdict proof; } JoinGroupReply;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct JoinGroupReply {
    /// The epoch that the group is in.
    pub epoch: Epoch,
    /// The joiner's leaf.
    pub leaf: LeafIndex,
    /// The commit's number in the group.
    pub receipt: Receipt,
    /// What became of the proof.
    pub proof: ProofVerdict,
}
