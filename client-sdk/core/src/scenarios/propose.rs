//! People who leave: they ask, and whoever changes the group next lets them go.

use std::time::Duration;

use crate::testing::{Fate, Person, World, problems, texts, three_in_a_group};
use crate::{Error, Event, JobKind, Outcome};

/// Longer than any pause before a member commits what waits.
const PAUSE: Duration = Duration::from_secs(300);

fn leave(person: &mut Person, world: &World, group: &protocol::id::GroupId) -> Outcome {
    let job = person.core.leave(group, world.now).unwrap();
    person.finish(world, job).unwrap()
}

/// How many verified members left, all by their own wish.
fn who_left(events: &[Event]) -> usize {
    let mut gone = 0;
    for event in events {
        if let Event::MembersChanged { left, removed, .. } = event {
            assert!(left == removed && left.iter().all(|it| it.verified));
            gone += left.len();
        }
    }
    gone
}

/// [SDK-PROPOSAL-1] [SDK-LEAVE-1] [SDK-LEAVE-2]
#[test]
fn who_asks_to_leave_is_out_with_the_next_commit() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let [mut aspen, mut birch, mut cedar] =
        ["aspen", "birch", "cedar"].map(|name| people.remove(name).unwrap());
    assert_eq!(
        leave(&mut cedar, &world, &group),
        Outcome::LeaveProposed { group }
    );
    assert!(cedar.core.groups().unwrap()[0].leaving);
    assert!(
        matches!(&birch.sync(&world)[..], [Event::LeaveProposed { by, .. }]
        if by.verified)
    );
    let update = birch.core.update_keys(&group, world.now).unwrap();
    birch.finish(&world, update).unwrap();
    assert_eq!(who_left(&birch.events()), 1);
    let events = aspen.sync(&world);
    assert_eq!(problems(&events), []);
    assert_eq!(who_left(&events), 1);
    aspen.send(&world, &group, "without you");
    assert!(
        matches!(&cedar.sync(&world)[..], [Event::LeftGroup { group_name, .. }]
        if group_name == "walk")
    );
    assert!(matches!(
        cedar.core.send(&group, b"still here", world.now),
        Err(Error::Unknown("group"))
    ));
    for table in [
        "epochs",
        "members",
        "openmls_group_data",
        "openmls_proposals",
    ] {
        let left = cedar
            .core
            .view(|tx| tx.count(&format!("SELECT count(*) FROM {table}"), []));
        assert_eq!(left.unwrap(), 0, "{table}");
    }
    assert_eq!(texts(&birch.sync(&world)).len(), 1);
}

/// [SDK-PROPOSAL-2]
#[test]
fn a_member_commits_what_waits_if_nobody_else_does() {
    let mut world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let [mut aspen, mut birch, mut cedar] =
        ["aspen", "birch", "cedar"].map(|name| people.remove(name).unwrap());
    leave(&mut cedar, &world, &group);
    aspen.sync(&world);
    birch.sync(&world);
    assert_eq!(birch.core.jobs(world.now).unwrap(), []);
    let due = birch.core.next_due(world.now).unwrap().unwrap();
    assert!(due > Duration::ZERO && due < PAUSE);
    world.now = world.now.after(PAUSE);
    let jobs = birch.core.jobs(world.now).unwrap();
    assert!(jobs.iter().any(|job| job.kind == JobKind::CommitProposals));
    birch.keep(&world);
    assert_eq!(who_left(&birch.events()), 1);
    // Aspen, who was as ready, has nothing left to do.
    aspen.keep(&world);
    let events = aspen.sync(&world);
    assert_eq!(who_left(&events), 1);
    assert_eq!(problems(&events), []);
    assert!(matches!(cedar.sync(&world)[..], [Event::LeftGroup { .. }]));
    assert_eq!(
        aspen.core.group_epoch(&group).unwrap(),
        birch.core.group_epoch(&group).unwrap()
    );
}

/// [SDK-LEAVE-2]
#[test]
fn who_is_about_to_leave_reads_on_but_says_and_changes_nothing() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let [mut aspen, mut cedar] = ["aspen", "cedar"].map(|name| people.remove(name).unwrap());
    aspen.send(&world, &group, "stay");
    leave(&mut cedar, &world, &group);
    let refused = [
        cedar.core.send(&group, b"farewell", world.now),
        cedar.core.update_keys(&group, world.now),
        cedar.core.leave(&group, world.now),
    ];
    for refusal in refused {
        assert!(matches!(refusal, Err(Error::Leaving)));
    }
    let events = cedar.sync(&world);
    assert_eq!((texts(&events).len(), problems(&events)), (1, vec![]));
}

