//! Commits whose framing or whose proposals break a rule.

use openmls::prelude::tls_codec::Serialize as _;
use openmls::prelude::{Extension, Extensions, GroupContext, UnknownExtension};
use protocol::error::{ErrorCode, Rule};
use protocol::group_policy::GROUP_POLICY_EXTENSION;
use protocol::id::Pseudonym;

use super::{Expected, Row};
use crate::group::anvil::{
    CONTEXT_EXTENSIONS, Content, EXTERNAL_INIT, REMOVE, SELF_REMOVE, Sender, UPDATE, by_reference,
    by_value,
};
use crate::group::bytes::put_vector;
use crate::group::forgery::Forgery;
use crate::group::live::Ask;
use crate::group::member::context;

const WIRE_FORMAT: Expected = Expected::Rule(Rule::WireFormat);
const FRAME: Expected = Expected::Rule(Rule::Framing);
const COMMIT: Expected = Expected::Rule(Rule::Commit);
const NOT_ALLOWED: Expected = Expected::Rule(Rule::Policy);
const ROLE: Expected = Expected::Rule(Rule::Role);
const PENDING: Expected = Expected::Rule(Rule::PendingProposals);

/// What is no commit of this group, epoch and sender.
pub(super) const FRAMING: &[Row] = &[
    (
        "another group's",
        "RFC 9420 6.1",
        "update",
        FRAME,
        |_, it| {
            it.message.group[0] ^= 1;
        },
    ),
    (
        "a past epoch's",
        "RFC 9420 6.1",
        "update",
        FRAME,
        |_, it| {
            it.message.epoch -= 1;
        },
    ),
    (
        "a future epoch's",
        "RFC 9420 6.1",
        "update",
        FRAME,
        |_, it| {
            it.message.epoch += 1;
        },
    ),
    ("a blank leaf's", "RFC 9420 6", "update", FRAME, |_, it| {
        it.message.sender = Sender::Member(9);
    }),
    (
        "another member's",
        "RFC 9420 6.1",
        "update",
        FRAME,
        |_, it| {
            it.message.sender = Sender::Member(1);
        },
    ),
    (
        "an external sender's",
        "RFC 9420 6",
        "update",
        FRAME,
        |_, it| {
            it.message.sender = Sender::External(0);
        },
    ),
    ("a newcomer's", "RFC 9420 6", "update", FRAME, |_, it| {
        it.message.sender = Sender::NewMemberCommit;
    }),
    (
        "signed by another",
        "RFC 9420 6.1",
        "update",
        COMMIT,
        |_, it| {
            it.signers[0] = 1;
        },
    ),
    (
        "signed elsewhere",
        "RFC 9420 6.1",
        "update",
        COMMIT,
        |_, it| {
            it.context[10] ^= 1;
        },
    ),
    (
        "sent by another",
        "DS-STATE-3",
        "update",
        Expected::Code(ErrorCode::Denied),
        |_, it| {
            it.signers[1] = 1;
        },
    ),
    (
        "a proposal",
        "RFC 9420 6",
        "update",
        WIRE_FORMAT,
        |_, it| {
            it.message.content = Content::Proposal(SELF_REMOVE.to_be_bytes().to_vec());
        },
    ),
    (
        "longer than itself",
        "WIRE-ENCODING-2",
        "update",
        WIRE_FORMAT,
        |_, it| {
            it.spoil = |bytes| bytes.push(0);
        },
    ),
    (
        "cut off",
        "WIRE-ENCODING-2",
        "update",
        WIRE_FORMAT,
        |_, it| {
            it.spoil = |bytes| bytes.truncate(bytes.len() / 2);
        },
    ),
    (
        "of another version",
        "RFC 9420 6",
        "update",
        WIRE_FORMAT,
        |_, it| {
            it.spoil = |bytes| bytes[1] = 2;
        },
    ),
    (
        "of another wire format",
        "RFC 9420 6",
        "update",
        WIRE_FORMAT,
        |_, it| {
            it.spoil = |bytes| bytes[3] = 2;
        },
    ),
];

