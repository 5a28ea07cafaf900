//! Messages for one member, tickets, and the end of a group.

use protocol::codec::Opaque;
use protocol::delivery::{CreateGroup, DeleteGroup, SendMessage, SendToMember};
use protocol::error::Rule;
use protocol::id::{Epoch, LeafIndex};

use super::client::Client;
use super::proposals::trio;
use super::{GROUP, World, client, pair};
use crate::{Error, Policy};

/// [DS-SEND-2]
#[test]
fn a_direct_message_reaches_one_member_and_takes_no_number() {
    let (world, [mut a, b, mut c]) = trio();
    let (first, _) = world.send(&mut a, b"all").unwrap();
    let request = a.direct(b.index(), b"you");
    let (reply, _) = world.tell(&a, &request).unwrap();
    assert_eq!(reply.receipt.number, first.receipt.number);
    assert_eq!(reply.receipt.chain, first.receipt.chain);
    let (second, _) = world.send(&mut a, b"all").unwrap();
    assert_eq!(second.receipt.number, first.receipt.number.next());
    let inboxes = world.deliver(&[&a, &b, &c]);
    let counts: Vec<_> = inboxes.iter().map(Vec::len).collect();
    assert_eq!(counts, [0, 3, 2]);
    let mut b = b;
    let texts: Vec<_> = inboxes[1].iter().filter_map(|one| b.receive(one)).collect();
    let number = first.receipt.number.0;
    assert_eq!(texts[1], (number, b"you".to_vec()));
    let told = inboxes[2].iter().filter_map(|one| c.receive(one));
    assert_eq!(told.count(), 2);
}

/// [DS-SEND-2]
#[test]
fn a_direct_message_sent_again_is_not_sent_twice() {
    let (world, mut a, b) = pair();
    let request = a.direct(b.index(), b"you");
    let (reply, _) = world.tell(&a, &request).unwrap();
    let before = world.rows();
    assert_eq!(world.tell(&a, &request).unwrap().0, reply);
    assert!(world.rows() == before);
    assert_eq!(world.deliver(&[&b])[0].len(), 1);
}

/// [DS-SEND-2]
#[test]
fn a_direct_message_is_for_another_member() {
    let (world, mut a, mut b) = pair();
    let request = a.direct(b.index(), b"you");
    let before = world.rows();
    for recipient in [a.index(), LeafIndex(2), LeafIndex(u32::MAX)] {
        let request = SendToMember {
            recipient,
            ..request.clone()
        };
        let reply = world.tell(&a, &request).unwrap_err();
        assert_eq!(reply, Error::Invalid(Rule::Recipient));
    }
    let handshake = Opaque::new(b.update().commit.as_slice().to_vec()).unwrap();
    let commit = SendToMember {
        message: handshake,
        ..request.clone()
    };
    let reply = world.tell(&a, &commit).unwrap_err();
    assert_eq!(reply, Error::Invalid(Rule::WireFormat));
    assert_eq!(world.tell(&b, &request).unwrap_err(), Error::Denied);
    assert!(world.rows() == before);
}

