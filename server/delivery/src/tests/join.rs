//! Joining by an external commit.

use protocol::crypto::sealed::SymmetricKey;
use protocol::delivery::JoinGroup;
use protocol::error::Rule;
use protocol::group_policy::GroupKind;
use protocol::id::{Epoch, LeafIndex};

use super::client::{Client, capabilities, context};
use super::proposals::trio;
use super::{GROUP, World, client, pair};
use crate::Error;

/// A connection group with its creator alone.
fn connection() -> (World, Client) {
    let world = World::new();
    let mut a = client(1);
    let context = context(GroupKind::Connection, &[&a]);
    let request = a.create_with(GROUP, capabilities(), context);
    let request = a.sign(request, &world.binding);
    let delivery = &world.delivery;
    delivery
        .create_group(request, &world.binding, world.now, &world.entropy)
        .unwrap();
    (world, a)
}

fn refused(world: &World, by: &Client, request: &JoinGroup, rule: Rule) {
    let before = world.rows();
    let reply = world.join(by, request).unwrap_err();
    assert_eq!(reply, Error::Invalid(rule));
    assert!(world.rows() == before);
}

/// [DS-JOIN-2]
#[test]
fn a_damaged_member_replaces_its_own_leaf() {
    let (world, [mut a, b, mut c]) = trio();
    let mut lost = client(2);
    let fetched = world.fetch_external(GROUP, b.state_key()).unwrap();
    let request = lost.enter(&fetched, &[]);
    let (reply, _) = world.join(&lost, &request).unwrap();
    assert_eq!((reply.epoch, reply.leaf), (Epoch(2), b.index()));
    let numbers = world.settle(&mut [&mut a, &mut lost, &mut c]);
    assert_eq!(numbers, [vec![2], vec![], vec![2]], "the others are told");
    world.send(&mut lost, b"here again").unwrap();
    let numbers = world.settle(&mut [&mut a, &mut c]);
    assert_eq!(numbers, [vec![3], vec![3]]);
    assert_eq!(a.group().members().count(), 3);
}

/// [DS-JOIN-4]
#[test]
fn the_key_of_an_earlier_epoch_is_a_way_back_until_somebody_is_removed() {
    let (world, [mut a, b, mut c]) = trio();
    let old_key = b.state_key();
    for _ in 0..3 {
        let commit = a.update();
        world.commit(&a, &commit).unwrap();
        a.merge();
    }
    let fetched = world.fetch_external(GROUP, old_key.clone()).unwrap();
    assert_eq!(fetched.epoch, Epoch(4));
    let mut lost = client(2);
    let request = lost.enter(&fetched, &[]);
    world.join(&lost, &request).unwrap();
    world.settle(&mut [&mut a, &mut c]);
    let remove = a.remove(c.index());
    world.commit(&a, &remove).unwrap();
    let fetched = world.fetch_external(GROUP, old_key);
    assert_eq!(fetched.map(|_| ()).unwrap_err(), Error::Denied);
}

/// [DS-COMMIT-1]
#[test]
fn an_external_commit_sent_again_is_answered_the_same() {
    let (world, mut a, b) = pair();
    let fetched = world.fetch_external(GROUP, b.state_key()).unwrap();
    let mut lost = client(2);
    let request = lost.enter(&fetched, &[]);
    let (reply, _) = world.join(&lost, &request).unwrap();
    let before = world.rows();
    assert_eq!(world.join(&lost, &request).unwrap().0, reply);
    assert!(world.rows() == before);
    assert_eq!(world.join(&a, &request).unwrap_err(), Error::Denied);
    world.settle(&mut [&mut a]);
}

/// [DS-JOIN-2] [DS-COMMIT-5]
#[test]
fn an_external_commit_replaces_exactly_its_senders_leaf() {
    let (world, mut a, b) = pair();
    let fetched = world.fetch_external(GROUP, b.state_key()).unwrap();
    let mut stranger = client(3);
    let request = stranger.enter(&fetched, &[]);
    refused(&world, &stranger, &request, Rule::ExternalCommit);
    let mut renamed = client(2);
    renamed.leaf.pseudonym = vec![9; 16];
    let request = renamed.enter(&fetched, &[]);
    refused(&world, &renamed, &request, Rule::ExternalCommit);
    let mut posing = client(2);
    posing.leaf.extensions = client(3).leaf.extensions;
    let request = posing.enter(&fetched, &[]);
    refused(&world, &posing, &request, Rule::ExternalCommit);
    let mut lost = client(2);
    let good = lost.enter(&fetched, &[]);
    assert_eq!(world.join(&a, &good).unwrap_err(), Error::Denied);
    let other_key = JoinGroup {
        next_state_key: good.state_key.clone(),
        ..good.clone()
    };
    refused(&world, &lost, &other_key, Rule::Policy);
    let other_info = JoinGroup {
        group_info: request.group_info,
        ..good.clone()
    };
    refused(&world, &lost, &other_info, Rule::GroupInfo);
    let member_commit = JoinGroup {
        commit: a.update().commit,
        ..good.clone()
    };
    refused(&world, &lost, &member_commit, Rule::Framing);
    world.join(&lost, &good).unwrap();
}

