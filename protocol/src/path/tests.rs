//! A tree of four, whose first member commits:
//!
//! ```text
//!          root                 path: root, left
//!        /      \
//!     left     right            encrypted to: 1; right and 3, which is not merged into right
//!     /  \     /  \
//!    0    1   2    3
//! ```

use hpke_rs::hpke_types::{AeadAlgorithm, KdfAlgorithm, KemAlgorithm};
use hpke_rs::{Hpke, HpkePublicKey, Mode};
use hpke_rs_rust_crypto::HpkeRustCrypto;
use tls_codec::VLByteSlice;

use super::*;

const COMMITTER: LeafIndex = LeafIndex(0);
const RIGHT: NodeKey = NodeKey([0x25; 32]);

fn leaf_key(leaf: u8) -> NodeKey {
    NodeKey([0x10 + leaf; 32])
}

fn public(key: &NodeKey) -> SealKey {
    key.seal_key().unwrap()
}

fn vector(content: &[u8]) -> Vec<u8> {
    crate::codec::encode(&VLByteSlice(content))
}

fn context(epoch: u8, tree_hash: u8, transcript: u8) -> Vec<u8> {
    let mut bytes = vec![0, 1, 0, 1];
    bytes.extend(vector(&[7; 16]));
    bytes.extend([0, 0, 0, 0, 0, 0, 0, epoch]);
    bytes.extend(vector(&[tree_hash; 32]));
    bytes.extend(vector(&[transcript; 32]));
    bytes.extend(vector(b"extensions"));
    bytes
}

fn seal(to: &SealKey, context: &[u8], content: &[u8]) -> Vec<u8> {
    let mut suite: Hpke<HpkeRustCrypto> = Hpke::try_new(
        Mode::Base,
        KemAlgorithm::DhKem25519,
        KdfAlgorithm::HkdfSha256,
        AeadAlgorithm::Aes128Gcm,
    )
    .unwrap();
    let purpose = encrypt_context("UpdatePathNode", context);
    let key = HpkePublicKey::new(to.0.to_vec());
    let sealed = suite.seal(&key, &purpose, &[], content, None, None, None);
    let (encapsulated, ciphertext) = sealed.unwrap();
    [vector(&encapsulated), vector(&ciphertext)].concat()
}

/// What the committer encrypts, and how.
struct Told {
    /// For member 1, for `right`, for member 3.
    secrets: [Vec<u8>; 3],
    context: Vec<u8>,
}

/// The path secrets of the left node and of the root.
fn secrets() -> [Secret; 2] {
    let left = Secret::new([0x77; 32]);
    let root = derive_secret(&left, "path");
    [left, root]
}

impl Told {
    fn right() -> Self {
        let [left, root] = secrets().map(|secret| secret.to_vec());
        Self {
            secrets: [left, root.clone(), root],
            // That of the epoch after, with the transcript of the one before.
            context: context(6, 2, 1),
        }
    }

    fn commit(&self) -> Vec<u8> {
        let seal = |to: NodeKey, secret: &Vec<u8>| seal(&public(&to), &self.context, secret);
        let [first, second, third] = &self.secrets;
        let sealed = [
            seal(leaf_key(1), first),
            [seal(RIGHT, second), seal(leaf_key(3), third)].concat(),
        ];
        let nodes = secrets().into_iter().zip(sealed).map(|(secret, sealed)| {
            let key = OpenKey::from_secret(derive_secret(&secret, "node"));
            let key = vector(&key.seal_key().unwrap().0);
            [key, vector(&sealed)].concat()
        });
        let mut bytes = vec![0, 1, 0, 1];
        bytes.extend(vector(&[7; 16]));
        // Epoch 5, a member: the first; no authenticated data; a commit without proposals.
        bytes.extend([0, 0, 0, 0, 0, 0, 0, 5, 1, 0, 0, 0, 0, 0, 3, 0, 1]);
        // A leaf: two keys, a basic credential, capabilities, for a commit, extensions, signature.
        bytes.extend(
            [
                vector(&[1; 32]),
                vector(&[2; 32]),
                vec![0, 1],
                vector(&[3; 16]),
            ]
            .concat(),
        );
        bytes.extend([0, 0, 0, 0, 0, 3]);
        bytes.extend([vector(&[4; 32]), vector(b""), vector(&[5; 64])].concat());
        bytes.extend(vector(&nodes.collect::<Vec<_>>().concat()));
        bytes.extend([vector(&[6; 64]), vector(&[8; 32]), vector(&[9; 32])].concat());
        bytes
    }
}

fn tree() -> TreeKeys {
    let leaves = (0..4).map(|leaf: u8| (u32::from(leaf), vector(&public(&leaf_key(leaf)).0)));
    let parent = |key: [u8; 32], unmerged: &[u8]| {
        [vector(&key), vector(b"parent hash"), vector(unmerged)].concat()
    };
    let [left, root] = secrets().map(|secret| {
        let key = OpenKey::from_secret(derive_secret(&secret, "node"));
        parent(key.seal_key().unwrap().0, &[])
    });
    let right = parent(public(&RIGHT).0, &[0, 0, 0, 3]);
    let parents = [(0, left), (1, root), (2, right)];
    TreeKeys::new(leaves, parents.into_iter()).unwrap()
}

