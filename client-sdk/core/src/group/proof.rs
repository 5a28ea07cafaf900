//! What shows the delivery service whose commit has locked us out. Spec: delivery.md#path-proof.
//!
//! The state that we are stuck in has the private keys of our leaf and of the nodes above it. One of
//! them is the key that should have opened the commit's path. Our resync makes it worthless, and
//! carries it.

use std::collections::BTreeSet;

use openmls::prelude::{
    GroupId as MlsGroupId, HpkePublicKey, LeafNode, LeafNodeIndex, OpenMlsProvider,
    ProcessedMessageContent, ProtocolMessage, PublicGroup, PublicMessageIn, Sender, WireFormat,
};
use openmls_rust_crypto::OpenMlsRustCrypto;
use openmls_traits::storage::{CURRENT_VERSION, Entity, StorageProvider, traits};
use openmls_traits::types::HpkePrivateKey;
use protocol::codec::{Opaque, encode};
use protocol::crypto::hpke::{NodeKey, SealKey};
use protocol::delivery::PathProof;
use protocol::id::{GroupId, LeafIndex};
use protocol::path::{CommitPath, TreeKeys};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::group::event::protocol_message;
use crate::tx::Tx;

/// A key pair as OpenMLS stores those of an epoch.
#[derive(Serialize, Deserialize)]
struct KeyPair {
    public_key: Key<HpkePublicKey>,
    private_key: Key<HpkePrivateKey>,
}

#[derive(Serialize, Deserialize)]
struct Key<K> {
    key: K,
}

impl Entity<CURRENT_VERSION> for KeyPair {}
impl traits::HpkeKeyPair<CURRENT_VERSION> for KeyPair {}

/// The place of a member in the tree that a commit leads to.
struct Reader {
    leaf: LeafIndex,
    committer: LeafIndex,
    added: BTreeSet<LeafIndex>,
    tree: TreeKeys,
    /// The contexts before and after.
    contexts: [Vec<u8>; 2],
}

