//! What was done in an epoch that is undone is done again.

use protocol::id::GroupId;

use crate::scenarios::damage::{assert_they_talk, commit_what_waits, five, reverts};
use crate::scenarios::garbler::Victims;
use crate::testing::{Person, World, texts};
use crate::{Event, Outcome};

/// The admin.
const ASPEN: usize = 0;
/// Who attacks.
const BIRCH: usize = 1;
const CEDAR: usize = 2;
const DOGWOOD: usize = 3;
const ELDER: usize = 4;

/// Birch locks Cedar and Dogwood out, which is a quorum, and Aspen has not heard.
fn doomed(world: &World, people: &mut [Person], group: &GroupId) {
    let leaves = ["Cedar", "Dogwood"].map(|name| people[ASPEN].leaf(group, name));
    let job = people[BIRCH].garble(world, group, &Victims::Leaves(leaves.to_vec()));
    people[BIRCH].finish(world, job).unwrap();
    people[ASPEN].sync(world);
    people[ELDER].sync(world);
}

/// The victims complain, and everybody goes back and does what is to be done.
fn go_back(world: &World, people: &mut [Person]) -> Vec<Vec<Event>> {
    let mut told = vec![Vec::new(); people.len()];
    for _ in 0..2 {
        for (person, told) in people.iter_mut().zip(&mut told) {
            told.extend(person.sync(world));
        }
    }
    for told in &told[..ELDER] {
        assert_eq!(reverts(told), 1);
    }
    told
}

fn keep_all(world: &World, people: &mut [Person], who: &[usize]) {
    for _ in 0..3 {
        for person in who {
            people[*person].keep(world);
            people[*person].sync(world);
        }
    }
}

/// [SDK-REVERT-4]
#[test]
fn who_was_invited_in_an_epoch_that_is_undone_is_invited_again() {
    let mut world = World::new();
    let (mut people, group) = five(&world);
    let mut fir = Person::new().register(&world, "Fir");
    let username = fir.claim(&world, "fir");
    let contact = people[ASPEN].befriend(&world, &username, &mut fir);
    doomed(&world, &mut people, &group);
    people[ASPEN].invite(&world, &group, &[contact]);
    fir.sync(&world);
    assert_eq!(fir.core.members(&group).unwrap().len(), 6);
    fir.keep(&world);
    people.push(fir);
    go_back(&world, &mut people);
    let everybody = [0, 2, 3, 4, 5];
    keep_all(&world, &mut people, &everybody);
    commit_what_waits(&mut world, &mut people, &everybody);
    assert_they_talk(&mut people, &everybody, &world, &group);
    for person in everybody {
        assert_eq!(people[person].core.members(&group).unwrap().len(), 5);
    }
    people[BIRCH].sync(&world);
    assert!(people[BIRCH].core.members(&group).is_err());
}

/// [SDK-REVERT-4]
#[test]
fn who_was_removed_in_an_epoch_that_is_undone_is_removed_again() {
    let mut world = World::new();
    let (mut people, group) = five(&world);
    doomed(&world, &mut people, &group);
    let elder = people[ASPEN].leaf(&group, "Elder");
    let job = people[ASPEN]
        .core
        .remove(&group, &[elder], world.now)
        .unwrap();
    people[ASPEN].finish(&world, job).unwrap();
    people[ELDER].sync(&world);
    assert!(people[ELDER].core.members(&group).is_err());
    go_back(&world, &mut people);
    let stay = [0, 2, 3];
    keep_all(&world, &mut people, &stay);
    commit_what_waits(&mut world, &mut people, &stay);
    assert_they_talk(&mut people, &stay, &world, &group);
    for person in stay {
        assert_eq!(people[person].core.members(&group).unwrap().len(), 3);
    }
}

/// [SDK-REVERT-4]
#[test]
fn what_was_said_to_one_member_in_an_epoch_that_is_undone_is_said_again_and_heard_once() {
    let world = World::new();
    let (mut people, group) = five(&world);
    doomed(&world, &mut people, &group);
    // Cedar cannot read it yet; Elder can.
    for name in ["Cedar", "Elder"] {
        let leaf = people[ASPEN].leaf(&group, name);
        let job = people[ASPEN]
            .core
            .send_to_member(&group, leaf, b"psst", world.now)
            .unwrap();
        let outcome = people[ASPEN].finish(&world, job).unwrap();
        assert!(matches!(outcome, Outcome::SentToMember { .. }));
    }
    let mut heard = vec![0; people.len()];
    let count = |events: &[Event]| {
        let direct = |event: &&Event| matches!(event, Event::DirectReceived { .. });
        events.iter().filter(direct).count()
    };
    let told = go_back(&world, &mut people);
    for _ in 0..3 {
        for (person, heard) in people.iter_mut().zip(&mut heard) {
            person.keep(&world);
            *heard += count(&person.sync(&world));
        }
    }
    for (told, heard) in told.iter().zip(&mut heard) {
        assert_eq!(texts(told), []);
        *heard += count(told);
    }
    assert_eq!(heard[CEDAR..], [1, 0, 1]);
    assert_eq!(heard[DOGWOOD], 0);
}
