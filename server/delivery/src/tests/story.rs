//! What members do, and what then reaches whom.

use protocol::codec::decode_exact;
use protocol::contact::Ticket;
use protocol::entry::{FanOutKey, GroupEvent, Payload};
use protocol::id::{Epoch, LeafIndex, Seq};
use protocol::time::Timestamp;

use super::{GROUP, POLICY, World, client, pair};
use crate::{Error, Policy};

/// [DS-CREATE-1] [DS-JOIN-1] [DS-FANOUT-2]
#[test]
fn members_talk_through_the_server() {
    let (world, mut a, mut b) = pair();
    let (reply, outbox) = world.send(&mut a, b"hello").unwrap();
    assert_eq!(
        reply.receipt.number,
        Seq(2),
        "the commit was the group's first event"
    );
    assert_eq!(world.delivery.pending(None, 10).unwrap(), [outbox]);
    let inbox = world.deliver(&[&a, &b]);
    assert!(inbox[0].is_empty(), "the sender is not told");
    assert_eq!(b.receive(&inbox[1][0]), Some((2, b"hello".to_vec())));
    world.send(&mut b, b"hi").unwrap();
    let inbox = world.deliver(&[&a]);
    assert_eq!(a.receive(&inbox[0][0]), Some((3, b"hi".to_vec())));
}

/// [DS-COMMIT-6]
#[test]
fn several_are_added_at_once_on_several_domains() {
    let world = World::new();
    let (mut a, mut b) = (client(1), client(2));
    let mut c = super::Client::new(3, "there.example");
    let mut d = super::Client::new(4, "there.example");
    world.create(&mut a).unwrap();
    world.add(&mut a, &mut [], &mut [&mut b, &mut c, &mut d]);
    let (_, outbox) = world.send(&mut c, b"all").unwrap();
    let parcels = world.delivery.parcels(outbox, None, 10).unwrap().parcels;
    let reached: Vec<_> = parcels
        .iter()
        .map(|p| (p.domain.as_str(), p.seq, p.tickets.len()))
        .collect();
    assert_eq!(
        reached,
        [("here.example", Seq(1), 2), ("there.example", Seq(1), 1)]
    );
    assert_ne!(
        parcels[0].link, parcels[1].link,
        "one pseudonym per destination"
    );
    let inbox = world.deliver(&[&a, &b, &d]);
    for (member, inbox) in [&mut a, &mut b, &mut d].into_iter().zip(inbox) {
        assert_eq!(member.receive(&inbox[0]), Some((2, b"all".to_vec())));
    }
}

/// [DS-FANOUT-2]
#[test]
fn who_is_removed_learns_it_and_opens_nothing_sent_later() {
    let (world, mut a, mut b) = pair();
    let mut c = client(3);
    world.add(&mut a, &mut [&mut b], &mut [&mut c]);
    let key = c.state_key();
    let request = a.remove(c.index());
    world.commit(&a, &request).unwrap();
    a.merge();
    let inbox = world.deliver(&[&b, &c]);
    b.receive(&inbox[0][0]).unwrap();
    assert_eq!(
        c.receive(&inbox[1][0]).map(|event| event.0),
        Some(3),
        "told of its removal"
    );
    world.send(&mut a, b"without you").unwrap();
    let inbox = world.deliver(&[&b, &c]);
    assert!(inbox[1].is_empty());
    let Ok(Payload::Group(sealed)) = decode_exact(&inbox[0][0]) else {
        panic!("no event")
    };
    assert!(GroupEvent::open(&FanOutKey::of(&key), sealed.as_slice()).is_err());
    assert_eq!(b.receive(&inbox[0][0]), Some((4, b"without you".to_vec())));
}

#[test]
fn a_leaf_that_was_left_is_taken_by_the_next() {
    let (world, mut a, mut b) = pair();
    let mut c = client(3);
    let request = a.commit(
        |builder| {
            let removed = openmls::prelude::LeafNodeIndex::new(1);
            builder
                .propose_removals([removed])
                .propose_adds([c.key_package()])
        },
        &[c.as_added()],
    );
    // The KeyPackage inside the commit is another one than a later call would make.
    world.commit(&a, &request).unwrap();
    a.merge();
    let inbox = world.deliver(&[&b, &c]);
    b.receive(&inbox[0][0]).unwrap();
    let fetch = c.welcome_request(&a);
    let state = world.fetch(fetch).unwrap();
    c.join(&inbox[1][0], &state);
    assert_eq!(c.index(), LeafIndex(1));
    assert_eq!(state.link_keys[1].key, c.link_key);
    let (reply, _) = world.send(&mut c, b"mine now").unwrap();
    assert_eq!(reply.receipt.number, Seq(3));
}