/// [SDK-PROPOSAL-3]
#[test]
fn what_waits_is_committed_before_anything_is_said() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let [mut aspen, mut birch, mut cedar] =
        ["aspen", "birch", "cedar"].map(|name| people.remove(name).unwrap());
    leave(&mut cedar, &world, &group);
    aspen.sync(&world);
    birch.sync(&world);
    for text in ["without you", "and again"] {
        aspen.send(&world, &group, text);
    }
    assert!(matches!(cedar.sync(&world)[..], [Event::LeftGroup { .. }]));
    birch.send(&world, &group, "so be it");
    let (heard, said) = (birch.sync(&world), aspen.sync(&world));
    assert_eq!((texts(&heard).len(), texts(&said).len()), (2, 1));
    assert_eq!((problems(&heard), problems(&said)), (vec![], vec![]));
}

/// [SDK-LEAVE-2]
#[test]
fn the_last_one_who_leaves_takes_the_group_along() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let [mut aspen, mut birch, mut cedar] =
        ["aspen", "birch", "cedar"].map(|name| people.remove(name).unwrap());
    leave(&mut birch, &world, &group);
    leave(&mut cedar, &world, &group);
    aspen.sync(&world);
    assert_eq!(
        leave(&mut aspen, &world, &group),
        Outcome::GroupDeleted { group }
    );
    for person in [&mut birch, &mut cedar] {
        let events = person.sync(&world);
        assert!(matches!(events.last(), Some(Event::LeftGroup { .. })));
        assert_eq!(problems(&events), []);
    }
    assert!(!aspen.core.groups().unwrap()[0].active);
}

/// [SDK-LEAVE-2] [SDK-JOB-1]
#[test]
fn asking_to_leave_can_lose_its_answer() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let [mut aspen, mut cedar] = ["aspen", "cedar"].map(|name| people.remove(name).unwrap());
    let job = cedar.core.leave(&group, world.now).unwrap();
    let mut losses = 2;
    let left = cedar.finish_with(&world, job, |_| match losses {
        0 => Fate::Answered,
        _ => {
            losses -= 1;
            Fate::ReplyLost
        }
    });
    assert_eq!(left.unwrap(), Outcome::LeaveProposed { group });
    let asked = aspen.sync(&world);
    assert!(matches!(asked[..], [Event::LeaveProposed { .. }]));
    let update = aspen.core.update_keys(&group, world.now).unwrap();
    aspen.finish(&world, update).unwrap();
    assert!(matches!(cedar.sync(&world)[..], [Event::LeftGroup { .. }]));
}

/// [DS-PROPOSE-2] [SDK-PROPOSAL-3]
#[test]
fn who_was_away_too_long_is_removed_at_the_servers_proposal() {
    let mut world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let [mut aspen, mut birch, mut cedar] =
        ["aspen", "birch", "cedar"].map(|name| people.remove(name).unwrap());
    world.now = world.now.after(Duration::from_secs(7 * 31 * 86_400));
    birch.send(&world, &group, "here I am");
    let update = aspen.core.update_keys(&group, world.now).unwrap();
    aspen.finish(&world, update).unwrap();
    aspen.read(&world);
    let proposed = |event: &Event| {
        matches!(event, Event::RemovalProposed { member, .. }
        if member.display_name.as_deref() == Some("Cedar"))
    };
    assert!(aspen.events().iter().any(proposed));
    aspen.send(&world, &group, "without cedar");
    let changed = |event: &Event| {
        matches!(event, Event::MembersChanged { removed, left, .. }
        if removed.len() == 1 && left.is_empty())
    };
    assert!(aspen.events().iter().any(changed));
    birch.read(&world);
    let events = birch.events();
    assert!(events.iter().any(changed));
    assert_eq!((texts(&events).len(), problems(&events)), (1, vec![]));
    cedar.read(&world);
    assert!(matches!(
        cedar.events().last(),
        Some(Event::RemovedFromGroup { .. })
    ));
}
