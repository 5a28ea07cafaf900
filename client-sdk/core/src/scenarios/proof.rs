//! Commits that lock out fewer than a quorum, and how their makers are found out. Threat DoS10.

use protocol::codec::encode;
use protocol::id::GroupId;

use crate::scenarios::damage::{
    SEVEN, assert_they_talk, commit_what_waits, everybody_syncs, five, people, remedies, reverts,
};
use crate::scenarios::garbler::Victims;
use crate::testing::{Fate, Person, World, problems};
use crate::{Event, JobKind, Problem, Remedy};

const ASPEN: usize = 0;
/// Who attacks.
const BIRCH: usize = 1;
const CEDAR: usize = 2;
const DOGWOOD: usize = 3;
const ELDER: usize = 4;

/// The public key of a member's leaf.
fn leaf_key(person: &Person, group: &GroupId) -> Vec<u8> {
    let key = |tx: &crate::tx::Tx<'_>| {
        let mls = tx.mls_group(group)?;
        Ok(encode(mls.own_leaf_node().unwrap().encryption_key()))
    };
    person.core.view(key).unwrap()
}

/// Whose removal is proposed.
fn proposed(events: &[Event]) -> Vec<Who> {
    let who = |event: &Event| {
        let Event::RemovalProposed { member, .. } = event else {
            return None;
        };
        assert!(member.verified);
        Some(who(member))
    };
    events.iter().filter_map(who).collect()
}

/// The address of somebody, whom not everybody has a name for.
type Who = Option<String>;

fn who(person: &crate::Person) -> Who {
    person.address.clone()
}

/// Birch, as Aspen sees it.
fn birch(people: &[Person], group: &GroupId) -> Who {
    let members = people[ASPEN].core.members(group).unwrap();
    let is_birch = |name: &Option<String>| name.as_deref() == Some("Birch");
    let mut members = members.iter().map(|member| &member.person);
    who(members.find(|it| is_birch(&it.display_name)).unwrap())
}

/// [SDK-PROOF-1] [DS-PROOF-2]
#[test]
fn a_subtree_below_the_quorum_comes_back_and_the_attacker_is_out() {
    let mut world = World::new();
    let (mut people, group) = people(&world, &SEVEN);
    // The two victims have a node of their own, with one ciphertext for both.
    let job = people[CEDAR].core.update_keys(&group, world.now).unwrap();
    people[CEDAR].finish(&world, job).unwrap();
    everybody_syncs(&mut people, &world);
    let (victims, attacker) = ([CEDAR, DOGWOOD], birch(&people, &group));
    let leaves = victims.map(|victim| people[ASPEN].leaf(&group, SEVEN[victim]));
    assert_eq!(leaves.map(|leaf| leaf.0 / 2), [1, 1], "siblings");
    let job = people[BIRCH].garble(&world, &group, &Victims::Subtree(leaves.to_vec()));
    people[BIRCH].finish(&world, job).unwrap();
    let events = everybody_syncs(&mut people, &world);
    for (person, events) in events.iter().enumerate() {
        let is_out = problems(events).contains(&Problem::CommitRefused);
        assert_eq!(is_out, victims.contains(&person), "{}", SEVEN[person]);
    }
    world.now.0 += 60;
    for victim in victims {
        let person = &mut people[victim];
        let events = [(); 3].map(|()| person.sync(&world)).concat();
        assert_eq!(remedies(&events), [Remedy::Resynced]);
        assert_eq!(problems(&events), []);
        assert_eq!(proposed(&events), std::slice::from_ref(&attacker));
    }
    let honest = [0, 2, 3, 4, 5, 6];
    let events = people[ASPEN].sync(&world);
    assert_eq!(reverts(&events), 0);
    assert!(proposed(&events).contains(&attacker));
    commit_what_waits(&mut world, &mut people, &honest);
    assert_they_talk(&mut people, &honest, &world, &group);
    people[BIRCH].sync(&world);
    assert!(people[BIRCH].core.members(&group).is_err());
}

