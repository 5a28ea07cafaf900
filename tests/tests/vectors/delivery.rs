//! Vectors of the delivery service's operations.

use protocol::codec::encode;
use protocol::crypto::hpke::NodeKey;
use protocol::delivery::{
    AddedMember, CommitGroup, CommitGroupReply, Complain, ComplainReply, CreateGroup,
    CreateGroupReply, DeleteGroup, DeleteGroupReply, FetchExternalState, FetchExternalStateReply,
    FetchWelcomeState, FetchWelcomeStateReply, GroupState, JoinGroup, JoinGroupReply, PathProof,
    ProofVerdict, Propose, ProposeReply, RequestGroupId, RequestGroupIdReply, SendMessage,
    SendMessageReply, SendToMember, SendToMemberReply, StateWindow, UpdateTicket,
    UpdateTicketReply, WelcomeForAdded,
};
use protocol::entry::LeafLinkKey;
use protocol::id::{Epoch, LeafIndex};

use crate::operation::{reply, request, signed, vector};
use crate::sample::{self, LEAF_KEY, group, opaque, receipt, symmetric_key};
use crate::vector::{Fields, Vector};

pub(crate) fn vectors() -> Vec<Vector> {
    vec![
        request_group_id(),
        create_group(),
        commit_group(),
        send_message(),
        fetch_welcome_state(),
        send_to_member(),
        propose(),
        fetch_external_state(),
        join_group(),
        update_ticket(),
        delete_group(),
        complain(),
    ]
}

fn request_group_id() -> Vector {
    vector::<RequestGroupId>(vec![
        request(&RequestGroupId {}, Fields::new()),
        reply::<RequestGroupId>(
            RequestGroupIdReply {
                group: group(),
                delivery: sample::delivery_credential(),
            },
            Fields::new()
                .encoded("group", &group())
                .encoded("delivery", &sample::delivery_credential()),
        ),
    ])
}

fn create_group() -> Vector {
    let body = CreateGroup {
        group: group(),
        state_key: symmetric_key(0x11),
        group_info: opaque(&[0x61; 48]),
        ratchet_tree: opaque(&[0x62; 80]),
        ticket: sample::qualified_ticket(),
        link_key: sample::wrapped_link_key(),
        identity_key: sample::sealed_identity_key(),
    };
    let fields = Fields::new()
        .encoded("group", &body.group)
        .encoded("state_key", &body.state_key)
        .bytes("group_info", body.group_info.as_slice())
        .bytes("ratchet_tree", body.ratchet_tree.as_slice())
        .encoded("ticket", &body.ticket)
        .encoded("link_key", &body.link_key)
        .encoded("identity_key", &body.identity_key);
    vector::<CreateGroup>(vec![
        signed(&body, LEAF_KEY, fields),
        reply::<CreateGroup>(CreateGroupReply {}, Fields::new()),
    ])
}

fn commit_group() -> Vector {
    let body = CommitGroup {
        group: group(),
        sender: LeafIndex(0),
        state_key: symmetric_key(0x11),
        next_state_key: symmetric_key(0x12),
        commit: opaque(&[0x63; 100]),
        group_info: opaque(&[0x61; 48]),
        welcome: WelcomeForAdded {
            welcome: opaque(&[0x64; 70]),
        },
        added: vec![AddedMember {
            ticket: sample::qualified_ticket(),
            link_key: sample::wrapped_link_key(),
        }],
        identity_key: sample::sealed_identity_key(),
    };
    let fields = Fields::new()
        .encoded("group", &body.group)
        .encoded("sender", &body.sender)
        .encoded("state_key", &body.state_key)
        .encoded("next_state_key", &body.next_state_key)
        .bytes("commit", body.commit.as_slice())
        .bytes("group_info", body.group_info.as_slice())
        .bytes("welcome", body.welcome.welcome.as_slice())
        .encoded("added[0]", &body.added[0])
        .encoded("identity_key", &body.identity_key);
    let (epoch, receipt) = (Epoch(1), receipt(1));
    vector::<CommitGroup>(vec![
        signed(&body, LEAF_KEY, fields),
        reply::<CommitGroup>(
            CommitGroupReply { epoch, receipt },
            Fields::new()
                .encoded("epoch", &epoch)
                .encoded("receipt", &receipt),
        ),
    ])
}

