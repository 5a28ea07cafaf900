//! Who may do what, and what those who may not are told.

use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::signed::Binding;
use protocol::delivery::{CommitGroup, FetchWelcomeState, SendMessage};
use protocol::error::{ErrorCode, ErrorReply, Rule};
use protocol::id::{Epoch, GroupId, LeafIndex};

use super::client::Client;
use super::{GROUP, World, client, pair};
use crate::Error;

/// Everything that can be wrong with who asks. [DS-STATE-3]
fn impostures(
    world: &World,
    mallory: &Client,
    request: &SendMessage,
) -> Vec<(&'static str, Error)> {
    let send = |request: SendMessage, binding: &Binding, to: &Binding| {
        let request = mallory.sign(request, binding);
        world
            .delivery
            .send_message(request, to, world.now, &world.entropy)
            .unwrap_err()
    };
    let here = &world.binding;
    let other = Binding {
        exporter: [6; 32],
        ..here.clone()
    };
    let elsewhere = Binding {
        domain: "evil.example".parse().unwrap(),
        ..here.clone()
    };
    vec![
        ("wrong signature", send(request.clone(), here, here)),
        ("another connection", send(request.clone(), &other, here)),
        ("another server", send(request.clone(), &elsewhere, here)),
        (
            "another server's binding",
            send(request.clone(), &elsewhere, &elsewhere),
        ),
        (
            "no such leaf",
            send(
                SendMessage {
                    sender: LeafIndex(9),
                    ..request.clone()
                },
                here,
                here,
            ),
        ),
        ("no such group", {
            send(
                SendMessage {
                    group: GroupId([8; 16]),
                    ..request.clone()
                },
                here,
                here,
            )
        }),
        ("wrong state key", {
            send(
                SendMessage {
                    state_key: SymmetricKey([1; 32]),
                    ..request.clone()
                },
                here,
                here,
            )
        }),
    ]
}

#[test]
fn strangers_cannot_tell_what_they_lack() {
    let (world, mut a, _) = pair();
    let request = a.message(b"x");
    let before = world.rows();
    for (name, error) in impostures(&world, &client(66), &request) {
        assert_eq!(error, Error::Denied, "{name}");
        assert_eq!(ErrorReply::from(&error), ErrorCode::Denied.into(), "{name}");
    }
    assert_eq!(world.rows(), before);
}

#[test]
fn a_member_is_denied_what_it_did_not_sign_for_this_connection() {
    let (world, mut a, b) = pair();
    let other = Binding {
        exporter: [6; 32],
        ..world.binding.clone()
    };
    let message = a.message(b"x");
    let request = a.sign(message.clone(), &other);
    let reply = world
        .delivery
        .send_message(request, &world.binding, world.now, &world.entropy);
    assert_eq!(reply.unwrap_err(), Error::Denied);
    let as_another = b.sign(message, &world.binding);
    let reply = world
        .delivery
        .send_message(as_another, &world.binding, world.now, &world.entropy);
    assert_eq!(reply.unwrap_err(), Error::Denied);
    let request = a.update();
    let denied = |request: CommitGroup, binding: &Binding, by: &Client| {
        let request = by.sign(request, binding);
        world
            .delivery
            .commit_group(request, &world.binding, world.now, &world.entropy)
            .unwrap_err()
    };
    assert_eq!(denied(request.clone(), &other, &a), Error::Denied);
    assert_eq!(denied(request.clone(), &world.binding, &b), Error::Denied);
    let wrong_key = CommitGroup {
        state_key: SymmetricKey([1; 32]),
        ..request.clone()
    };
    assert_eq!(denied(wrong_key, &world.binding, &a), Error::Denied);
    let nowhere = CommitGroup {
        group: GroupId([8; 16]),
        ..request.clone()
    };
    assert_eq!(denied(nowhere, &world.binding, &a), Error::Denied);
    world.commit(&a, &request).unwrap();
}

#[test]
fn who_has_an_earlier_key_is_told_the_epoch_and_others_are_not() {
    let (world, mut a, mut b) = pair();
    let late = b.message(b"late");
    for _ in 0..3 {
        let request = a.update();
        world.commit(&a, &request).unwrap();
        a.merge();
    }
    let send = |request: SendMessage| {
        let request = b.sign(request, &world.binding);
        world
            .delivery
            .send_message(request, &world.binding, world.now, &world.entropy)
            .unwrap_err()
    };
    assert_eq!(send(late.clone()), Error::WrongEpoch(Epoch(4)));
    assert_eq!(
        ErrorReply::from(&send(late.clone())),
        ErrorReply::wrong_epoch(Epoch(4))
    );
    let lying = SendMessage {
        epoch: Epoch(4),
        ..late.clone()
    };
    assert_eq!(send(lying), Error::WrongEpoch(Epoch(4)));
    let unknown = SendMessage {
        state_key: SymmetricKey([1; 32]),
        ..late
    };
    assert_eq!(send(unknown), Error::Denied);
    let request = b.update();
    assert_eq!(
        world.commit(&b, &request).unwrap_err(),
        Error::WrongEpoch(Epoch(4))
    );
}