/// [DS-TICKET-1]
#[test]
fn what_is_accepted_after_a_ticket_changed_comes_by_the_new_one() {
    let (world, mut a, b) = pair();
    world.send(&mut a, b"one").unwrap();
    let moved = b.move_to(client(9).ticket);
    world.update_ticket(&b, &moved).unwrap();
    let before = world.rows();
    world.update_ticket(&b, &moved).unwrap();
    assert!(world.rows() == before, "repeating it changes nothing");
    world.send(&mut a, b"two").unwrap();
    let counts = world.deliver(&[&b, &client(9)]).into_iter();
    assert_eq!(counts.map(|inbox| inbox.len()).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(world.update_ticket(&a, &moved), Err(Error::Denied));
}

/// [DS-TICKET-1]
#[test]
fn a_commit_keeps_a_ticket_that_changed() {
    let (world, mut a, b) = pair();
    let commit = a.update();
    world
        .update_ticket(&b, &b.move_to(client(9).ticket))
        .unwrap();
    world.commit(&a, &commit).unwrap();
    let counts = world.deliver(&[&b, &client(9)]).into_iter();
    assert_eq!(counts.map(|inbox| inbox.len()).collect::<Vec<_>>(), [0, 1]);
}

/// A group of one, and the request that ends a group of two.
fn ending() -> (World, Client, Client, DeleteGroup) {
    let (world, mut a, b) = pair();
    let request = a.end();
    (world, a, b, request)
}

/// [DS-DELETE-1]
#[test]
fn an_admin_ends_a_group_and_all_members_are_told() {
    let (world, a, mut b, request) = ending();
    let (reply, _) = world.delete(&a, &request).unwrap();
    assert_eq!(reply.receipt.number.0, 2);
    assert_eq!(world.delete(&a, &request).unwrap().0, reply);
    assert_eq!(world.delete(&b, &request).unwrap_err(), Error::Denied);
    assert_eq!(world.send(&mut b, b"x").unwrap_err(), Error::Denied);
    let fetched = world.fetch_external(GROUP, b.state_key());
    assert_eq!(fetched.map(|_| ()).unwrap_err(), Error::Denied);
    let create: CreateGroup = client(5).create(GROUP);
    let signed = client(5).sign(create, &world.binding);
    let delivery = &world.delivery;
    let reply = delivery.create_group(signed, &world.binding, world.now, &world.entropy);
    assert_eq!(reply.unwrap_err(), Error::Exists, "while they are told");
    assert_eq!(world.settle(&mut [&mut b]), [vec![2]]);
    assert!(world.rows().is_empty(), "and nothing is left then");
    assert_eq!(world.delete(&a, &request).unwrap_err(), Error::Denied);
}

/// [DS-DELETE-1]
#[test]
fn what_waited_before_a_group_ended_is_still_delivered() {
    let (world, mut a, mut b) = pair();
    world.send(&mut a, b"last words").unwrap();
    let request = a.end();
    world.delete(&a, &request).unwrap();
    assert_eq!(world.settle(&mut [&mut b]), [vec![2, 3]]);
    assert!(world.rows().is_empty());
}

/// [DS-DELETE-1]
#[test]
fn a_group_of_one_ends_at_once() {
    let world = World::new();
    let mut a = client(1);
    world.create(&mut a).unwrap();
    let request = a.end();
    world.delete(&a, &request).unwrap();
    assert!(world.rows().is_empty());
}

/// [DS-DELETE-1] [DS-ROLE-1]
#[test]
fn only_an_admin_ends_a_group() {
    let (world, a, mut b, request) = ending();
    let by_b = b.end();
    let before = world.rows();
    let reply = world.delete(&b, &by_b).unwrap_err();
    assert_eq!(reply, Error::Invalid(Rule::Role));
    let stale = DeleteGroup {
        epoch: Epoch(0),
        ..request.clone()
    };
    let reply = world.delete(&a, &stale).unwrap_err();
    assert_eq!(reply, Error::WrongEpoch(Epoch(1)));
    let empty = DeleteGroup {
        message: Opaque::default(),
        ..request
    };
    let reply = world.delete(&a, &empty).unwrap_err();
    assert_eq!(reply, Error::Invalid(Rule::WireFormat));
    assert!(world.rows() == before);
}

/// Bodies of the two look alike; their signatures, and what is remembered of them, do not.
/// [DS-DELETE-1]
#[test]
fn a_message_is_not_taken_for_the_end() {
    let (world, a, _, request) = ending();
    let DeleteGroup {
        group,
        sender,
        epoch,
        state_key,
        message,
    } = request.clone();
    let as_message = SendMessage {
        group,
        sender,
        epoch,
        state_key,
        message,
    };
    let signed = a.sign(as_message, &world.binding);
    let delivery = &world.delivery;
    delivery
        .send_message(signed, &world.binding, world.now, &world.entropy)
        .unwrap();
    let (reply, _) = world.delete(&a, &request).unwrap();
    assert_eq!(reply.receipt.number.0, 3);
}

/// [DS-DELETE-1]
#[test]
fn delete_against_send_one_wins() {
    let (world, a, mut b, request) = ending();
    let message = b.message(b"too late");
    world.delete(&a, &request).unwrap();
    let before = world.rows();
    let signed = b.sign(message, &world.binding);
    let delivery = &world.delivery;
    let reply = delivery.send_message(signed, &world.binding, world.now, &world.entropy);
    assert_eq!(reply.map(|_| ()).unwrap_err(), Error::Denied);
    assert!(world.rows() == before);
}

/// [DS-DELETE-1] [DS-OUTBOX-4]
#[test]
fn a_deleted_group_is_forgotten_when_its_last_parcel_expires() {
    let (mut world, a, _, request) = ending();
    world.set_policy(Policy {
        parcel_seconds: 86_400,
        ..super::POLICY
    });
    let (_, outbox) = world.delete(&a, &request).unwrap();
    let late = protocol::time::Timestamp(world.now.0 + 3 * 86_400);
    assert_eq!(world.delivery.expire(outbox, late, &world.entropy), Ok(1));
    assert!(world.rows().is_empty());
}