impl Tx<'_> {
    /// Keep the commit that we cannot follow, for [`Self::prove_damage`].
    pub(crate) fn keep_damaging(&self, group: &GroupId, commit: &[u8]) -> Result<(), Error> {
        self.execute(
            "UPDATE damage SET message = ?2 WHERE grp = ?1",
            (group.0, commit),
        )?;
        Ok(())
    }

    /// The service cannot check a proof about the commit any more: it gets none. [SDK-PROOF-1]
    pub(crate) fn forget_damaging(&self, group: &GroupId) -> Result<(), Error> {
        self.execute("UPDATE damage SET message = NULL WHERE grp = ?1", [group.0])?;
        Ok(())
    }

    /// The proof that the commit which we cannot follow is wrong for us, if it is: the key leaves
    /// this client only if it shows that. [SDK-PROOF-1]
    pub(crate) fn prove_damage(&self, group: &GroupId) -> Result<Option<PathProof>, Error> {
        let commit = self.row(
            "SELECT message FROM damage WHERE grp = ?1",
            [group.0],
            |row| row.get::<_, Option<Vec<u8>>>(0),
        )?;
        let Some(commit) = commit.flatten() else {
            return Ok(None);
        };
        let Some(reader) = self.place_in(group, &commit)? else {
            return Ok(None);
        };
        let [before, after] = &reader.contexts;
        let path = CommitPath {
            commit: &commit,
            committer: reader.committer,
            added: &reader.added,
            tree: &reader.tree,
            before,
            after,
        };
        let Ok(public) = path.reader_key(reader.leaf) else {
            return Ok(None);
        };
        let Some(node_key) = self.node_key(group, &public)? else {
            return Ok(None);
        };
        let is_wrong = path.prove_wrong(reader.leaf, &node_key).is_ok();
        let Some(commit) = Opaque::new(commit).ok().filter(|_| is_wrong) else {
            return Ok(None);
        };
        self.execute("UPDATE damage SET revealed = 1 WHERE grp = ?1", [group.0])?;
        Ok(Some(PathProof { commit, node_key }))
    }

    /// Whether a key of the state that we are or were stuck in was shown to the service.
    pub(crate) fn has_revealed(&self, group: &GroupId) -> Result<bool, Error> {
        let sql = "SELECT revealed FROM damage WHERE grp = ?1";
        Ok(self.count(sql, [group.0])? > 0)
    }

    /// Where the commit leads, as somebody sees it who has no keys: as the service does. Nothing if
    /// it is no commit that the service could have accepted.
    fn place_in(&self, group: &GroupId, commit: &[u8]) -> Result<Option<Reader>, Error> {
        let provider = self.provider();
        let id = MlsGroupId::from_slice(&group.0);
        let leaf = LeafIndex(self.mls_group(group)?.own_leaf_index().u32());
        let public = PublicGroup::load(provider.storage(), &id)?;
        let public = public.ok_or(Error::Corrupt("MLS group"))?;
        let message = protocol_message(commit, WireFormat::PublicMessage);
        let Some(ProtocolMessage::PublicMessage(message)) = message else {
            return Ok(None);
        };
        Ok(follow(public, *message, leaf))
    }

    /// The private key of a node above our leaf, or of the leaf.
    fn node_key(&self, group: &GroupId, public: &SealKey) -> Result<Option<NodeKey>, Error> {
        let (provider, mls) = (self.provider(), self.mls_group(group)?);
        let pairs: Vec<KeyPair> = provider.storage().encryption_epoch_key_pairs(
            mls.group_id(),
            &mls.epoch(),
            mls.own_leaf_index().u32(),
        )?;
        let mut pairs = pairs.iter();
        let pair = pairs.find(|pair| pair.public_key.key.as_slice() == public.0);
        let key = pair.and_then(|pair| <[u8; 32]>::try_from(&*pair.private_key.key).ok());
        Ok(key.map(NodeKey))
    }
}

fn follow(mut public: PublicGroup, commit: PublicMessageIn, leaf: LeafIndex) -> Option<Reader> {
    // The group goes on here alone, beside what is stored.
    let scratch = OpenMlsRustCrypto::default();
    let sender = commit.sender().clone();
    let before = encode(public.group_context());
    let processed = public.process_message(scratch.crypto(), commit).ok()?;
    let ProcessedMessageContent::StagedCommitMessage(staged) = processed.into_content() else {
        return None;
    };
    let committer = match sender {
        Sender::Member(leaf) => leaf,
        Sender::NewMemberCommit => public.ext_commit_sender_index(&staged).ok()?,
        Sender::External(_) | Sender::NewMemberProposal => return None,
    };
    let packages: Vec<_> = staged
        .add_proposals()
        .map(|queued| queued.add_proposal().key_package().clone())
        .collect();
    public.merge_commit(scratch.storage(), *staged).ok()?;
    let tree = public.treesync();
    let place_of = |wanted: &LeafNode| {
        let mut leaves = tree.full_leaves();
        let is_it = |leaf: &LeafNode| leaf.encryption_key() == wanted.encryption_key();
        let found = leaves.find(|(_, leaf): &(LeafNodeIndex, &LeafNode)| is_it(leaf));
        found.map(|(index, _)| LeafIndex(index.u32()))
    };
    let added = packages.iter().map(|package| place_of(package.leaf_node()));
    let leaves = tree.full_leaves();
    let leaves = leaves.map(|(index, leaf)| (index.u32(), encode(leaf.encryption_key())));
    let parents = tree.full_parents();
    let parents = parents.map(|(index, parent)| (index.u32(), encode(parent)));
    Some(Reader {
        leaf,
        committer: LeafIndex(committer.u32()),
        added: added.collect::<Option<_>>()?,
        tree: TreeKeys::new(leaves, parents).ok()?,
        contexts: [before, encode(public.group_context())],
    })
}