/// [DS-SEND-1]
#[test]
fn a_message_must_be_the_one_the_request_speaks_of() {
    let (world, mut a, _) = pair();
    let request = a.message(b"x");
    let update = a.update();
    a.drop_commit();
    let mut stranger = client(9);
    stranger.create(GroupId([8; 16]));
    let elsewhere = stranger.message(b"x").message;
    let proposal = {
        let mut bytes = request.message.as_slice().to_vec();
        bytes[2 + 2 + 17 + 8] = 2;
        protocol::codec::Opaque::new(bytes).unwrap()
    };
    let cut = protocol::codec::Opaque::new(request.message.as_slice()[..40].to_vec()).unwrap();
    let public = protocol::codec::Opaque::new(update.commit.as_slice().to_vec()).unwrap();
    let before = world.rows();
    let cases = [
        (
            "cut",
            SendMessage {
                message: cut,
                ..request.clone()
            },
            Rule::WireFormat,
        ),
        (
            "a proposal",
            SendMessage {
                message: proposal,
                ..request.clone()
            },
            Rule::WireFormat,
        ),
        (
            "a commit",
            SendMessage {
                message: public,
                ..request.clone()
            },
            Rule::WireFormat,
        ),
        (
            "another group",
            SendMessage {
                message: elsewhere,
                ..request
            },
            Rule::Framing,
        ),
    ];
    for (name, request, rule) in cases {
        let request = a.sign(request, &world.binding);
        let reply = world
            .delivery
            .send_message(request, &world.binding, world.now, &world.entropy);
        assert_eq!(reply.unwrap_err(), Error::Invalid(rule), "{name}");
    }
    assert_eq!(world.rows(), before);
}

/// [DS-SEND-1]
#[test]
fn a_message_sent_again_is_answered_the_same_and_sent_once() {
    let (world, mut a, mut b) = pair();
    let request = a.message(b"once");
    let send = |exporter: u8| {
        let binding = Binding {
            exporter: [exporter; 32],
            ..world.binding.clone()
        };
        let request = a.sign(request.clone(), &binding);
        world
            .delivery
            .send_message(request, &binding, world.now, &world.entropy)
    };
    let first = send(1).unwrap();
    let before = world.rows();
    assert_eq!(send(2).unwrap(), first, "on another connection");
    let commit = b.update();
    world.commit(&b, &commit).unwrap();
    assert_eq!(send(3).unwrap(), first, "in a later epoch");
    let forged = b.sign(request.clone(), &world.binding);
    let reply = world
        .delivery
        .send_message(forged, &world.binding, world.now, &world.entropy);
    assert_eq!(reply.unwrap_err(), Error::Denied);
    assert_ne!(world.rows(), before, "the commit changed something");
    assert_eq!(world.deliver(&[&b])[0].len(), 1);
}

/// [DS-COMMIT-1]
#[test]
fn a_commit_sent_again_is_answered_the_same_and_applied_once() {
    let (world, mut a, b) = pair();
    let request = a.update();
    let first = world.commit(&a, &request).unwrap();
    let before = world.rows();
    assert_eq!(world.commit(&a, &request).unwrap(), first);
    assert_eq!(
        world.commit(&b, &request).unwrap_err(),
        Error::Denied,
        "somebody else's"
    );
    assert_eq!(world.rows(), before);
}

/// The store does not know whether it applied the commit until it has submitted it again.
#[test]
fn an_answer_in_doubt_is_found_out_by_asking_again() {
    let (world, mut a, _) = pair();
    let request = a.update();
    world.backend.inject(store::Fault::AmbiguousApplied);
    let (reply, _) = world.commit(&a, &request).unwrap();
    assert_eq!(reply.epoch, Epoch(2));
    a.merge();
    world.backend.inject(store::Fault::AmbiguousLost);
    let (reply, _) = world.send(&mut a, b"x").unwrap();
    assert_eq!(reply.receipt.number.0, 3);
}

/// [DS-CREATE-1]
#[test]
fn a_group_id_is_taken_once() {
    let world = World::new();
    let (mut a, mut b) = (client(1), client(2));
    let request = a.create(GROUP);
    let create = |by: &Client, request: &protocol::delivery::CreateGroup| {
        let request = by.sign(request.clone(), &world.binding);
        world
            .delivery
            .create_group(request, &world.binding, world.now, &world.entropy)
    };
    assert_eq!(
        create(&b, &request).unwrap_err(),
        Error::Denied,
        "not signed by its leaf"
    );
    create(&a, &request).unwrap();
    let before = world.rows();
    create(&a, &request).unwrap();
    let other = b.create(GROUP);
    assert_eq!(create(&b, &other).unwrap_err(), Error::Exists);
    assert_eq!(world.rows(), before);
}

/// [DS-JOIN-1]
#[test]
fn a_state_is_for_who_has_its_key() {
    let (world, mut a, mut b) = pair();
    let fetch = FetchWelcomeState {
        group: GROUP,
        epoch: Epoch(1),
        state_key: a.state_key(),
        from: 0,
    };
    assert!(
        world
            .delivery
            .fetch_welcome_state(fetch.clone(), world.now)
            .is_ok()
    );
    let request = a.update();
    world.commit(&a, &request).unwrap();
    a.merge();
    let inbox = world.deliver(&[&b]);
    b.receive(&inbox[0][0]).unwrap();
    let denied = |fetch: FetchWelcomeState| {
        world
            .delivery
            .fetch_welcome_state(fetch, world.now)
            .unwrap_err()
            == Error::Denied
    };
    assert!(denied(FetchWelcomeState {
        group: GroupId([8; 16]),
        ..fetch.clone()
    }));
    assert!(denied(FetchWelcomeState {
        epoch: Epoch(0),
        ..fetch.clone()
    }));
    assert!(denied(FetchWelcomeState {
        epoch: Epoch(2),
        ..fetch.clone()
    }));
    assert!(denied(FetchWelcomeState {
        state_key: SymmetricKey([1; 32]),
        ..fetch
    }));
    assert!(denied(FetchWelcomeState {
        state_key: b.state_key(),
        ..fetch
    }));
}

#[test]
fn group_ids_are_not_given_twice() {
    let world = World::new();
    let first = world.delivery.request_group_id(&world.entropy);
    assert_ne!(first, world.delivery.request_group_id(&world.entropy));
}
