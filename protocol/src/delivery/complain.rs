//! complain — spec/delivery.md#complain

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::codec::encode;
use crate::crypto::label;
use crate::crypto::sealed::SymmetricKey;
use crate::crypto::signature::{BadSignature, PrivateKey, PublicKey, Signature};
use crate::id::{Epoch, GroupId, LeafIndex, Seq};
use crate::receipt::ChainHash;

/// That a commit gives a member no way into the epoch it leads to, signed by the member's leaf key
/// so that other members can check it.
///
/// ```text
/// struct { LeafIndex leaf; Seq commit; opaque chain[32]; Signature signature; } Complaint;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Complaint {
    /// Who complains: its leaf in the epoch that the commit ended.
    pub leaf: LeafIndex,
    /// The commit's number.
    pub commit: Seq,
    /// The chain with the commit.
    pub chain: ChainHash,
    /// Of a [`ComplaintTbs`].
    pub signature: Signature,
}

/// What a complaining member signs.
///
/// ```text
/// struct { GroupId group; LeafIndex leaf; Seq commit; opaque chain[32]; } ComplaintTbs;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ComplaintTbs {
    /// The group.
    pub group: GroupId,
    /// Who complains.
    pub leaf: LeafIndex,
    /// About which commit.
    pub commit: Seq,
    /// The chain with the commit.
    pub chain: ChainHash,
}

impl Complaint {
    /// Sign a complaint.
    #[must_use]
    pub fn new(tbs: ComplaintTbs, key: &PrivateKey) -> Self {
        let signature = key.sign(label::COMPLAINT, &encode(&tbs));
        Self {
            leaf: tbs.leaf,
            commit: tbs.commit,
            chain: tbs.chain,
            signature,
        }
    }

    /// Check that the leaf with this key made it.
    ///
    /// # Errors
    /// It did not.
    pub fn verify(&self, key: &PublicKey, group: GroupId) -> Result<(), BadSignature> {
        let tbs = ComplaintTbs {
            group,
            leaf: self.leaf,
            commit: self.commit,
            chain: self.chain,
        };
        key.verify(label::COMPLAINT, &encode(&tbs), &self.signature)
    }
}

/// Complain about a commit; signed by the sender's leaf key of the epoch that the commit ended.
/// Repeating it changes nothing.
///
/// ```text
/// struct { GroupId group; Epoch epoch; opaque state_key[32]; Complaint complaint; } Complain;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Complain {
    /// The group.
    pub group: GroupId,
    /// The epoch that the commit ended.
    pub epoch: Epoch,
    /// Opens the state that is kept from before the commit: the MLS exporter of that epoch.
    pub state_key: SymmetricKey,
    /// The complaint.
    pub complaint: Complaint,
}

/// How many have complained.
///
/// ```text
/// struct { uint32 complaints; uint32 quorum; } ComplainReply;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ComplainReply {
    /// Members who complained about this commit, the sender included.
    pub complaints: u32,
    /// So many revert it. If `complaints` has reached it, it is reverted.
    pub quorum: u32,
}
