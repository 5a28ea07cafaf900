//! Handshake messages with keys of other lengths, byte by byte.

use protocol::codec::encode;
use tls_codec::VLByteSlice;

use super::*;

/// The lengths of the HPKE keys in a commit.
#[derive(Clone, Copy)]
struct Lengths {
    init: usize,
    added: usize,
    leaf: usize,
    node: usize,
    kem_output: usize,
}

const RIGHT: Lengths = Lengths {
    init: 32,
    added: 32,
    leaf: 32,
    node: 32,
    kem_output: 32,
};

fn vector(content: &[u8]) -> Vec<u8> {
    encode(&VLByteSlice(content))
}

fn key(length: usize) -> Vec<u8> {
    vector(&vec![9; length])
}

/// Up to the signature; `source` is where the leaf is from.
fn leaf(encryption_key: usize, source: &[u8]) -> Vec<u8> {
    let identity = vec![0; SEALED_IDENTITY_EXTENSION_BYTES];
    let extension = [
        SEALED_IDENTITY_EXTENSION.to_be_bytes().to_vec(),
        vector(&identity),
    ];
    [
        key(encryption_key),
        key(32),
        BASIC_CREDENTIAL.to_be_bytes().to_vec(),
        vector(&[1; PSEUDONYM_BYTES]),
        // Capabilities.
        vec![0; 5],
        source.to_vec(),
        vector(&extension.concat()),
        vector(&[2; 64]),
    ]
    .concat()
}

/// Framing up to the content, which is a commit.
fn framing(author: &[u8]) -> Vec<u8> {
    let mut bytes = [MLS10, PUBLIC_MESSAGE].map(u16::to_be_bytes).concat();
    bytes.extend(vector(&[7; 16]));
    bytes.extend([0; 8]);
    bytes.extend(author);
    bytes.extend([0, COMMIT_CONTENT]);
    bytes
}

/// The path, the signature and the tags.
fn rest(lengths: Lengths, author: Author) -> Vec<u8> {
    let sealed = [
        vector(&[3; HPKE_KEY_BYTES]),
        vector(&[4; PATH_SECRET_BYTES]),
    ]
    .concat();
    let node = [key(lengths.node), vector(&sealed)].concat();
    let tags = match author {
        Author::Member(_) => 3,
        Author::Joiner => 2,
    };
    let from_commit = [vec![3], vector(&[5; 32])].concat();
    [
        vec![1],
        leaf(lengths.leaf, &from_commit),
        vector(&node),
        vector(&[6; 32]).repeat(tags),
    ]
    .concat()
}

/// A member's commit that adds somebody.
fn commit(lengths: Lengths) -> Vec<u8> {
    let lifetime = [vec![1], vec![0; 16]].concat();
    let package = [
        vec![0, 1, 0, 1],
        key(lengths.init),
        leaf(lengths.added, &lifetime),
        vector(&[]),
        vector(&[8; 64]),
    ];
    let add = [
        vec![1],
        proposal::ADD.to_be_bytes().to_vec(),
        package.concat(),
    ];
    let author = [MEMBER, 0, 0, 0, 5];
    [
        framing(&author),
        vector(&add.concat()),
        rest(lengths, Author::Member(5)),
    ]
    .concat()
}

fn external_commit(lengths: Lengths) -> Vec<u8> {
    let kind = proposal::EXTERNAL_INIT.to_be_bytes().to_vec();
    let init = [vec![1], kind, key(lengths.kem_output)];
    [
        framing(&[NEW_MEMBER_COMMIT]),
        vector(&init.concat()),
        rest(lengths, Author::Joiner),
    ]
    .concat()
}

fn rule(commit: &[u8]) -> Option<Rule> {
    CommitOutline::read(commit).err()
}

/// [DS-COMMIT-8]
#[test]
fn a_commit_has_no_hpke_key_of_another_length() {
    assert_eq!(rule(&commit(RIGHT)), None);
    for other in [0, 31, 33, 65] {
        let wrong = |lengths: Lengths| rule(&commit(lengths));
        let (init, added) = (other, other);
        assert_eq!(wrong(Lengths { init, ..RIGHT }), Some(Rule::KeyPackage));
        assert_eq!(wrong(Lengths { added, ..RIGHT }), Some(Rule::KeyPackage));
        let (leaf, node) = (other, other);
        assert_eq!(wrong(Lengths { leaf, ..RIGHT }), Some(Rule::Policy));
        assert_eq!(wrong(Lengths { node, ..RIGHT }), Some(Rule::Commit));
    }
}

/// [DS-COMMIT-8]
#[test]
fn an_external_commit_has_no_hpke_key_of_another_length() {
    assert_eq!(rule(&external_commit(RIGHT)), None);
    for other in [0, 31, 33, 65] {
        let wrong = |lengths: Lengths| rule(&external_commit(lengths));
        let (kem_output, leaf) = (other, other);
        assert_eq!(
            wrong(Lengths {
                kem_output,
                ..RIGHT
            }),
            Some(Rule::Commit)
        );
        assert_eq!(wrong(Lengths { leaf, ..RIGHT }), Some(Rule::Policy));
    }
}
