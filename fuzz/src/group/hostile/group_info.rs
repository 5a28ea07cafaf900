//! Commits beside a GroupInfo that does not describe what results.

use protocol::error::Rule;

use super::{Expected, Row};
use crate::group::anvil::Info;
use crate::group::bytes::put_vector;
use crate::group::forgery::Forgery;

const INFO: Expected = Expected::Rule(Rule::GroupInfo);
const NOT_ALLOWED: Expected = Expected::Rule(Rule::Policy);

/// GroupInfos.
pub(super) const INFOS: &[Row] = &[
    (
        "a GroupInfo of another version",
        "RFC 9420 12.4.3",
        "update",
        INFO,
        |_, it| {
            group_info(it).version = 2;
        },
    ),
    (
        "a GroupInfo of another ciphersuite",
        "RFC 9420 12.4.3",
        "update",
        INFO,
        |_, it| {
            group_info(it).ciphersuite = 3;
        },
    ),
    (
        "a GroupInfo of another group",
        "DS-COMMIT-4",
        "update",
        INFO,
        |_, it| {
            group_info(it).group[0] ^= 1;
        },
    ),
    (
        "a GroupInfo of the present epoch",
        "DS-COMMIT-4",
        "update",
        INFO,
        |_, it| {
            group_info(it).epoch -= 1;
        },
    ),
    (
        "a GroupInfo of the epoch after the next",
        "DS-COMMIT-4",
        "update",
        INFO,
        |_, it| {
            group_info(it).epoch += 1;
        },
    ),
    (
        "a GroupInfo of another tree",
        "DS-COMMIT-4",
        "update",
        INFO,
        |_, it| {
            group_info(it).tree_hash[0] ^= 1;
        },
    ),
    (
        "a GroupInfo of another history",
        "DS-COMMIT-4",
        "update",
        INFO,
        |_, it| {
            group_info(it).transcript_hash[0] ^= 1;
            it.follows = false;
        },
    ),
    (
        "a GroupInfo with another tag",
        "RFC 9420 12.4.3",
        "update",
        INFO,
        |_, it| {
            group_info(it).confirmation[0] ^= 1;
        },
    ),
    (
        "a GroupInfo with another context",
        "DS-COMMIT-4",
        "update",
        NOT_ALLOWED,
        |_, it| {
            group_info(it).context_extensions.clear();
        },
    ),
    (
        "a GroupInfo in another member's name",
        "RFC 9420 12.4.3",
        "update",
        INFO,
        |_, it| {
            group_info(it).signer = 1;
        },
    ),
    (
        "a GroupInfo in nobody's name",
        "RFC 9420 12.4.3",
        "update",
        INFO,
        |_, it| {
            group_info(it).signer = 9;
        },
    ),
    (
        "a GroupInfo without a way in",
        "DS-COMMIT-4",
        "update",
        NOT_ALLOWED,
        |_, it| {
            group_info(it).extensions.clear();
        },
    ),
    (
        "a GroupInfo with what nobody knows",
        "DS-COMMIT-3",
        "update",
        NOT_ALLOWED,
        |_, it| {
            let extensions = &mut group_info(it).extensions;
            extensions.extend_from_slice(&[0xf0, 0xf0]);
            put_vector(extensions, &[1]);
        },
    ),
];

fn group_info(it: &mut Forgery) -> &mut Info {
    it.group_info.as_mut().unwrap()
}
