//! Commits whose update path breaks a rule.

use protocol::error::Rule;

use super::{Expected, Row};
use crate::group::anvil::Source;
use crate::group::bytes::put_vector;

const COMMIT: Expected = Expected::Rule(Rule::Commit);
const NOT_ALLOWED: Expected = Expected::Rule(Rule::Policy);

/// Paths that do not fit the tree.
pub(super) const PATHS: &[Row] = &[
    (
        "no path in an update",
        "RFC 9420 12.4",
        "update",
        COMMIT,
        |_, it| {
            it.message.commit().unwrap().path = None;
        },
    ),
    (
        "no path in a removal",
        "RFC 9420 12.4",
        "remove",
        COMMIT,
        |_, it| {
            it.message.commit().unwrap().path = None;
        },
    ),
    (
        "a path without nodes",
        "RFC 9420 7.5",
        "update",
        COMMIT,
        |_, it| {
            it.message
                .commit()
                .unwrap()
                .path
                .as_mut()
                .unwrap()
                .nodes
                .clear();
        },
    ),
    (
        "a path too short",
        "RFC 9420 7.5",
        "update",
        COMMIT,
        |_, it| {
            let path = it.message.commit().unwrap().path.as_mut().unwrap();
            path.nodes.pop();
        },
    ),
    (
        "a path too long",
        "RFC 9420 7.5",
        "update",
        COMMIT,
        |_, it| {
            let path = it.message.commit().unwrap().path.as_mut().unwrap();
            path.nodes.push(path.nodes[0].clone());
        },
    ),
    (
        "a secret too few",
        "RFC 9420 12.4.2",
        "update",
        COMMIT,
        |_, it| {
            let path = it.message.commit().unwrap().path.as_mut().unwrap();
            path.nodes[0].secrets.pop();
        },
    ),
    (
        "a secret too many",
        "RFC 9420 12.4.2",
        "update",
        COMMIT,
        |_, it| {
            let path = it.message.commit().unwrap().path.as_mut().unwrap();
            let again = path.nodes[0].secrets[0].clone();
            path.nodes[0].secrets.push(again);
        },
    ),
    (
        "one key twice in a path",
        "RFC 9420 12.4.2",
        "update",
        COMMIT,
        |_, it| {
            let path = it.message.commit().unwrap().path.as_mut().unwrap();
            path.nodes[1].key = path.nodes[0].key.clone();
        },
    ),
    (
        "the leaf's key above it",
        "RFC 9420 12.4.2",
        "update",
        COMMIT,
        |_, it| {
            let path = it.message.commit().unwrap().path.as_mut().unwrap();
            path.nodes[0].key = path.leaf.encryption_key.clone();
        },
    ),
    (
        "a key that is none",
        "RFC 9420 7.5",
        "update",
        COMMIT,
        |_, it| {
            let path = it.message.commit().unwrap().path.as_mut().unwrap();
            path.nodes[0].key.truncate(7);
        },
    ),
];

/// Leaves that are not the committer's, or no leaves of a commit.
pub(super) const LEAVES: &[Row] = &[
    (
        "a leaf of a KeyPackage",
        "RFC 9420 7.3",
        "update",
        COMMIT,
        |_, it| {
            it.leaf().unwrap().source = Source::KeyPackage(0, u64::MAX);
        },
    ),
    (
        "a leaf of an Update",
        "RFC 9420 7.3",
        "update",
        COMMIT,
        |_, it| {
            it.leaf().unwrap().source = Source::Update;
        },
    ),
    (
        "another parent hash",
        "RFC 9420 7.9.2",
        "update",
        COMMIT,
        |_, it| {
            it.leaf().unwrap().source = Source::Commit(vec![7; 32]);
        },
    ),
    (
        "a leaf that nobody signed",
        "RFC 9420 7.3",
        "update",
        COMMIT,
        |_, it| {
            it.leaf().unwrap().encryption_key[0] ^= 1;
            it.signs_leaf = false;
        },
    ),
    (
        "a leaf for another place",
        "RFC 9420 7.2",
        "update",
        COMMIT,
        |_, it| {
            it.place = 1;
        },
    ),
    (
        "another signature key",
        "DS-COMMIT-3",
        "update",
        COMMIT,
        |live, it| {
            let key = live.signers[4].1.public_key();
            it.leaf().unwrap().signature_key = key.0.to_vec();
        },
    ),
    (
        "another pseudonym",
        "DS-COMMIT-3",
        "update",
        NOT_ALLOWED,
        |_, it| {
            it.leaf().unwrap().identity[0] ^= 1;
        },
    ),
    (
        "a pseudonym too long",
        "DS-COMMIT-3",
        "update",
        NOT_ALLOWED,
        |_, it| {
            it.leaf().unwrap().identity.push(1);
        },
    ),
    (
        "another identity",
        "DS-COMMIT-3",
        "update",
        NOT_ALLOWED,
        |_, it| {
            let extensions = &mut it.leaf().unwrap().extensions;
            let last = extensions.len() - 1;
            extensions[last] ^= 1;
        },
    ),
    (
        "no identity",
        "DS-COMMIT-3",
        "update",
        NOT_ALLOWED,
        |_, it| {
            it.leaf().unwrap().extensions.clear();
        },
    ),
    (
        "an extension that nobody knows",
        "DS-COMMIT-3",
        "update",
        NOT_ALLOWED,
        |_, it| {
            let leaf = it.leaf().unwrap();
            leaf.extensions.extend_from_slice(&[0xf0, 0xf0]);
            put_vector(&mut leaf.extensions, &[1]);
            leaf.capabilities[2].extend_from_slice(&[0xf0, 0xf0]);
        },
    ),
    (
        "an extension not supported",
        "RFC 9420 7.3",
        "update",
        NOT_ALLOWED,
        |_, it| {
            let leaf = it.leaf().unwrap();
            leaf.extensions.extend_from_slice(&[0xf0, 0xf0]);
            put_vector(&mut leaf.extensions, &[1]);
        },
    ),
    (
        "less than is required",
        "RFC 9420 7.3",
        "update",
        COMMIT,
        |_, it| {
            it.leaf().unwrap().capabilities[2].clear();
        },
    ),
    (
        "no wish to leave supported",
        "RFC 9420 7.3",
        "update",
        COMMIT,
        |_, it| {
            it.leaf().unwrap().capabilities[3].clear();
        },
    ),
    (
        "another kind of credential",
        "RFC 9420 7.3",
        "update",
        NOT_ALLOWED,
        |_, it| {
            it.leaf().unwrap().credential_type = 0xf0f0;
        },
    ),
];
