//! Whom a commit's path is for, and whether it is right for one of them: what a member that is
//! locked out shows the delivery service. Spec: delivery.md#path-proof, RFC 9420 sections 7.4 to 7.6.
//!
//! ```text
//! commit, tree after it, reader --> node of the path, ciphertext, public key
//!     private key --belongs to the public key--> opens? --path secret--> the path's keys above?
//! ```

mod commit;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeSet;
use std::fmt;

use crate::crypto::hpke::{NodeKey, OpenKey, SealKey};
use crate::crypto::mls::{Secret, derive_secret, encrypt_context};
use crate::id::LeafIndex;
use crate::path::commit::{PathNode, Sealed, path_nodes, provisional};
use crate::path::tree::{Holders, Reader, seal_key, without};

pub use crate::path::tree::{Tree, TreeKeys, TreeShape};

/// A commit with a path, and where it leads.
#[derive(Debug)]
pub struct CommitPath<'a> {
    /// The commit: an `MLSMessage` with a `PublicMessage`.
    pub commit: &'a [u8],
    /// The leaf that made it, in the tree after it.
    pub committer: LeafIndex,
    /// The leaves that it adds.
    pub added: &'a BTreeSet<LeafIndex>,
    /// The tree after it.
    pub tree: &'a TreeKeys,
    /// The encoded `GroupContext` of the epoch that it ends.
    pub before: &'a [u8],
    /// The encoded `GroupContext` of the epoch that it leads to.
    pub after: &'a [u8],
}

/// A commit's path was shown to be wrong for a member. Made by [`CommitPath::prove_wrong`] alone.
#[derive(Debug)]
pub struct WrongPath(());

/// Why nothing was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotProven {
    /// The path is not for the member, the key is not the one that reads it, or reads what it should.
    Right,
    /// Nothing can be said: commit, tree and contexts do not belong together, or the operating
    /// system gives no entropy.
    Unreadable,
}

impl fmt::Display for NotProven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Right => "the path is not shown to be wrong",
            Self::Unreadable => "whether the path is wrong cannot be told",
        })
    }
}

impl std::error::Error for NotProven {}

/// Where in a path a member reads.
struct Place {
    /// The path from there up.
    nodes: Vec<PathNode>,
    /// Which of the first node's ciphertexts.
    ciphertext: usize,
    /// What it is encrypted to.
    key: SealKey,
}

impl CommitPath<'_> {
    /// The public key of the node to which the path is encrypted for a member that was in the epoch
    /// before: that of its leaf, or of a parent above it.
    ///
    /// # Errors
    /// The path is not encrypted to it.
    pub fn reader_key(&self, reader: LeafIndex) -> Result<SealKey, NotProven> {
        self.place(reader).map(|place| place.key)
    }

    /// Show by the private key of that node that the path is wrong for the member: that what is
    /// encrypted to the node does not open, or leads to other keys than the path has from there up.
    /// The key cannot show that of a path that is right, whoever made the key. [DS-PROOF-1]
    ///
    /// # Errors
    /// It shows nothing.
    pub fn prove_wrong(&self, reader: LeafIndex, key: &NodeKey) -> Result<WrongPath, NotProven> {
        let place = self.place(reader)?;
        if key.seal_key().map_err(|_| NotProven::Unreadable)? != place.key {
            return Err(NotProven::Right);
        }
        let first = place.nodes.first().ok_or(NotProven::Right)?;
        let sealed = first.secrets.get(place.ciphertext);
        let sealed = sealed.ok_or(NotProven::Unreadable)?;
        let context = provisional(self.before, self.after);
        let context = context.map_err(|_| NotProven::Unreadable)?;
        let purpose = encrypt_context("UpdatePathNode", &context);
        let Sealed {
            kem_output,
            ciphertext,
        } = sealed;
        let sealed = (kem_output.as_slice(), ciphertext.as_slice());
        let opened = key.open(&purpose, sealed);
        let Some(opened) = opened.map_err(|_| NotProven::Unreadable)? else {
            return Ok(WrongPath(()));
        };
        let mut secret = Secret::new([0; 32]);
        if opened.len() != secret.len() {
            return Ok(WrongPath(()));
        }
        secret.copy_from_slice(&opened);
        match leads_to(secret, &place.nodes)? {
            true => Err(NotProven::Right),
            false => Ok(WrongPath(())),
        }
    }

    fn place(&self, reader: LeafIndex) -> Result<Place, NotProven> {
        let (position, resolution) = self
            .tree
            .meeting(self.committer, reader)
            .ok_or(NotProven::Right)?;
        let readers: Vec<Reader<SealKey>> = without(resolution, self.added).collect();
        let at = |is_it: fn(&Holders, LeafIndex) -> bool| {
            let found = readers.iter().position(|it| is_it(&it.holders, reader));
            found.and_then(|index| Some((index, readers.get(index)?.key)))
        };
        // Who is below a parent, but not merged into it, reads by its own leaf.
        let (ciphertext, key) = at(is_leaf)
            .or_else(|| at(is_above))
            .ok_or(NotProven::Right)?;
        let mut nodes = path_nodes(self.commit).map_err(|_| NotProven::Unreadable)?;
        nodes.drain(..position.min(nodes.len()));
        // Without a path nobody is locked out.
        let first = nodes.first().ok_or(NotProven::Right)?;
        // Otherwise it is another tree that the path was made for.
        if first.secrets.len() != readers.len() {
            return Err(NotProven::Unreadable);
        }
        Ok(Place {
            nodes,
            ciphertext,
            key,
        })
    }
}

fn is_leaf(holders: &Holders, reader: LeafIndex) -> bool {
    matches!(holders, Holders::Leaf(leaf) if *leaf == reader)
}

fn is_above(holders: &Holders, reader: LeafIndex) -> bool {
    matches!(holders, Holders::Below(leaves) if leaves.contains(&reader.0))
}

/// Whether a node's path secret gives the keys of the node and of all above it.
fn leads_to(mut secret: Secret, nodes: &[PathNode]) -> Result<bool, NotProven> {
    for node in nodes {
        let told = seal_key(&node.encryption_key).map_err(|_| NotProven::Unreadable)?;
        let derived = OpenKey::from_secret(derive_secret(&secret, "node")).seal_key();
        if derived.map_err(|_| NotProven::Unreadable)? != told {
            return Ok(false);
        }
        secret = derive_secret(&secret, "path");
    }
    Ok(true)
}