/// [SDK-PROOF-1]
#[test]
fn a_key_that_was_shown_is_replaced_when_its_epoch_comes_back() {
    let mut world = World::new();
    let (mut people, group) = five(&world);
    let [cedar, elder] = ["Cedar", "Elder"].map(|name| people[ASPEN].leaf(&group, name));
    let shown = leaf_key(&people[ELDER], &group);
    let job = people[BIRCH].garble(&world, &group, &Victims::Leaves(vec![cedar, elder]));
    people[BIRCH].finish(&world, job).unwrap();
    // Cedar is away. Elder helps itself, and shows its key.
    people[ELDER].sync(&world);
    world.now.0 += 60;
    let events = [people[ELDER].sync(&world), people[ELDER].sync(&world)].concat();
    assert_eq!(remedies(&events), [Remedy::Resynced]);
    assert_ne!(leaf_key(&people[ELDER], &group), shown);
    // Cedar's complaint makes the quorum: the commit is undone, with all that came after it.
    people[CEDAR].sync(&world);
    let events = people[CEDAR].sync(&world);
    assert_eq!(reverts(&events), 1);
    let events = people[ELDER].sync(&world);
    assert_eq!(reverts(&events), 1);
    let honest = [0, 2, 3, 4];
    people[ELDER].keep(&world);
    assert_ne!(leaf_key(&people[ELDER], &group), shown);
    commit_what_waits(&mut world, &mut people, &honest);
    assert_they_talk(&mut people, &honest, &world, &group);
    assert_ne!(leaf_key(&people[ELDER], &group), shown);
    people[BIRCH].sync(&world);
    assert!(people[BIRCH].core.members(&group).is_err());
}

/// [SDK-PROOF-1]
#[test]
fn who_was_merely_left_behind_shows_no_key() {
    let mut world = World::new();
    let (mut people, group) = five(&world);
    let elder = people[ASPEN].leaf(&group, "Elder");
    let job = people[BIRCH].garble(&world, &group, &Victims::Leaves(vec![elder]));
    people[BIRCH].finish(&world, job).unwrap();
    people[ELDER].sync(&world);
    // The time in which the service can judge passes.
    world.now.0 += 1_000;
    let job = people[ASPEN].core.update_keys(&group, world.now).unwrap();
    people[ASPEN].finish(&world, job).unwrap();
    // As if the commit had been right: what is kept of it is another one.
    let revealed = |person: &Person| {
        let revealed = person.core.view(|tx| tx.has_revealed(&group));
        revealed.unwrap()
    };
    let honest = people[ELDER].core.transact(world.now, |tx| {
        let kept = "SELECT count(*) FROM damage WHERE grp = ?1 AND message IS NOT NULL";
        assert_eq!(tx.count(kept, [group.0])?, 1);
        tx.keep_damaging(&group, b"no commit")
    });
    honest.unwrap();
    let events = [people[ELDER].sync(&world), people[ELDER].sync(&world)].concat();
    assert_eq!(remedies(&events), [Remedy::Resynced]);
    assert_eq!(proposed(&events), []);
    assert!(!revealed(&people[ELDER]));
    let jobs = people[ELDER].core.jobs(world.now).unwrap();
    assert!(jobs.iter().all(|job| job.kind != JobKind::Resync));
    assert_they_talk(&mut people, &[0, 1, 2, 3, 4], &world, &group);
}

/// [SDK-PROOF-1]
#[test]
fn a_key_that_was_shown_in_vain_is_replaced_when_its_epoch_is_back_before_the_resync() {
    let mut world = World::new();
    let (mut people, group) = five(&world);
    let [cedar, elder] = ["Cedar", "Elder"].map(|name| people[ASPEN].leaf(&group, name));
    let shown = leaf_key(&people[ELDER], &group);
    let job = people[BIRCH].garble(&world, &group, &Victims::Leaves(vec![cedar, elder]));
    people[BIRCH].finish(&world, job).unwrap();
    people[ELDER].sync(&world);
    world.now.0 += 60;
    let jobs = people[ELDER].core.jobs(world.now).unwrap();
    let resync = jobs.iter().find(|job| job.kind == JobKind::Resync);
    let [_, _, cedar, _, elder] = people.as_mut_slice() else {
        panic!("five")
    };
    let mut asked = Vec::new();
    let outcome = elder.finish_with(&world, resync.unwrap().id, |request| {
        // Before the proof arrives, Cedar's complaint makes the quorum.
        if asked.is_empty() {
            cedar.sync(&world);
            assert_eq!(reverts(&cedar.sync(&world)), 1);
        }
        asked.push(request.operation());
        Fate::Answered
    });
    let expected = ["fetch_external_state", "join_group", "fetch_external_state"];
    assert_eq!(asked, expected);
    assert!(outcome.is_ok());
    let events = people[ELDER].sync(&world);
    assert_eq!(problems(&events), []);
    people[ELDER].keep(&world);
    assert_ne!(leaf_key(&people[ELDER], &group), shown);
}