#[test]
fn an_update_changes_keys_and_nothing_else() {
    let (world, mut a, mut b) = pair();
    let request = b.update();
    let (reply, _) = world.commit(&b, &request).unwrap();
    assert_eq!((reply.epoch, reply.receipt.number), (Epoch(2), Seq(2)));
    b.merge();
    let inbox = world.deliver(&[&a]);
    a.receive(&inbox[0][0]).unwrap();
    assert!(a.state_key() == b.state_key());
    world.send(&mut a, b"still here").unwrap();
}

/// [DS-JOIN-1]
#[test]
fn a_joiner_finds_its_epoch_after_the_group_moved_on() {
    let (world, mut a, mut b) = pair();
    let mut c = client(3);
    let request = a.add(&[&c]);
    world.commit(&a, &request).unwrap();
    a.merge();
    let fetch = c.welcome_request(&a);
    let inbox = world.deliver(&[&b, &c]);
    b.receive(&inbox[0][0]).unwrap();
    let welcome = inbox[1][0].clone();
    let update = b.update();
    world.commit(&b, &update).unwrap();
    b.merge();
    let inbox = world.deliver(&[&a, &c]);
    a.receive(&inbox[0][0]).unwrap();
    let state = world.fetch(fetch.clone()).unwrap();
    c.join(&welcome, &state);
    assert_eq!(c.receive(&inbox[1][0]).map(|event| event.0), Some(3));
    assert!(c.state_key() == a.state_key());
    let late = Timestamp(world.now.0 + POLICY.past_state_seconds + 2 * 86_400);
    assert_eq!(
        world.delivery.fetch_welcome_state(fetch, late),
        Err(Error::Denied)
    );
}

/// [DS-COMMIT-1]
#[test]
fn one_of_two_concurrent_commits_wins() {
    let (world, mut a, mut b) = pair();
    let (first, second) = (a.update(), b.update());
    world.commit(&a, &first).unwrap();
    assert_eq!(
        world.commit(&b, &second).unwrap_err(),
        Error::WrongEpoch(Epoch(2))
    );
    b.drop_commit();
    a.merge();
    let inbox = world.deliver(&[&b]);
    b.receive(&inbox[0][0]).unwrap();
    let third = b.update();
    assert_eq!(world.commit(&b, &third).unwrap().0.epoch, Epoch(3));
}

/// The same when both were validated before either was written.
#[test]
fn a_commit_that_lost_the_race_after_validation_is_told_so() {
    let (world, mut a, mut b) = pair();
    let (first, second) = (a.update(), b.update());
    world.backend.inject(store::Fault::Conflict);
    world.commit(&a, &first).unwrap();
    let before = world.rows();
    assert_eq!(
        world.commit(&b, &second).unwrap_err(),
        Error::WrongEpoch(Epoch(2))
    );
    assert_eq!(world.rows(), before);
}

#[test]
fn a_group_may_not_outgrow_the_policy() {
    let (mut world, mut a, _) = pair();
    world.set_policy(Policy {
        members_max: 3,
        ..POLICY
    });
    let (c, d) = (client(3), client(4));
    let request = a.add(&[&c, &d]);
    let too_many = Error::Invalid(protocol::error::Rule::GroupSize);
    assert_eq!(world.commit(&a, &request).unwrap_err(), too_many);
    world.set_policy(Policy {
        state_bytes_max: 2_000,
        ..POLICY
    });
    assert_eq!(world.commit(&a, &request).unwrap_err(), too_many);
    world.set_policy(POLICY);
    world.commit(&a, &request).unwrap();
}

/// [R2] What members send, who they are and where they are reached is not in the database.
#[test]
fn nothing_identifying_is_stored_in_the_clear() {
    let (world, mut a, _) = pair();
    let request = a.message(b"a message that nobody may read");
    let message = request.message.as_slice().to_vec();
    let request = a.sign(request, &world.binding);
    world
        .delivery
        .send_message(request, &world.binding, world.now, &world.entropy)
        .unwrap();
    let Ticket(ticket) = a.ticket.ticket;
    let needles = [
        &GROUP.0[..],
        a.signer.public(),
        &a.state_key().0,
        &message[24..56],
        &ticket,
        b"here.example",
    ]
    .map(<[u8]>::to_vec);
    for (key, value) in world.rows() {
        for needle in &needles {
            let holds = |bytes: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
            assert!(!holds(&key) && !holds(&value));
        }
    }
}
