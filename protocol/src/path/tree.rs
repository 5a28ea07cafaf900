//! The public keys of an MLS group's tree, and which of them a commit's path is encrypted to
//! (RFC 9420 sections 4.1 and 7.5).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use tls_codec::{Error, TlsDeserializeBytes, TlsSize, VLBytes};

use crate::codec::decode_exact;
use crate::crypto::hpke::SealKey;
use crate::id::LeafIndex;

/// The nodes of a tree that are not blank, with what is known of each one's key.
#[derive(Debug)]
pub struct Tree<K> {
    /// Levels above the leaves.
    height: u32,
    leaves: BTreeMap<LeafIndex, K>,
    /// By number from the left.
    parents: BTreeMap<u32, Parent<K>>,
}

/// A tree with its public keys.
pub type TreeKeys = Tree<SealKey>;

/// A tree without them, for who only counts.
pub type TreeShape = Tree<()>;

#[derive(Debug)]
struct Parent<K> {
    key: K,
    /// Who has to be reached beside the node itself.
    unmerged: Vec<LeafIndex>,
}

/// A node of a resolution.
#[derive(Clone, Debug)]
pub(super) struct Reader<K> {
    pub(super) key: K,
    pub(super) holders: Holders,
}

/// Who has the private key of a node.
#[derive(Clone, Debug)]
pub(super) enum Holders {
    /// The member at a leaf.
    Leaf(LeafIndex),
    /// The members below a parent, those excepted that a leaf of the same resolution names.
    Below(RangeInclusive<u32>),
}

/// A parent node (RFC 9420 section 7.1).
///
/// ```text
/// struct { HPKEPublicKey encryption_key; opaque parent_hash<V>; uint32 unmerged_leaves<V>; } ParentNode;
/// ```
#[derive(TlsSize, TlsDeserializeBytes)]
struct ParentNode {
    encryption_key: VLBytes,
    _parent_hash: VLBytes,
    unmerged_leaves: Vec<LeafIndex>,
}

impl TreeKeys {
    /// From the encoded encryption key of every leaf that is not blank, and every `ParentNode` that
    /// is not. Parents are numbered from the left, as they lie between the leaves.
    ///
    /// # Errors
    /// Something is no such encoding.
    pub fn new(
        leaves: impl Iterator<Item = (u32, Vec<u8>)>,
        parents: impl Iterator<Item = (u32, Vec<u8>)>,
    ) -> Result<Self, Error> {
        let leaves = leaves.map(|(index, key)| Ok((index, seal_key(&decode_exact(&key)?)?)));
        let parents = parents.map(|(index, node)| {
            let node: ParentNode = decode_exact(&node)?;
            Ok((index, seal_key(&node.encryption_key)?, node.unmerged_leaves))
        });
        Self::collect(leaves, parents)
    }
}

impl TreeShape {
    /// From the number of every leaf that is not blank, and every `ParentNode` that is not.
    ///
    /// # Errors
    /// Something is no such encoding.
    pub fn of(
        leaves: impl Iterator<Item = u32>,
        parents: impl Iterator<Item = (u32, Vec<u8>)>,
    ) -> Result<Self, Error> {
        let parents = parents.map(|(index, node)| {
            let node: ParentNode = decode_exact(&node)?;
            Ok((index, (), node.unmerged_leaves))
        });
        Self::collect(leaves.map(|index| Ok((index, ()))), parents)
    }
}

impl<K: Copy> Tree<K> {
    fn collect(
        leaves: impl Iterator<Item = Result<(u32, K), Error>>,
        parents: impl Iterator<Item = Result<(u32, K, Vec<LeafIndex>), Error>>,
    ) -> Result<Self, Error> {
        let leaves = leaves.map(|leaf| leaf.map(|(index, key)| (LeafIndex(index), key)));
        let leaves: BTreeMap<_, _> = leaves.collect::<Result<_, Error>>()?;
        let parents = parents.map(|parent| {
            let (index, key, unmerged) = parent?;
            Ok((index, Parent { key, unmerged }))
        });
        let last = leaves.last_key_value().map_or(0, |(leaf, _)| leaf.0);
        Ok(Self {
            height: last.checked_ilog2().map_or(0, |log| log + 1),
            parents: parents.collect::<Result<_, Error>>()?,
            leaves,
        })
    }

    /// For each node of the path of a commit, how many others it is encrypted to: one ciphertext for
    /// each node of the copath's resolution, those added by the same commit excepted.
    pub fn ciphertexts(
        &self,
        committer: LeafIndex,
        added: &BTreeSet<LeafIndex>,
    ) -> impl Iterator<Item = usize> {
        self.path(committer)
            .map(|resolution| without(resolution, added).count())
    }

    /// The resolution of the copath of each node of a path. A node whose other child is empty is
    /// not in the path (RFC 9420 section 4.1.2).
    fn path(&self, committer: LeafIndex) -> impl Iterator<Item = Vec<Reader<K>>> {
        let copath = (0..self.height).map(move |level| self.copath(committer, level));
        copath.filter(|resolution| !resolution.is_empty())
    }

    /// At which node of a path a member reads, and of whom that node is read.
    pub(super) fn meeting(
        &self,
        committer: LeafIndex,
        reader: LeafIndex,
    ) -> Option<(usize, Vec<Reader<K>>)> {
        let level = (committer.0 ^ reader.0).checked_ilog2()?;
        let before = (0..level).filter(|level| !self.copath(committer, *level).is_empty());
        let resolution = (level < self.height).then(|| self.copath(committer, level))?;
        Some((before.count(), resolution))
    }

    fn copath(&self, committer: LeafIndex, level: u32) -> Vec<Reader<K>> {
        let mut resolution = Vec::new();
        self.resolve(committer.0 >> level ^ 1, level, &mut resolution);
        resolution
    }

    /// The resolution of a node: the `block`th from the left of its level.
    fn resolve(&self, block: u32, level: u32, out: &mut Vec<Reader<K>>) {
        let Some(below) = level.checked_sub(1) else {
            out.extend(self.leaf(LeafIndex(block)));
            return;
        };
        let first = block << level;
        // Parents are numbered as they lie between the leaves: level 1 has 0, 2, 4 and so on.
        let Some(parent) = self.parents.get(&(first + (1 << below) - 1)) else {
            for side in [0, 1] {
                self.resolve(block * 2 + side, below, out);
            }
            return;
        };
        out.push(Reader {
            key: parent.key,
            holders: Holders::Below(first..=first + ((1 << level) - 1)),
        });
        let unmerged = parent.unmerged.iter();
        out.extend(unmerged.filter_map(|leaf| self.leaf(*leaf)));
    }

    fn leaf(&self, leaf: LeafIndex) -> Option<Reader<K>> {
        self.leaves.get(&leaf).map(|key| Reader {
            key: *key,
            holders: Holders::Leaf(leaf),
        })
    }
}

/// A resolution without those that a commit adds: they read its Welcome.
pub(super) fn without<K>(
    resolution: Vec<Reader<K>>,
    added: &BTreeSet<LeafIndex>,
) -> impl Iterator<Item = Reader<K>> {
    let is_added =
        |reader: &Reader<K>| matches!(reader.holders, Holders::Leaf(leaf) if added.contains(&leaf));
    resolution
        .into_iter()
        .filter(move |reader| !is_added(reader))
}

pub(super) fn seal_key(bytes: &VLBytes) -> Result<SealKey, Error> {
    let key = bytes.as_slice().try_into();
    key.map(SealKey).map_err(|_| Error::InvalidVectorLength)
}