/// What MLS does not allow in a commit.
pub(super) const PROPOSALS: &[Row] = &[
    (
        "removes the committer",
        "RFC 9420 12.2",
        "update",
        COMMIT,
        |_, it| {
            insert(it, remove(0));
        },
    ),
    (
        "removes a blank leaf",
        "RFC 9420 12.1.3",
        "update",
        COMMIT,
        |_, it| {
            insert(it, remove(9));
        },
    ),
    (
        "removes a leaf twice",
        "RFC 9420 12.2",
        "remove",
        COMMIT,
        |_, it| {
            insert(it, remove(3));
        },
    ),
    (
        "adds somebody twice",
        "RFC 9420 12.2",
        "add",
        COMMIT,
        |_, it| {
            let commit = it.message.commit().unwrap();
            commit.proposals.push(commit.proposals[0].clone());
        },
    ),
    (
        "updates by value",
        "RFC 9420 12.2",
        "update",
        NOT_ALLOWED,
        |_, it| {
            let mut leaf = it.leaf().unwrap().clone();
            leaf.source = crate::group::anvil::Source::Update;
            insert(it, by_value(UPDATE, &leaf.bytes()));
        },
    ),
    (
        "initialises from outside",
        "RFC 9420 12.2",
        "update",
        NOT_ALLOWED,
        |_, it| {
            let mut output = Vec::new();
            put_vector(&mut output, &[7; 32]);
            insert(it, by_value(EXTERNAL_INIT, &output));
        },
    ),
    (
        "leaves by value",
        "MLS extensions, SelfRemove",
        "update",
        NOT_ALLOWED,
        |_, it| {
            insert(it, by_value(SELF_REMOVE, &[]));
        },
    ),
    (
        "refers to nothing",
        "RFC 9420 12.4.2",
        "update",
        COMMIT,
        |_, it| {
            insert(it, by_reference(&[7; 32]));
        },
    ),
    (
        "initialises anew",
        "DS-COMMIT-3",
        "update",
        NOT_ALLOWED,
        |_, it| {
            let mut body = Vec::new();
            put_vector(&mut body, &[7; 16]);
            body.extend_from_slice(&[0, 1, 0, 1, 0]);
            insert(it, by_value(5, &body));
        },
    ),
    (
        "injects a key",
        "DS-COMMIT-3",
        "update",
        NOT_ALLOWED,
        |_, it| {
            let mut body = vec![1];
            put_vector(&mut body, &[7; 16]);
            put_vector(&mut body, &[7; 32]);
            insert(it, by_value(4, &body));
        },
    ),
    (
        "does what nobody knows",
        "RFC 9420 12.2",
        "update",
        NOT_ALLOWED,
        |_, it| {
            let mut body = Vec::new();
            put_vector(&mut body, &[7; 16]);
            insert(it, by_value(0xf0f0, &body));
        },
    ),
    (
        "changes the context twice",
        "RFC 9420 12.2",
        "roles",
        COMMIT,
        |_, it| {
            let commit = it.message.commit().unwrap();
            commit.proposals.push(commit.proposals[0].clone());
        },
    ),
    (
        "leaves out what waits",
        "DS-COMMIT-7",
        "settle",
        PENDING,
        |live, it| {
            *it = Forgery::of(live, live.template("update by a member"));
        },
    ),
    (
        "refers twice to what waits",
        "RFC 9420 12.2",
        "settle",
        COMMIT,
        |_, it| {
            let commit = it.message.commit().unwrap();
            commit.proposals.push(commit.proposals[0].clone());
        },
    ),
    (
        "removes who leaves",
        "RFC 9420 12.2",
        "settle and add",
        COMMIT,
        |_, it| {
            insert(it, remove(2));
        },
    ),
];