fn send_message() -> Vector {
    let body = SendMessage {
        group: group(),
        sender: LeafIndex(1),
        epoch: Epoch(1),
        state_key: symmetric_key(0x12),
        message: opaque(&[0x65; 90]),
    };
    let fields = Fields::new()
        .encoded("group", &body.group)
        .encoded("sender", &body.sender)
        .encoded("epoch", &body.epoch)
        .encoded("state_key", &body.state_key)
        .bytes("message", body.message.as_slice());
    vector::<SendMessage>(vec![
        signed(&body, LEAF_KEY, fields),
        reply::<SendMessage>(
            SendMessageReply {
                receipt: receipt(2),
            },
            Fields::new().encoded("receipt", &receipt(2)),
        ),
    ])
}

/// What the windows of states are cut from.
fn state() -> GroupState {
    GroupState {
        ratchet_tree: opaque(&[0x62; 80]),
        link_keys: vec![LeafLinkKey {
            leaf: LeafIndex(0),
            key: sample::wrapped_link_key(),
        }],
        identity_key: sample::sealed_identity_key(),
        proposals: vec![opaque(&[0x66; 20])],
    }
}

fn state_fields() -> Fields {
    let state = state();
    Fields::new()
        .bytes("ratchet_tree", state.ratchet_tree.as_slice())
        .encoded("link_keys[0]", &state.link_keys[0])
        .encoded("identity_key", &state.identity_key)
        .bytes("proposals[0]", state.proposals[0].as_slice())
}

/// All of the state.
fn window() -> StateWindow {
    let whole = encode(&state());
    StateWindow {
        total: u32::try_from(whole.len()).unwrap(),
        bytes: opaque(&whole),
    }
}

fn fetch_welcome_state() -> Vector {
    let body = FetchWelcomeState {
        group: group(),
        epoch: Epoch(1),
        state_key: symmetric_key(0x12),
        from: 0,
    };
    let fields = Fields::new()
        .encoded("group", &body.group)
        .encoded("epoch", &body.epoch)
        .encoded("state_key", &body.state_key)
        .encoded("from", &body.from);
    vector::<FetchWelcomeState>(vec![
        request(&body, fields),
        reply::<FetchWelcomeState>(FetchWelcomeStateReply { window: window() }, state_fields()),
    ])
}

fn fetch_external_state() -> Vector {
    let body = FetchExternalState {
        group: group(),
        state_key: symmetric_key(0x11),
        from: 0,
    };
    let fields = Fields::new()
        .encoded("group", &body.group)
        .encoded("state_key", &body.state_key)
        .encoded("from", &body.from);
    let state = FetchExternalStateReply {
        epoch: Epoch(1),
        receipt: receipt(2),
        group_info: opaque(&[0x61; 48]),
        window: window(),
    };
    let reply_fields = Fields::new()
        .encoded("epoch", &state.epoch)
        .encoded("receipt", &state.receipt)
        .bytes("group_info", state.group_info.as_slice());
    vector::<FetchExternalState>(vec![
        request(&body, fields),
        reply::<FetchExternalState>(state, reply_fields.and(state_fields())),
    ])
}

fn send_to_member() -> Vector {
    let body = SendToMember {
        group: group(),
        sender: LeafIndex(1),
        epoch: Epoch(1),
        state_key: symmetric_key(0x12),
        recipient: LeafIndex(0),
        message: opaque(&[0x65; 90]),
    };
    let fields = Fields::new()
        .encoded("group", &body.group)
        .encoded("sender", &body.sender)
        .encoded("epoch", &body.epoch)
        .encoded("state_key", &body.state_key)
        .encoded("recipient", &body.recipient)
        .bytes("message", body.message.as_slice());
    vector::<SendToMember>(vec![
        signed(&body, LEAF_KEY, fields),
        reply::<SendToMember>(
            SendToMemberReply {
                receipt: receipt(2),
            },
            Fields::new().encoded("receipt", &receipt(2)),
        ),
    ])
}