/// What a member shows about a commit, by a key.
fn shown(commit: &[u8], reader: u32, key: &NodeKey) -> bool {
    shown_after(commit, reader, key, &context(6, 2, 2))
}

fn shown_after(commit: &[u8], reader: u32, key: &NodeKey, after: &[u8]) -> bool {
    judged(commit, reader, key, after).is_ok()
}

fn judged(commit: &[u8], reader: u32, key: &NodeKey, after: &[u8]) -> Result<WrongPath, NotProven> {
    let path = CommitPath {
        commit,
        committer: COMMITTER,
        added: &BTreeSet::new(),
        tree: &tree(),
        before: &context(5, 1, 1),
        after,
    };
    path.prove_wrong(LeafIndex(reader), key)
}

/// Everybody's key: that of its leaf, or of the parent above it.
fn readers() -> [(u32, NodeKey); 3] {
    [(1, leaf_key(1)), (2, RIGHT), (3, leaf_key(3))]
}

/// [DS-PROOF-1]
#[test]
fn nobody_shows_that_a_right_path_is_wrong() {
    let commit = Told::right().commit();
    let keys = (0..4).map(leaf_key).chain([RIGHT, NodeKey([0x99; 32])]);
    for key in keys {
        for reader in 0..5 {
            assert!(!shown(&commit, reader, &key), "{reader}");
        }
    }
}

/// [DS-PROOF-1]
#[test]
fn another_secret_is_shown_by_its_readers_alone() {
    for victim in 0..3 {
        let mut told = Told::right();
        told.secrets[victim] = vec![0x55; 32];
        let commit = told.commit();
        for (index, (reader, key)) in readers().iter().enumerate() {
            assert_eq!(shown(&commit, *reader, key), index == victim);
            // By another's key, or for another.
            for (other, (_, key)) in readers().iter().enumerate() {
                assert!(other == index || !shown(&commit, *reader, key));
            }
        }
        assert!(!shown(&commit, 1, &NodeKey([0x99; 32])), "a key made up");
    }
}

/// [DS-PROOF-1]
#[test]
fn a_secret_of_another_length_is_wrong() {
    let mut told = Told::right();
    told.secrets[0] = vec![0x77; 31];
    assert!(shown(&told.commit(), 1, &leaf_key(1)));
}

/// [DS-PROOF-1]
#[test]
fn what_does_not_open_is_wrong() {
    let told = Told {
        context: context(6, 3, 1),
        ..Told::right()
    };
    for (reader, key) in readers() {
        assert!(shown(&told.commit(), reader, &key));
    }
}

/// [DS-PROOF-1]
#[test]
fn the_secret_of_another_node_of_the_path_is_wrong() {
    let mut told = Told::right();
    told.secrets[0] = secrets()[1].to_vec();
    assert!(shown(&told.commit(), 1, &leaf_key(1)));
}

/// [DS-PROOF-1]
#[test]
fn a_commit_that_does_not_fit_the_tree_shows_nothing() {
    let mut told = Told::right();
    told.secrets[0] = vec![0x55; 32];
    let commit = told.commit();
    assert!(shown(&commit, 1, &leaf_key(1)));
    for length in 0..commit.len() {
        // Up to the path's end, nothing is there to be judged; behind it is what MLS has checked.
        let (beginning, rest) = commit.split_at(length);
        let is_cut = rest.len() > 64 + 2 + 2 * 33;
        assert!(!is_cut || !shown(beginning, 1, &leaf_key(1)), "{length}");
    }
    let added = BTreeSet::from([LeafIndex(3)]);
    let path = CommitPath {
        commit: &commit,
        committer: COMMITTER,
        added: &added,
        tree: &tree(),
        before: &context(5, 1, 1),
        after: &context(6, 2, 2),
    };
    assert!(path.prove_wrong(LeafIndex(1), &leaf_key(1)).is_ok());
    for (reader, key) in [(2, RIGHT), (3, leaf_key(3))] {
        assert!(path.prove_wrong(LeafIndex(reader), &key).is_err());
    }
    assert!(!shown_after(&commit, 1, &leaf_key(1), b"no context"));
}

#[test]
fn a_path_is_encrypted_to_every_resolution_of_the_copath() {
    let tree = tree();
    let count = |added: &[LeafIndex]| {
        let added = added.iter().copied().collect();
        let counts = tree.ciphertexts(COMMITTER, &added);
        counts.collect::<Vec<_>>()
    };
    assert_eq!(count(&[]), [1, 2]);
    assert_eq!(count(&[LeafIndex(3)]), [1, 1]);
    assert_eq!(count(&[LeafIndex(1)]), [0, 2]);
}

/// [DS-PROOF-1]
#[test]
fn what_cannot_be_judged_is_told_from_what_is_right() {
    let right = Told::right().commit();
    let judge =
        |commit: &[u8], key: &NodeKey, after: &[u8]| judged(commit, 1, key, after).unwrap_err();
    let (key, after) = (leaf_key(1), context(6, 2, 2));
    assert_eq!(judge(&right, &key, &after), NotProven::Right);
    assert_eq!(judge(&right, &leaf_key(2), &after), NotProven::Right);
    assert_eq!(judge(&right, &key, b"no context"), NotProven::Unreadable);
    let (cut, _) = right.split_at(100);
    assert_eq!(judge(cut, &key, &after), NotProven::Unreadable);
}