/// What MLS allows and the group does not.
pub(super) const POLICY: &[Row] = &[
    (
        "removes and may not",
        "DS-ROLE-1",
        "update by a member",
        ROLE,
        |live, it| {
            *it = Forgery::of(live, live.template("removal by a member"));
        },
    ),
    (
        "adds and may not",
        "DS-ROLE-1",
        "update by a member",
        ROLE,
        |live, it| {
            *it = Forgery::of(live, live.template("addition by a member"));
        },
    ),
    (
        "promotes and may not",
        "DS-ROLE-1",
        "update by a member",
        ROLE,
        |live, it| {
            change_context(it, &context(&live.service, &[pseudonym(1), pseudonym(2)]));
        },
    ),
    (
        "leaves no admin",
        "DS-ROLE-2",
        "update",
        ROLE,
        |live, it| {
            *it = Forgery::of(live, live.template("abdication"));
        },
    ),
    (
        "lists no admin",
        "DS-ROLE-2",
        "update",
        NOT_ALLOWED,
        |live, it| {
            change_context(it, &context(&live.service, &[]));
        },
    ),
    (
        "drops the policy",
        "DS-COMMIT-3",
        "update",
        NOT_ALLOWED,
        |live, it| {
            let mut extensions = context(&live.service, &[pseudonym(1)]);
            extensions.remove(openmls::prelude::ExtensionType::Unknown(
                GROUP_POLICY_EXTENSION,
            ));
            change_context(it, &extensions);
        },
    ),
    (
        "drops the requirements",
        "DS-COMMIT-3",
        "update",
        NOT_ALLOWED,
        |live, it| {
            let mut extensions = context(&live.service, &[pseudonym(1)]);
            extensions.remove(openmls::prelude::ExtensionType::RequiredCapabilities);
            change_context(it, &extensions);
        },
    ),
    (
        "drops the service",
        "DS-COMMIT-3",
        "update",
        NOT_ALLOWED,
        |live, it| {
            let mut extensions = context(&live.service, &[pseudonym(1)]);
            extensions.remove(openmls::prelude::ExtensionType::ExternalSenders);
            change_context(it, &extensions);
        },
    ),
    (
        "replaces the service",
        "DS-COMMIT-3",
        "update",
        NOT_ALLOWED,
        |live, it| {
            let mut service = live.service.clone();
            service.tbs.public_key = live.signers[1].1.public_key();
            change_context(it, &context(&service, &[pseudonym(1)]));
        },
    ),
    (
        "adds what nobody knows to the context",
        "DS-COMMIT-3",
        "update",
        NOT_ALLOWED,
        |live, it| {
            let mut extensions = context(&live.service, &[pseudonym(1)]);
            let unknown = Extension::Unknown(0xf0f0, UnknownExtension(vec![1]));
            extensions.add(unknown).unwrap();
            change_context(it, &extensions);
        },
    ),
    (
        "empties the context",
        "DS-COMMIT-3",
        "update",
        NOT_ALLOWED,
        |_, it| {
            change_context(it, &Extensions::empty());
        },
    ),
    (
        "keeps the state key",
        "DS-STATE-2",
        "update",
        NOT_ALLOWED,
        |_, it| {
            let Ask::Commit(request) = &mut it.ask else {
                return;
            };
            request.next_state_key = request.state_key.clone();
        },
    ),
];

fn remove(leaf: u32) -> Vec<u8> {
    by_value(REMOVE, &leaf.to_be_bytes())
}

fn insert(it: &mut Forgery, proposal: Vec<u8>) {
    it.message.commit().unwrap().proposals.push(proposal);
}

fn change_context(it: &mut Forgery, extensions: &Extensions<GroupContext>) {
    let extensions = extensions.tls_serialize_detached().unwrap();
    insert(it, by_value(CONTEXT_EXTENSIONS, &extensions));
}

fn pseudonym(number: u8) -> Pseudonym {
    Pseudonym([number; 16])
}