/// [DS-JOIN-2] [DS-COMMIT-7]
#[test]
fn an_external_commit_carries_the_wishes_to_leave() {
    let (world, [mut a, mut b, c]) = trio();
    let wish = b.leave();
    world.propose(&b, &wish).unwrap();
    world.settle(&mut [&mut a]);
    let fetched = world.fetch_external(GROUP, c.state_key()).unwrap();
    let mut lost = client(3);
    let without = lost.enter(&fetched, &[]);
    refused(&world, &lost, &without, Rule::PendingProposals);
    let request = lost.enter(&fetched, &[&wish]);
    let (reply, _) = world.join(&lost, &request).unwrap();
    assert_eq!(reply.leaf, LeafIndex(1), "the leftmost that is free then");
    world.settle(&mut [&mut a, &mut b]);
    assert!(!b.group().is_active());
    assert_eq!(a.group().members().count(), 2);
}

/// [DS-JOIN-2] [DS-PROPOSE-2]
#[test]
fn what_the_service_proposed_is_proposed_again_after_an_external_commit() {
    let (world, [mut a, b, c]) = trio();
    let (_, outbox) = world.send(&mut a, b"x").unwrap();
    let gone = [c.ticket.ticket];
    world
        .delivery
        .report_gone(outbox, &gone, &world.entropy)
        .unwrap();
    let commit = a.update();
    world.commit(&a, &commit).unwrap();
    a.merge();
    world.settle(&mut [&mut a]);
    assert_eq!(a.group().pending_proposals().count(), 1);
    let fetched = world.fetch_external(GROUP, b.state_key()).unwrap();
    let mut unwanted = client(3);
    let request = unwanted.enter(&fetched, &[]);
    refused(&world, &unwanted, &request, Rule::ExternalCommit);
    let mut lost = client(2);
    let request = lost.enter(&fetched, &[]);
    world.join(&lost, &request).unwrap();
    world.settle(&mut [&mut a, &mut lost]);
    assert_eq!(a.group().pending_proposals().count(), 1);
    let commit = lost.update();
    world.commit(&lost, &commit).unwrap();
    lost.merge();
    world.settle(&mut [&mut a]);
    assert_eq!(a.group().members().count(), 2);
}

/// [DS-JOIN-3] [DS-ROLE-3]
#[test]
fn a_second_person_enters_a_connection_group_and_never_a_third() {
    let (world, mut a) = connection();
    let fetched = world.fetch_external(GROUP, a.state_key()).unwrap();
    let mut b = client(2);
    let request = b.enter(&fetched, &[]);
    let (reply, _) = world.join(&b, &request).unwrap();
    assert_eq!(reply.leaf, LeafIndex(1));
    world.settle(&mut [&mut a]);
    world.send(&mut b, b"hello").unwrap();
    assert_eq!(world.settle(&mut [&mut a]), [vec![2]]);
    let fetched = world.fetch_external(GROUP, a.state_key()).unwrap();
    let mut c = client(3);
    let request = c.enter(&fetched, &[]);
    refused(&world, &c, &request, Rule::ExternalCommit);
}

/// [DS-JOIN-3]
#[test]
fn nobody_enters_a_connection_group_as_who_is_there() {
    let (world, a) = connection();
    let fetched = world.fetch_external(GROUP, a.state_key()).unwrap();
    let mut b = client(2);
    b.leaf.pseudonym.clone_from(&a.leaf.pseudonym);
    let request = b.enter(&fetched, &[]);
    refused(&world, &b, &request, Rule::Policy);
}

/// [DS-JOIN-3]
#[test]
fn nobody_enters_a_group_that_is_no_connection_group() {
    let world = World::new();
    let mut a = client(1);
    world.create(&mut a).unwrap();
    let fetched = world.fetch_external(GROUP, a.state_key()).unwrap();
    let mut b = client(2);
    let request = b.enter(&fetched, &[]);
    refused(&world, &b, &request, Rule::ExternalCommit);
}

/// [DS-STATE-3] [DS-COMMIT-1]
#[test]
fn join_against_commit_one_wins() {
    let (world, mut a, b) = pair();
    let fetched = world.fetch_external(GROUP, b.state_key()).unwrap();
    let commit = a.update();
    let mut lost = client(2);
    let request = lost.enter(&fetched, &[]);
    world.commit(&a, &commit).unwrap();
    let before = world.rows();
    let reply = world.join(&lost, &request).unwrap_err();
    assert_eq!(reply, Error::WrongEpoch(Epoch(2)));
    assert!(world.rows() == before);
    a.merge();
    let fetched = world.fetch_external(GROUP, b.state_key()).unwrap();
    let commit = a.update();
    let request = lost.enter(&fetched, &[]);
    world.join(&lost, &request).unwrap();
    let reply = world.commit(&a, &commit).unwrap_err();
    assert_eq!(reply, Error::WrongEpoch(Epoch(3)));
    let outsider = SymmetricKey([9; 32]);
    let reply = world.join(
        &lost,
        &JoinGroup {
            state_key: outsider,
            ..request
        },
    );
    assert_eq!(reply.unwrap_err(), Error::Denied);
}
