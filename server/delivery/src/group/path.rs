//! Whether a commit's path is encrypted to everybody who has to read it.
//!
//! What is encrypted only its readers can tell: see [`proof`](super::proof). That somebody is left
//! out anybody can, and OpenMLS leaves it to those who are.

use std::collections::BTreeSet;

use openmls::prelude::PublicGroup;
use protocol::codec::encode;
use protocol::error::Rule;
use protocol::id::LeafIndex;
use protocol::path::{TreeKeys, TreeShape};

/// Check the number of ciphertexts of each node of the path that led to `group`: one for each node
/// of the copath's resolution, those added by the same commit excepted (RFC 9420 section 7.5).
/// [DS-COMMIT-2]
pub(crate) fn check_path(
    group: &PublicGroup,
    committer: LeafIndex,
    added: &BTreeSet<LeafIndex>,
    ciphertexts: &[usize],
) -> Result<(), Rule> {
    if reaches(&shape(group)?, committer, added, ciphertexts) {
        Ok(())
    } else {
        Err(Rule::Commit)
    }
}

/// Whether a path is encrypted as often as it has readers.
fn reaches(
    tree: &TreeShape,
    committer: LeafIndex,
    added: &BTreeSet<LeafIndex>,
    ciphertexts: &[usize],
) -> bool {
    let expected = tree.ciphertexts(committer, added);
    expected.eq(ciphertexts.iter().copied())
}

/// Which nodes the tree has.
fn shape(group: &PublicGroup) -> Result<TreeShape, Rule> {
    let leaves = group.treesync().full_leaves();
    let leaves = leaves.map(|(index, _)| index.u32());
    TreeShape::of(leaves, parents(group)).map_err(|_| Rule::Commit)
}

/// The tree's public keys, of which OpenMLS shows the encoding alone.
pub(crate) fn tree_keys(group: &PublicGroup) -> Result<TreeKeys, Rule> {
    let leaves = group.treesync().full_leaves();
    let leaves = leaves.map(|(index, leaf)| (index.u32(), encode(leaf.encryption_key())));
    TreeKeys::new(leaves, parents(group)).map_err(|_| Rule::Commit)
}

fn parents(group: &PublicGroup) -> impl Iterator<Item = (u32, Vec<u8>)> {
    let parents = group.treesync().full_parents();
    parents.map(|(index, parent)| (index.u32(), encode(parent)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Eight leaves, of which 5 and 6 are blank. Over 2 and 3 there is a parent that 3 has not been
    /// merged with.
    ///
    /// ```text
    ///               _
    ///       _               _
    ///   _       2       _       _
    /// 0   1   2   3   4   .   .   7
    /// ```
    fn tree() -> TreeShape {
        let unmerged = LeafIndex(3);
        let parent = [[32].as_slice(), &[1; 32], &[0, 4], &encode(&unmerged)].concat();
        let leaves = [0, 1, 2, 3, 4, 7].into_iter();
        TreeShape::of(leaves, [(2, parent)].into_iter()).unwrap()
    }

    fn reaches(committer: u32, added: &[u32], ciphertexts: &[usize]) -> bool {
        let added = added.iter().copied().map(LeafIndex).collect();
        super::reaches(&tree(), LeafIndex(committer), &added, ciphertexts)
    }

    /// [DS-COMMIT-2]
    #[test]
    fn a_path_is_for_all_that_have_to_read_it() {
        assert!(reaches(0, &[], &[1, 2, 2]), "1; 2's parent and 3; 4 and 7");
        assert!(reaches(2, &[], &[1, 2, 2]), "3; 0 and 1; 4 and 7");
        assert!(reaches(4, &[], &[1, 4]), "beside 4 is nobody");
        assert!(
            reaches(0, &[3], &[1, 1, 2]),
            "who is added reads the Welcome"
        );
        assert!(
            reaches(0, &[4, 7], &[1, 2, 0]),
            "a node of the path all the same"
        );
    }

    /// [DS-COMMIT-2]
    #[test]
    fn a_path_that_leaves_somebody_out_is_refused() {
        for ciphertexts in [
            [0, 2, 2].as_slice(),
            &[1, 1, 2],
            &[1, 2, 1],
            &[1, 2, 0],
            &[1, 2],
            &[2, 2],
            &[],
        ] {
            assert!(!reaches(0, &[], ciphertexts), "{ciphertexts:?}");
        }
        assert!(
            !reaches(4, &[], &[0, 1, 4]),
            "a node that is not in the path"
        );
    }

    /// [DS-COMMIT-2]
    #[test]
    fn a_path_with_more_readers_than_there_are_is_refused() {
        for ciphertexts in [
            [2, 2, 2].as_slice(),
            &[1, 3, 2],
            &[1, 2, 4],
            &[1, 2, 2, 0],
            &[1, 2, 2, 1],
            &[2, 2, 1],
        ] {
            assert!(!reaches(0, &[], ciphertexts), "{ciphertexts:?}");
        }
        assert!(!reaches(0, &[3], &[1, 2, 2]), "who is added reads no path");
        assert!(!reaches(0, &[4, 7], &[1, 2, 1]));
    }
}
