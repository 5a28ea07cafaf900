//! The order of a group's events as the delivery service vouches for it. Spec: delivery.md#receipts.
//!
//! Events are numbered, their hashes chained, and the service signs each link of the chain. Who
//! holds two receipts of one number with different hashes holds proof that the service showed
//! different people different orders.

use std::fmt;

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::codec::encode;
use crate::crypto::label;
use crate::crypto::sealed::hash;
use crate::crypto::signature::{BadSignature, PrivateKey, PublicKey, Signature};
use crate::entry::{COMMIT_KIND, GroupEventContent};
use crate::id::{GroupId, Seq};

/// Every event of a group up to one of them.
#[derive(Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ChainHash(pub [u8; 32]);

/// What of an event goes into the chain, to remember it by.
///
/// ```text
/// struct { uint8 kind; opaque hash[32]; } ContentDigest;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ContentDigest {
    kind: u8,
    hash: [u8; 32],
}

/// A link of the chain, signed by the delivery service.
///
/// ```text
/// struct { Seq number; opaque chain[32]; Signature signature; } Receipt;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Receipt {
    /// The event's number in the group; of an event that takes none, that of the last one.
    pub number: Seq,
    /// All events up to there.
    pub chain: ChainHash,
    /// Of a [`ReceiptTbs`].
    pub signature: Signature,
}

/// What the service signs.
///
/// ```text
/// struct { GroupId group; Seq number; opaque chain[32]; } ReceiptTbs;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ReceiptTbs {
    /// The group.
    pub group: GroupId,
    /// The number.
    pub number: Seq,
    /// The chain.
    pub chain: ChainHash,
}

impl fmt::Debug for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChainHash(..)")
    }
}

impl ChainHash {
    /// Of a group in which nothing has happened.
    #[must_use]
    pub fn start(group: &GroupId) -> Self {
        Self(hash(label::GROUP_CHAIN, &group.0))
    }

    /// With one more event: `H(chain || number || kind || H(content))`. Of a commit the content is
    /// the MLS message alone; what accompanies it authenticates itself. [DS-RECEIPT-1]
    #[must_use]
    pub fn next(&self, number: Seq, content: &GroupEventContent) -> Self {
        self.link(number, &ContentDigest::of(content))
    }

    /// The same for content of which only the digest is at hand.
    #[must_use]
    pub fn link(&self, number: Seq, content: &ContentDigest) -> Self {
        let number = number.0.to_be_bytes();
        let link = [self.0.as_slice(), &number, &[content.kind], &content.hash].concat();
        Self(hash(label::GROUP_CHAIN, &link))
    }
}

impl ContentDigest {
    /// Of an event's content.
    #[must_use]
    pub fn of(content: &GroupEventContent) -> Self {
        let (kind, content) = content.chained();
        Self::new(kind, &content)
    }

    /// Of a commit, whatever accompanies it.
    #[must_use]
    pub fn of_commit(message: &[u8]) -> Self {
        Self::new(COMMIT_KIND, message)
    }

    fn new(kind: u8, content: &[u8]) -> Self {
        let hash = hash(label::GROUP_CHAIN, content);
        Self { kind, hash }
    }
}

impl Receipt {
    /// Vouch for a link of a group's chain.
    #[must_use]
    pub fn sign(key: &PrivateKey, group: GroupId, number: Seq, chain: ChainHash) -> Self {
        let tbs = ReceiptTbs {
            group,
            number,
            chain,
        };
        Self {
            number,
            chain,
            signature: key.sign(label::RECEIPT, &encode(&tbs)),
        }
    }

    /// Check that the service vouches for it.
    ///
    /// # Errors
    /// It does not.
    pub fn verify(&self, key: &PublicKey, group: GroupId) -> Result<(), BadSignature> {
        let tbs = ReceiptTbs {
            group,
            number: self.number,
            chain: self.chain,
        };
        key.verify(label::RECEIPT, &encode(&tbs), &self.signature)
    }

    /// Whether the two cannot both be true of one group: proof of a fork. [DS-RECEIPT-2]
    #[must_use]
    pub fn contradicts(&self, other: &Self) -> bool {
        self.number == other.number && self.chain != other.chain
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Opaque;
    use crate::entry::CommitEvent;

    const GROUP: GroupId = GroupId([1; 16]);

    fn message(byte: u8) -> GroupEventContent {
        GroupEventContent::Message(Opaque::new(vec![byte]).unwrap())
    }

    #[test]
    fn the_chain_depends_on_number_order_and_content() {
        let start = ChainHash::start(&GROUP);
        let one = start.next(Seq(1), &message(1));
        assert_ne!(one, start.next(Seq(2), &message(1)));
        assert_ne!(one, start.next(Seq(1), &message(2)));
        let forward = one.next(Seq(2), &message(2));
        let backward = start.next(Seq(1), &message(2)).next(Seq(2), &message(1));
        assert_ne!(forward, backward);
        assert_ne!(start, ChainHash::start(&GroupId([2; 16])));
    }

    #[test]
    fn a_commit_is_chained_without_what_accompanies_it() {
        let commit = Opaque::new(vec![1, 2, 3]).unwrap();
        let event = GroupEventContent::Commit(CommitEvent {
            commit: commit.clone(),
            link_keys: Vec::new(),
        });
        let digest = ContentDigest::of_commit(commit.as_slice());
        assert_eq!(digest, ContentDigest::of(&event));
        let message = GroupEventContent::Message(Opaque::new(vec![1, 2, 3]).unwrap());
        assert_ne!(digest, ContentDigest::of(&message));
    }

    #[test]
    fn a_receipt_holds_for_its_group_number_and_chain_only() {
        let key = PrivateKey::from_seed(&[3; 32]);
        let chain = ChainHash::start(&GROUP);
        let receipt = Receipt::sign(&key, GROUP, Seq(4), chain);
        assert_eq!(receipt.verify(&key.public_key(), GROUP), Ok(()));
        let other = GroupId([2; 16]);
        assert_eq!(receipt.verify(&key.public_key(), other), Err(BadSignature));
        let moved = Receipt {
            number: Seq(5),
            ..receipt
        };
        assert_eq!(moved.verify(&key.public_key(), GROUP), Err(BadSignature));
        let forked = Receipt::sign(&key, GROUP, Seq(4), chain.next(Seq(4), &message(1)));
        assert!(receipt.contradicts(&forked));
        assert!(!receipt.contradicts(&moved) && !receipt.contradicts(&receipt));
    }
}
