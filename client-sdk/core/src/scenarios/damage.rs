//! Commits that some cannot follow, and how everybody talks again. Threats DoS9 and DoS10.

use protocol::codec::decode_exact;
use protocol::id::GroupId;
use protocol::queue::ListenEvent;

use crate::scenarios::garbler::Victims;
use crate::scenarios::invitation::job_of;
use crate::testing::{Person, World, problems, texts};
use crate::{Event, JobKind, Outcome, Problem, Remedy};

/// The admin.
const ASPEN: usize = 0;
/// Who attacks.
const BIRCH: usize = 1;
const NAMES: [&str; 5] = ["Aspen", "Birch", "Cedar", "Dogwood", "Elder"];
/// Seven, of whom two are less than a quorum.
pub(super) const SEVEN: [&str; 7] = [
    "Aspen", "Birch", "Cedar", "Dogwood", "Elder", "Fir", "Ginkgo",
];

/// Five people in a group that the first has made.
pub(super) fn five(world: &World) -> (Vec<Person>, GroupId) {
    people(world, &NAMES)
}

/// So many.
pub(super) fn people(world: &World, names: &[&str]) -> (Vec<Person>, GroupId) {
    let mut people: Vec<_> = names
        .iter()
        .map(|name| Person::new().register(world, name))
        .collect();
    let (aspen, others) = people.split_first_mut().unwrap();
    let contacts: Vec<_> = others
        .iter_mut()
        .zip(names.iter().skip(1))
        .map(|(other, name)| {
            let username = other.claim(world, &name.to_lowercase());
            aspen.befriend(world, &username, other)
        })
        .collect();
    let group = aspen.create_group(world, "walk");
    aspen.invite(world, &group, &contacts);
    everybody_syncs(&mut people, world);
    (people, group)
}

/// Birch commits what Elder alone cannot read.
fn lock_out_elder(people: &mut [Person], world: &World, group: &GroupId) {
    let elder = people[ASPEN].leaf(group, "Elder");
    let job = people[BIRCH].garble(world, group, &Victims::Leaves(vec![elder]));
    people[BIRCH].finish(world, job).unwrap();
    everybody_syncs(people, world);
}

impl Person {
    /// Have the queue's next entries go unread.
    fn skip(&mut self, world: &World) {
        let listen = self.core.listen().unwrap().unwrap();
        let stream = world.listen(&listen);
        let last = stream.frames.last().unwrap();
        let ListenEvent::Entries(entries) = decode_exact(last).unwrap() else {
            panic!("no entries")
        };
        let next = entries.entries.last().unwrap().seq.0 + 1;
        let skipped = self.core.transact(world.now, |tx| {
            let mut queue = tx.created_queue()?.unwrap();
            while queue.next.0 < next {
                drop(queue.ratchet.advance());
                queue.next = queue.next.next();
            }
            tx.save_position(&queue)
        });
        skipped.unwrap();
    }
}

pub(super) fn everybody_syncs(people: &mut [Person], world: &World) -> Vec<Vec<Event>> {
    people.iter_mut().map(|person| person.sync(world)).collect()
}

/// Those who are in say something and all others hear it.
pub(super) fn assert_they_talk(
    people: &mut [Person],
    present: &[usize],
    world: &World,
    group: &GroupId,
) {
    everybody_syncs(people, world);
    for speaker in present {
        people[*speaker].send(world, group, SEVEN[*speaker]);
    }
    for listener in present {
        let events = people[*listener].sync(world);
        let mut heard: Vec<_> = texts(&events).into_iter().map(|(_, text)| text).collect();
        heard.sort();
        let others = present.iter().filter(|speaker| *speaker != listener);
        let expected: Vec<_> = others.map(|speaker| SEVEN[*speaker]).collect();
        assert_eq!(heard, expected, "{} hears", SEVEN[*listener]);
        assert_eq!(problems(&events), []);
    }
}

pub(super) fn reverts(events: &[Event]) -> usize {
    let is_revert = |event: &&Event| matches!(event, Event::GroupReverted { .. });
    events.iter().filter(is_revert).count()
}

