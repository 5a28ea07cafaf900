//! Whether a commit locked out a member that resyncs: judged on the state from before the commit,
//! which the service keeps for a while, and on the commit itself. Spec: delivery.md#path-proof.

use std::collections::BTreeSet;

use openmls::prelude::{LeafNode, LeafNodeIndex, Sender};
use openmls_rust_crypto::RustCrypto;
use protocol::codec::encode;
use protocol::crypto::signature::PublicKey;
use protocol::delivery::PathProof;
use protocol::id::LeafIndex;
use protocol::path::{CommitPath, NotProven};
use protocol::receipt::ContentDigest;
use store::StoreError;

use crate::group::commit::{decode_commit, stage};
use crate::group::mls::State;
use crate::group::path::tree_keys;
use crate::group::rules::signature_key;
use crate::tables::{PAGES, Undo};

/// The commit of a proof is, byte for byte, one that can be undone, and another member than the
/// reader made it. Made by [`Accused::new`] alone.
pub(crate) struct Accused {
    proof: PathProof,
    reader: PublicKey,
    committer: PublicKey,
}

impl Accused {
    /// Check what takes no state. [DS-PROOF-1]
    pub(crate) fn new(proof: PathProof, undo: &Undo, reader: &PublicKey) -> Option<Self> {
        let is_it = ContentDigest::of_commit(proof.commit.as_slice()) == undo.content;
        (is_it && undo.committer != *reader).then_some(Self {
            proof,
            reader: *reader,
            committer: undo.committer,
        })
    }

    /// Check that the commit's path is wrong for the reader: whose it is then. `before` is the state
    /// that the commit ended. [DS-PROOF-1]
    ///
    /// # Errors
    /// The service's: the commit that it accepted does not follow from the state that it kept.
    pub(crate) fn convict(
        &self,
        mut before: State,
        crypto: &RustCrypto,
    ) -> Result<Option<PublicKey>, StoreError> {
        let bytes = self.proof.commit.as_slice();
        let context = encode(before.group.group_context());
        let Some(reader) = leaf(&before, |leaf| signature_key(leaf) == Some(self.reader)) else {
            return Ok(None);
        };
        let commit = decode_commit(bytes).map_err(|_| corrupt())?;
        let sender = commit.sender().clone();
        let staged = stage(&before, commit, crypto).map_err(|_| corrupt())?;
        let committer = match sender {
            Sender::Member(leaf) => leaf,
            Sender::NewMemberCommit => {
                let leaf = before.group.ext_commit_sender_index(&staged);
                leaf.map_err(|_| corrupt())?
            }
            Sender::External(_) | Sender::NewMemberProposal => return Err(corrupt()),
        };
        let packages: Vec<_> = staged
            .add_proposals()
            .map(|queued| queued.add_proposal().key_package().clone())
            .collect();
        let merged = before.group.merge_commit(&before.parts, *staged);
        merged.map_err(|_| corrupt())?;
        let added = packages.iter().map(|package| {
            let key = package.leaf_node().encryption_key();
            leaf(&before, |leaf| leaf.encryption_key() == key).ok_or_else(corrupt)
        });
        let path = CommitPath {
            commit: bytes,
            committer: LeafIndex(committer.u32()),
            added: &added.collect::<Result<BTreeSet<_>, _>>()?,
            tree: &tree_keys(&before.group).map_err(|_| corrupt())?,
            before: &context,
            after: &encode(before.group.group_context()),
        };
        match path.prove_wrong(reader, &self.proof.node_key) {
            Ok(_) => Ok(Some(self.committer)),
            Err(NotProven::Right) => Ok(None),
            Err(NotProven::Unreadable) => Err(corrupt()),
        }
    }
}

/// The first leaf that is it.
fn leaf(state: &State, is_it: impl Fn(&LeafNode) -> bool) -> Option<LeafIndex> {
    let mut leaves = state.group.treesync().full_leaves();
    let found = leaves.find(|(_, leaf): &(LeafNodeIndex, &LeafNode)| is_it(leaf));
    found.map(|(index, _)| LeafIndex(index.u32()))
}

fn corrupt() -> StoreError {
    StoreError::Corrupt {
        table: PAGES.name(),
    }
}
