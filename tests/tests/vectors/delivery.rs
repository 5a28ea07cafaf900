//! Vectors of the delivery service's operations.

use protocol::delivery::{
    AddedMember, CommitGroup, CommitGroupReply, CreateGroup, CreateGroupReply, FetchWelcomeState,
    FetchWelcomeStateReply, RequestGroupId, RequestGroupIdReply, SendMessage, SendMessageReply,
    WelcomeForAdded,
};
use protocol::entry::LeafLinkKey;
use protocol::id::{Epoch, GroupId, LeafIndex, Seq};

use crate::operation::{reply, request, signed, vector};
use crate::sample::{self, counting, opaque, symmetric_key};
use crate::vector::{Fields, Vector};

const LEAF_KEY: u8 = 5;

pub(crate) fn vectors() -> Vec<Vector> {
    vec![
        request_group_id(),
        create_group(),
        commit_group(),
        send_message(),
        fetch_welcome_state(),
    ]
}

fn group() -> GroupId {
    GroupId(counting(0x01))
}

fn request_group_id() -> Vector {
    vector::<RequestGroupId>(vec![
        request(&RequestGroupId {}, Fields::new()),
        reply::<RequestGroupId>(
            RequestGroupIdReply { group: group() },
            Fields::new().encoded("group", &group()),
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
    let (epoch, number) = (Epoch(1), Seq(1));
    vector::<CommitGroup>(vec![
        signed(&body, LEAF_KEY, fields),
        reply::<CommitGroup>(
            CommitGroupReply { epoch, number },
            Fields::new()
                .encoded("epoch", &epoch)
                .encoded("number", &number),
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
            SendMessageReply { number: Seq(2) },
            Fields::new().encoded("number", &Seq(2)),
        ),
    ])
}

fn fetch_welcome_state() -> Vector {
    let body = FetchWelcomeState {
        group: group(),
        epoch: Epoch(1),
        state_key: symmetric_key(0x12),
    };
    let fields = Fields::new()
        .encoded("group", &body.group)
        .encoded("epoch", &body.epoch)
        .encoded("state_key", &body.state_key);
    let state = FetchWelcomeStateReply {
        ratchet_tree: opaque(&[0x62; 80]),
        link_keys: vec![LeafLinkKey {
            leaf: LeafIndex(0),
            key: sample::wrapped_link_key(),
        }],
        identity_key: sample::sealed_identity_key(),
    };
    let state_fields = Fields::new()
        .bytes("ratchet_tree", state.ratchet_tree.as_slice())
        .encoded("link_keys[0]", &state.link_keys[0])
        .encoded("identity_key", &state.identity_key);
    vector::<FetchWelcomeState>(vec![
        request(&body, fields),
        reply::<FetchWelcomeState>(state, state_fields),
    ])
}