pub(super) fn remedies(events: &[Event]) -> Vec<Remedy> {
    let remedy = |event: &Event| {
        let Event::GroupHealed { how, .. } = event else {
            return None;
        };
        Some(*how)
    };
    events.iter().filter_map(remedy).collect()
}

/// Lock some out, and see everybody but the attacker talk in the end, and the attacker out.
fn a_revert_heals(victims: &[usize]) {
    let mut world = World::new();
    let (mut people, group) = five(&world);
    people[ASPEN].send(&world, &group, "before");
    everybody_syncs(&mut people, &world);
    let leaf = |victim: &usize| people[ASPEN].leaf(&group, NAMES[*victim]);
    let of = match victims.contains(&ASPEN) {
        true => Victims::Everybody,
        false => Victims::Leaves(victims.iter().map(leaf).collect()),
    };
    let job = people[BIRCH].garble(&world, &group, &of);
    people[BIRCH].finish(&world, job).unwrap();
    // What the attacker says in its own epoch is void, too.
    people[BIRCH].send(&world, &group, "nobody can stop me");
    // One round of complaints.
    let mut events = everybody_syncs(&mut people, &world);
    for victim in victims {
        assert!(problems(&events[*victim]).contains(&Problem::CommitRefused));
    }
    for (person, more) in people.iter_mut().zip(&mut events) {
        more.extend(person.sync(&world));
    }
    for (index, events) in events.iter().enumerate() {
        let healed: &[Remedy] = match victims.contains(&index) {
            true => &[Remedy::Reverted],
            false => &[],
        };
        assert_eq!(remedies(events), healed, "{}", NAMES[index]);
        assert_eq!(reverts(events), 1, "{}", NAMES[index]);
    }
    let honest = [0, 2, 3, 4];
    commit_what_waits(&mut world, &mut people, &honest);
    assert_they_talk(&mut people, &honest, &world, &group);
    people[BIRCH].sync(&world);
    assert_eq!(people[ASPEN].core.members(&group).unwrap().len(), 4);
    assert!(people[BIRCH].core.members(&group).is_err());
}

/// Let so much time pass that somebody commits the proposals that wait.
pub(super) fn commit_what_waits(world: &mut World, people: &mut [Person], who: &[usize]) {
    for person in who {
        people[*person].sync(world);
    }
    world.now.0 += 200;
    for person in who {
        people[*person].sync(world);
        people[*person].keep(world);
    }
    for person in who {
        people[*person].sync(world);
    }
}

/// [DS-COMPLAIN-2] [SDK-COMPLAIN-1] [SDK-REVERT-1]
#[test]
fn nonsense_for_everybody_is_undone_and_its_maker_is_out() {
    a_revert_heals(&[0, 2, 3, 4]);
}

/// [SDK-REVERT-1] [SDK-REVERT-2]
#[test]
fn nonsense_for_half_of_the_tree_is_undone_and_its_maker_is_out() {
    a_revert_heals(&[2, 3]);
}

/// [SDK-REVERT-2]
#[test]
fn what_was_said_in_an_epoch_that_is_undone_is_said_again_and_heard_once() {
    let world = World::new();
    let (mut people, group) = five(&world);
    let leaves = [2, 3].map(|victim| people[ASPEN].leaf(&group, NAMES[victim]));
    let job = people[BIRCH].garble(&world, &group, &Victims::Leaves(leaves.to_vec()));
    people[BIRCH].finish(&world, job).unwrap();
    let mut heard: Vec<Vec<String>> = vec![Vec::new(); NAMES.len()];
    people[ASPEN].sync(&world);
    people[ASPEN].send(&world, &group, "who is there?");
    for _ in 0..3 {
        for (person, heard) in people.iter_mut().zip(&mut heard) {
            let events = person.sync(&world);
            heard.extend(texts(&events).into_iter().map(|(_, text)| text));
            person.keep(&world);
        }
    }
    for listener in [2, 3, 4] {
        assert_eq!(heard[listener], ["who is there?"], "{}", NAMES[listener]);
    }
    let history = people[4].core.messages(&group, None, 10).unwrap();
    assert!(history.iter().all(|message| message.number.is_some()));
}

