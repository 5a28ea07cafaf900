//! Proposals that break a rule.

use protocol::error::{ErrorCode, Rule};

use super::{Expected, Row};
use crate::group::anvil::{ADD, Content, REMOVE, Sender};
use crate::group::forgery::Forgery;
use crate::group::live::Ask;

const WIRE_FORMAT: Expected = Expected::Rule(Rule::WireFormat);
const FRAME: Expected = Expected::Rule(Rule::Framing);
const COMMIT: Expected = Expected::Rule(Rule::Commit);
const NOT_ALLOWED: Expected = Expected::Rule(Rule::Policy);
const ROLE: Expected = Expected::Rule(Rule::Role);

/// Wishes that are none, or not the sender's.
pub(super) const PROPOSALS: &[Row] = &[
    ("another group's", "RFC 9420 6.1", "wish", FRAME, |_, it| {
        it.message.group[0] ^= 1;
    }),
    ("a past epoch's", "RFC 9420 6.1", "wish", FRAME, |_, it| {
        it.message.epoch -= 1;
    }),
    (
        "another member's",
        "RFC 9420 6.1",
        "wish",
        FRAME,
        |_, it| {
            it.message.sender = Sender::Member(2);
        },
    ),
    (
        "an external sender's",
        "RFC 9420 12.1.8.1",
        "wish",
        FRAME,
        |_, it| {
            it.message.sender = Sender::External(0);
        },
    ),
    ("a newcomer's", "RFC 9420 12.1.8", "wish", FRAME, |_, it| {
        it.message.sender = Sender::NewMemberProposal;
    }),
    (
        "signed by another",
        "RFC 9420 6.1",
        "wish",
        COMMIT,
        |_, it| {
            it.signers[0] = 2;
        },
    ),
    (
        "signed elsewhere",
        "RFC 9420 6.1",
        "wish",
        COMMIT,
        |_, it| {
            it.context[10] ^= 1;
        },
    ),
    (
        "sent by another",
        "DS-STATE-3",
        "wish",
        Expected::Code(ErrorCode::Denied),
        |_, it| {
            it.signers[1] = 2;
        },
    ),
    ("a removal", "DS-PROPOSE-1", "wish", NOT_ALLOWED, |_, it| {
        proposes(it, REMOVE, &2_u32.to_be_bytes());
    }),
    (
        "an addition",
        "DS-PROPOSE-1",
        "wish",
        NOT_ALLOWED,
        |live, it| {
            proposes(it, ADD, &live.packages[0]);
        },
    ),
    ("the last admin's", "DS-ROLE-2", "wish", ROLE, |_, it| {
        it.signers = [0; 2];
        it.message.sender = Sender::Member(0);
        if let Ask::Propose(request) = &mut it.ask {
            request.sender.0 = 0;
        }
    }),
    (
        "longer than itself",
        "WIRE-ENCODING-2",
        "wish",
        WIRE_FORMAT,
        |_, it| {
            it.spoil = |bytes| bytes.push(0);
        },
    ),
    (
        "of another wire format",
        "RFC 9420 6",
        "wish",
        WIRE_FORMAT,
        |_, it| {
            it.spoil = |bytes| bytes[3] = 2;
        },
    ),
];

fn proposes(it: &mut Forgery, kind: u16, body: &[u8]) {
    let proposal = [kind.to_be_bytes().as_slice(), body].concat();
    it.message.content = Content::Proposal(proposal);
}