fn propose() -> Vector {
    let body = Propose {
        group: group(),
        sender: LeafIndex(1),
        epoch: Epoch(1),
        state_key: symmetric_key(0x12),
        proposal: opaque(&[0x66; 60]),
    };
    let fields = Fields::new()
        .encoded("group", &body.group)
        .encoded("sender", &body.sender)
        .encoded("epoch", &body.epoch)
        .encoded("state_key", &body.state_key)
        .bytes("proposal", body.proposal.as_slice());
    vector::<Propose>(vec![
        signed(&body, LEAF_KEY, fields),
        reply::<Propose>(
            ProposeReply {
                receipt: receipt(3),
            },
            Fields::new().encoded("receipt", &receipt(3)),
        ),
    ])
}

fn join_group() -> Vector {
    let body = JoinGroup {
        group: group(),
        epoch: Epoch(1),
        state_key: symmetric_key(0x11),
        next_state_key: symmetric_key(0x13),
        commit: opaque(&[0x63; 100]),
        group_info: opaque(&[0x61; 48]),
        ticket: sample::qualified_ticket(),
        link_key: sample::wrapped_link_key(),
        identity_key: sample::sealed_identity_key(),
        proof: Some(PathProof {
            commit: opaque(&[0x65; 100]),
            node_key: NodeKey([0x66; 32]),
        }),
    };
    let fields = Fields::new()
        .encoded("group", &body.group)
        .encoded("epoch", &body.epoch)
        .encoded("state_key", &body.state_key)
        .encoded("next_state_key", &body.next_state_key)
        .bytes("commit", body.commit.as_slice())
        .bytes("group_info", body.group_info.as_slice())
        .encoded("ticket", &body.ticket)
        .encoded("link_key", &body.link_key)
        .encoded("identity_key", &body.identity_key)
        .encoded("proof", &body.proof);
    let answer = JoinGroupReply {
        epoch: Epoch(2),
        leaf: LeafIndex(1),
        receipt: receipt(4),
        proof: ProofVerdict::Holds,
    };
    vector::<JoinGroup>(vec![
        signed(&body, LEAF_KEY, fields),
        reply::<JoinGroup>(
            answer,
            Fields::new()
                .encoded("epoch", &answer.epoch)
                .encoded("leaf", &answer.leaf)
                .encoded("receipt", &answer.receipt)
                .encoded("proof", &answer.proof),
        ),
    ])
}

fn update_ticket() -> Vector {
    let body = UpdateTicket {
        group: group(),
        sender: LeafIndex(1),
        epoch: Epoch(1),
        state_key: symmetric_key(0x12),
        ticket: sample::qualified_ticket(),
    };
    let fields = Fields::new()
        .encoded("group", &body.group)
        .encoded("sender", &body.sender)
        .encoded("epoch", &body.epoch)
        .encoded("state_key", &body.state_key)
        .encoded("ticket", &body.ticket);
    vector::<UpdateTicket>(vec![
        signed(&body, LEAF_KEY, fields),
        reply::<UpdateTicket>(UpdateTicketReply {}, Fields::new()),
    ])
}

fn delete_group() -> Vector {
    let body = DeleteGroup {
        group: group(),
        sender: LeafIndex(0),
        epoch: Epoch(1),
        state_key: symmetric_key(0x12),
        message: opaque(&[0x65; 90]),
    };
    let fields = Fields::new()
        .encoded("group", &body.group)
        .encoded("sender", &body.sender)
        .encoded("epoch", &body.epoch)
        .encoded("state_key", &body.state_key)
        .bytes("message", body.message.as_slice());
    vector::<DeleteGroup>(vec![
        signed(&body, LEAF_KEY, fields),
        reply::<DeleteGroup>(
            DeleteGroupReply {
                receipt: receipt(5),
            },
            Fields::new().encoded("receipt", &receipt(5)),
        ),
    ])
}

fn complain() -> Vector {
    let body = Complain {
        group: group(),
        epoch: Epoch(0),
        state_key: symmetric_key(0x11),
        complaint: sample::complaint(),
    };
    let fields = Fields::new()
        .encoded("group", &body.group)
        .encoded("epoch", &body.epoch)
        .encoded("state_key", &body.state_key)
        .encoded("complaint", &body.complaint);
    let answer = ComplainReply {
        complaints: 1,
        quorum: 2,
    };
    vector::<Complain>(vec![
        signed(&body, LEAF_KEY, fields),
        reply::<Complain>(
            answer,
            Fields::new()
                .encoded("complaints", &answer.complaints)
                .encoded("quorum", &answer.quorum),
        ),
    ])
}