/// [SDK-RESYNC-1] [SDK-HEAL-2] [SDK-PROOF-1] [DS-PROOF-2]
#[test]
fn a_single_member_that_is_locked_out_helps_itself_and_the_attacker_is_out() {
    let mut world = World::new();
    let (mut people, group) = five(&world);
    people[ASPEN].send(&world, &group, "before");
    everybody_syncs(&mut people, &world);
    let elder = people[ASPEN].leaf(&group, "Elder");
    let job = people[BIRCH].garble(&world, &group, &Victims::Leaves(vec![elder]));
    people[BIRCH].finish(&world, job).unwrap();
    people[BIRCH].send(&world, &group, "not for Elder");
    let events = everybody_syncs(&mut people, &world);
    assert!(problems(&events[4]).contains(&Problem::CommitRefused));
    // The others hear of the complaint, and see no need to join it.
    let events = people[ASPEN].sync(&world);
    let disputes = events
        .iter()
        .filter(|event| matches!(event, Event::CommitDisputed { .. }));
    assert_eq!(disputes.count(), 1);
    world.now.0 += 60;
    let events = [people[4].sync(&world), people[4].sync(&world)].concat();
    assert_eq!(remedies(&events), [Remedy::Resynced]);
    let missed = events.iter().find_map(|event| {
        let Event::GroupHealed { missed, .. } = event else {
            return None;
        };
        *missed
    });
    assert!(missed.is_some());
    let honest = [0, 2, 3, 4];
    commit_what_waits(&mut world, &mut people, &honest);
    assert_they_talk(&mut people, &honest, &world, &group);
    for person in honest {
        let members = people[person].core.members(&group).unwrap();
        assert_eq!(members.len(), honest.len());
        assert!(members.iter().all(|member| member.person.verified));
    }
    people[BIRCH].sync(&world);
    assert!(people[BIRCH].core.members(&group).is_err());
}

/// [SDK-RESYNC-1]
#[test]
fn a_resync_that_loses_the_race_to_a_commit_is_made_again() {
    let mut world = World::new();
    let (mut people, group) = five(&world);
    lock_out_elder(&mut people, &world, &group);
    world.now.0 += 60;
    let resync = job_of(&mut people[4], &world, JobKind::Resync).unwrap();
    let mut commits = 0;
    let [aspen, _, _, _, elder] = people.as_mut_slice() else {
        panic!("five")
    };
    let outcome = elder.finish_with(&world, resync, |request| {
        // After the state was fetched, somebody commits.
        if request.operation() == "fetch_external_state" && commits < 2 {
            commits += 1;
            let job = aspen.core.update_keys(&group, world.now).unwrap();
            aspen.finish(&world, job).unwrap();
        }
        crate::testing::Fate::Answered
    });
    assert_eq!(outcome.unwrap(), Outcome::Kept);
    assert_eq!(commits, 2);
    commit_what_waits(&mut world, &mut people, &[0, 2, 3, 4]);
    assert_they_talk(&mut people, &[0, 2, 3, 4], &world, &group);
}

/// [SDK-RESYNC-1] [SDK-JOB-1]
#[test]
fn a_resync_whose_reply_was_lost_is_entered_once_and_nothing_is_missed_after_it() {
    let mut world = World::new();
    let (mut people, group) = five(&world);
    lock_out_elder(&mut people, &world, &group);
    world.now.0 += 60;
    let resync = job_of(&mut people[4], &world, JobKind::Resync).unwrap();
    // The commit is accepted, and what follows comes before Elder knows: Birch's removal, with the
    // message, so that nothing of the resync is known to the service any more.
    let mut lost = false;
    let [aspen, _, _, _, elder] = people.as_mut_slice() else {
        panic!("five")
    };
    let mut step = elder.core.step(resync, world.now).unwrap();
    while let crate::Step::Send(request) = step {
        let reply = world.serve(&request);
        if request.operation() == "join_group" && !lost {
            lost = true;
            aspen.sync(&world);
            aspen.send(&world, &group, "welcome back");
            elder.read(&world);
            step = elder.core.step(resync, world.now).unwrap();
        } else {
            step = elder.core.reply(resync, &reply, world.now).unwrap();
        }
    }
    assert!(lost);
    let events = elder.events();
    let heard: Vec<_> = texts(&events).into_iter().map(|(_, text)| text).collect();
    assert_eq!(heard, ["welcome back"]);
    assert_they_talk(&mut people, &[0, 2, 3, 4], &world, &group);
}

