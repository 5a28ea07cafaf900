//! commit_group — spec/delivery.md#commit_group

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::codec::Opaque;
use crate::contact::QualifiedTicket;
use crate::crypto::identity::WrappedLinkKey;
use crate::crypto::sealed::SymmetricKey;
use crate::delivery::SealedIdentityKey;
use crate::id::{Epoch, GroupId, LeafIndex};
use crate::limit::{COMMIT_BYTES_MAX, GROUP_INFO_BYTES_MAX, WELCOME_BYTES_MAX};
use crate::receipt::Receipt;

/// A member that the commit adds, in the order of its Add proposals.
///
/// ```text
/// struct { QualifiedTicket ticket; WrappedLinkKey link_key; } AddedMember;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct AddedMember {
    /// From its published KeyPackage: into its queue.
    pub ticket: QualifiedTicket,
    /// Its link key under the group's identity key.
    pub link_key: WrappedLinkKey,
}

/// The Welcome for those added: empty when nobody is.
///
/// ```text
/// opaque WelcomeForAdded<0..WELCOME_BYTES_MAX>;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct WelcomeForAdded {
    /// An `MLSMessage` with a Welcome, or nothing.
    pub welcome: Opaque<WELCOME_BYTES_MAX>,
}

/// Move a group to its next epoch; signed by the committer's leaf key of the current epoch.
/// A commit that equals the last accepted one is answered with the same acceptance.
///
/// ```text
/// struct {
///     GroupId group; LeafIndex sender;
///     opaque state_key[32]; opaque next_state_key[32];
///     opaque commit<V>;                        // MLSMessage with a PublicMessage
///     opaque group_info<V>;                    // MLSMessage with the GroupInfo of the next epoch
///     WelcomeForAdded welcome; AddedMember added<V>;
///     SealedIdentityKey identity_key;          // under the next epoch
/// } CommitGroup;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct CommitGroup {
    /// The group.
    pub group: GroupId,
    /// The committer.
    pub sender: LeafIndex,
    /// Opens the state: the MLS exporter of the current epoch.
    pub state_key: SymmetricKey,
    /// Seals the state that results: the MLS exporter of the next epoch.
    pub next_state_key: SymmetricKey,
    /// The commit.
    pub commit: Opaque<COMMIT_BYTES_MAX>,
    /// The state that results, signed by the committer.
    pub group_info: Opaque<GROUP_INFO_BYTES_MAX>,
    /// For those added.
    pub welcome: WelcomeForAdded,
    /// Those added.
    pub added: Vec<AddedMember>,
    /// The identity key for those added.
    pub identity_key: SealedIdentityKey,
}

/// Accepted, ordered and durable.
///
/// ```text
/// struct { Epoch epoch; Receipt receipt; } CommitGroupReply;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct CommitGroupReply {
    /// The epoch that the group is in.
    pub epoch: Epoch,
    /// The commit's number in the group.
    pub receipt: Receipt,
}
