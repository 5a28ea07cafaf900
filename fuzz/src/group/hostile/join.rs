//! External commits that break a rule.

use protocol::error::Rule;

use super::{Expected, Row};
use crate::group::anvil::{ADD, REMOVE, SELF_REMOVE, Sender, by_value};
use crate::group::forgery::Forgery;

const FRAME: Expected = Expected::Rule(Rule::Framing);
const COMMIT: Expected = Expected::Rule(Rule::Commit);
const EXTERNAL: Expected = Expected::Rule(Rule::ExternalCommit);
const INFO: Expected = Expected::Rule(Rule::GroupInfo);
const NOT_ALLOWED: Expected = Expected::Rule(Rule::Policy);

/// External commits.
pub(super) const JOINS: &[Row] = &[
    (
        "another group's",
        "RFC 9420 6.1",
        "resync",
        FRAME,
        |_, it| {
            it.message.group[0] ^= 1;
        },
    ),
    (
        "a past epoch's",
        "RFC 9420 6.1",
        "resync",
        FRAME,
        |_, it| {
            it.message.epoch -= 1;
        },
    ),
    (
        "a member's",
        "RFC 9420 12.4.3.2",
        "resync",
        NOT_ALLOWED,
        |_, it| {
            it.message.sender = Sender::Member(3);
        },
    ),
    (
        "signed by another",
        "RFC 9420 6.1",
        "resync",
        COMMIT,
        |_, it| {
            it.signers[0] = 2;
            it.signs_leaf = false;
        },
    ),
    (
        "without its beginning",
        "RFC 9420 12.4.3.2",
        "resync",
        COMMIT,
        |_, it| {
            keep(it, |kind| kind != [1, 0, 6]);
        },
    ),
    (
        "with two beginnings",
        "RFC 9420 12.2",
        "resync",
        COMMIT,
        |_, it| {
            let proposals = &mut it.message.commit().unwrap().proposals;
            let again = proposals
                .iter()
                .find(|proposal| proposal.starts_with(&[1, 0, 6]));
            let again = again.unwrap().clone();
            proposals.push(again);
        },
    ),
    (
        "without a path",
        "RFC 9420 12.4.3.2",
        "resync",
        COMMIT,
        |_, it| {
            it.message.commit().unwrap().path = None;
        },
    ),
    (
        "that removes another",
        "DS-JOIN-2",
        "resync",
        COMMIT,
        |_, it| {
            keep(it, |kind| kind != [1, 0, 3]);
            push(it, REMOVE, &2_u32.to_be_bytes());
        },
    ),
    (
        "that removes another, too",
        "DS-JOIN-2",
        "resync",
        COMMIT,
        |_, it| {
            push(it, REMOVE, &2_u32.to_be_bytes());
        },
    ),
    (
        "that removes nobody",
        "DS-JOIN-3",
        "resync",
        COMMIT,
        |_, it| {
            keep(it, |kind| kind != [1, 0, 3]);
        },
    ),
    (
        "that adds",
        "RFC 9420 12.2",
        "resync",
        NOT_ALLOWED,
        |live, it| {
            push(it, ADD, &live.packages[0]);
        },
    ),
    (
        "that leaves by value",
        "RFC 9420 12.2",
        "resync",
        NOT_ALLOWED,
        |_, it| {
            push(it, SELF_REMOVE, &[]);
        },
    ),
    (
        "with another pseudonym",
        "DS-JOIN-2",
        "resync",
        EXTERNAL,
        |_, it| {
            it.leaf().unwrap().identity[0] ^= 1;
        },
    ),
    (
        "with another identity",
        "DS-JOIN-2",
        "resync",
        EXTERNAL,
        |_, it| {
            let extensions = &mut it.leaf().unwrap().extensions;
            let last = extensions.len() - 1;
            extensions[last] ^= 1;
        },
    ),
    (
        "of a stranger",
        "DS-JOIN-2",
        "resync",
        EXTERNAL,
        |live, it| {
            it.signers = [4; 2];
            let key = live.signers[4].1.public_key();
            it.leaf().unwrap().signature_key = key.0.to_vec();
        },
    ),
    (
        "beside another tree",
        "DS-COMMIT-4",
        "resync",
        INFO,
        |_, it| {
            it.group_info.as_mut().unwrap().tree_hash[0] ^= 1;
        },
    ),
    (
        "beside no way in",
        "DS-COMMIT-4",
        "resync",
        NOT_ALLOWED,
        |_, it| {
            it.group_info.as_mut().unwrap().extensions.clear();
        },
    ),
    (
        "with an extension that nobody knows",
        "DS-COMMIT-3",
        "resync",
        NOT_ALLOWED,
        |_, it| {
            it.leaf()
                .unwrap()
                .extensions
                .extend_from_slice(&[0xf0, 0xf0, 1, 1]);
        },
    ),
];

fn keep(it: &mut Forgery, wanted: impl Fn(&[u8]) -> bool) {
    let proposals = &mut it.message.commit().unwrap().proposals;
    proposals.retain(|proposal| wanted(&proposal[..3]));
}

fn push(it: &mut Forgery, kind: u16, body: &[u8]) {
    let proposals = &mut it.message.commit().unwrap().proposals;
    proposals.push(by_value(kind, body));
}