/// [SDK-RESYNC-1] [DS-JOIN-4] [DS-COMMIT-7]
#[test]
fn a_resync_lets_go_who_wants_to_leave() {
    let mut world = World::new();
    let (mut people, group) = five(&world);
    lock_out_elder(&mut people, &world, &group);
    // A wish that Elder cannot read.
    let job = people[3].core.leave(&group, world.now).unwrap();
    people[3].finish(&world, job).unwrap();
    world.now.0 += 60;
    let events = [people[4].sync(&world), people[4].sync(&world)].concat();
    assert_eq!(remedies(&events), [Remedy::Resynced]);
    let events = people[3].sync(&world);
    let left = |event: &Event| matches!(event, Event::LeftGroup { .. });
    assert!(events.iter().any(left));
    commit_what_waits(&mut world, &mut people, &[0, 2, 4]);
    assert_they_talk(&mut people, &[0, 2, 4], &world, &group);
}

/// [SDK-HEAL-1] [SDK-RESYNC-1]
#[test]
fn a_member_from_whom_a_commit_is_withheld_enters_again() {
    let mut world = World::new();
    let (mut people, group) = five(&world);
    let [aspen, _, _, _, elder] = people.as_mut_slice() else {
        panic!("five")
    };
    let job = aspen.core.update_keys(&group, world.now).unwrap();
    aspen.finish(&world, job).unwrap();
    // The queue loses the commit, as if it had expired.
    elder.skip(&world);
    let job = elder.core.send(&group, b"hello?", world.now).unwrap();
    let reply = world.serve(&elder.request(&world, job));
    let step = elder.core.reply(job, &reply, world.now).unwrap();
    assert!(matches!(step, crate::Step::CatchUp { .. }));
    let step = elder.core.step(job, world.now).unwrap();
    assert!(matches!(step, crate::Step::CatchUp { .. }));
    world.now.0 += 100;
    let step = elder.core.step(job, world.now).unwrap();
    assert!(matches!(step, crate::Step::CatchUp { .. }));
    let events = elder.sync(&world);
    assert_eq!(remedies(&events), [Remedy::Resynced]);
    elder.finish(&world, job).unwrap();
    let heard = texts(&aspen.sync(&world));
    assert_eq!(heard.len(), 1);
    assert_they_talk(&mut people, &[0, 1, 2, 3, 4], &world, &group);
}

/// [SDK-HEAL-3]
#[test]
fn a_member_whom_the_service_knows_no_more_asks_for_help_and_is_added_again() {
    let mut world = World::new();
    let (mut people, group) = five(&world);
    lock_out_elder(&mut people, &world, &group);
    // Somebody is removed: Elder's keys open nothing any more.
    let dogwood = people[ASPEN].leaf(&group, "Dogwood");
    let job = people[ASPEN]
        .core
        .remove(&group, &[dogwood], world.now)
        .unwrap();
    people[ASPEN].finish(&world, job).unwrap();
    world.now.0 += 60;
    let events = [people[4].sync(&world), people[4].sync(&world)].concat();
    let needs_help = |event: &Event| matches!(event, Event::HelpNeeded { .. });
    assert!(events.iter().any(needs_help));
    // Aspen's client has heard the complaint, and helps when nothing else has.
    people[ASPEN].sync(&world);
    world.now.0 += 600;
    people[ASPEN].keep(&world);
    assert_they_talk(&mut people, &[0, 1, 2, 4], &world, &group);
}
