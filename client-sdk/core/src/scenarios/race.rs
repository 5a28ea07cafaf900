//! Several people change a group at the same time.

use crate::testing::{Person, World, problems, texts, three_in_a_group};
use crate::{Event, Outcome, Step};

/// Give a job's request to the server and throw the reply away.
fn send_and_lose_the_reply(person: &mut Person, world: &World, job: crate::JobId) {
    drop(world.serve(&person.request(world, job)));
}

/// [SDK-COMMIT-1]
#[test]
fn the_second_of_two_commits_is_made_again_in_the_next_epoch() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let [mut aspen, mut birch, mut cedar] =
        ["aspen", "birch", "cedar"].map(|name| people.remove(name).unwrap());
    let of_birch = birch.core.update_keys(&group, world.now).unwrap();
    let stale = birch.request(&world, of_birch);
    let of_aspen = aspen.core.update_keys(&group, world.now).unwrap();
    aspen.finish(&world, of_aspen).unwrap();
    let reply = world.serve(&stale);
    let step = birch.core.reply(of_birch, &reply, world.now).unwrap();
    assert!(matches!(step, Step::CatchUp { .. }));
    let outcome = birch.finish(&world, of_birch).unwrap();
    let epoch = birch.core.group_epoch(&group).unwrap();
    assert_eq!(outcome, Outcome::GroupChanged { group, epoch });
    for person in [&mut aspen, &mut cedar] {
        assert_eq!(problems(&person.sync(&world)), []);
        assert_eq!(person.core.group_epoch(&group).unwrap(), epoch);
    }
    birch.send(&world, &group, "in step");
    assert_eq!(texts(&cedar.sync(&world)).len(), 1);
}

/// [SDK-SEND-1]
#[test]
fn a_message_of_a_past_epoch_is_encrypted_again() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let [mut aspen, mut birch, mut cedar] =
        ["aspen", "birch", "cedar"].map(|name| people.remove(name).unwrap());
    let text = birch.core.send(&group, b"late", world.now).unwrap();
    assert!(matches!(
        birch.core.step(text, world.now),
        Ok(Step::Send(_))
    ));
    let leaf = aspen.leaf(&group, "Cedar");
    let job = aspen.core.remove(&group, &[leaf], world.now).unwrap();
    aspen.finish(&world, job).unwrap();
    birch.finish(&world, text).unwrap();
    let heard: Vec<_> = texts(&aspen.sync(&world))
        .into_iter()
        .map(|(_, text)| text)
        .collect();
    assert_eq!(heard, ["late"]);
    assert_eq!(texts(&cedar.sync(&world)), []);
}

/// [SDK-COMMIT-2]
#[test]
fn a_commit_whose_reply_was_lost_is_settled_by_what_follows_it() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let [mut aspen, mut birch, _] =
        ["aspen", "birch", "cedar"].map(|name| people.remove(name).unwrap());
    let lost = aspen.core.update_keys(&group, world.now).unwrap();
    send_and_lose_the_reply(&mut aspen, &world, lost);
    birch.sync(&world);
    let job = birch.core.update_keys(&group, world.now).unwrap();
    birch.finish(&world, job).unwrap();
    birch.send(&world, &group, "two epochs on");
    let events = aspen.sync(&world);
    assert_eq!(problems(&events), []);
    assert_eq!(texts(&events).len(), 1);
    assert_eq!(
        aspen.core.group_epoch(&group).unwrap(),
        birch.core.group_epoch(&group).unwrap()
    );
    assert!(matches!(
        aspen.finish(&world, lost),
        Ok(Outcome::GroupChanged { .. })
    ));
}

/// [SDK-FORWARD-1]
#[test]
fn messages_from_before_our_own_commit_are_read_after_it_and_then_no_key_is_left() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let [mut aspen, mut birch, mut cedar] =
        ["aspen", "birch", "cedar"].map(|name| people.remove(name).unwrap());
    cedar.send(&world, &group, "before you remove me");
    let leaf = aspen.leaf(&group, "Cedar");
    for job in [
        aspen.core.remove(&group, &[leaf], world.now).unwrap(),
        aspen.core.update_keys(&group, world.now).unwrap(),
    ] {
        aspen.finish(&world, job).unwrap();
    }
    birch.sync(&world);
    birch.send(&world, &group, "after");
    let events = aspen.sync(&world);
    assert_eq!(problems(&events), []);
    let expected = [
        (Some("Cedar".to_owned()), "before you remove me".to_owned()),
        (Some("Birch".to_owned()), "after".to_owned()),
    ];
    assert_eq!(texts(&events), expected);
    let left = |sql| aspen.core.view(|tx| tx.count(sql, [group.0])).unwrap();
    assert_eq!(left("SELECT count(*) FROM epochs WHERE grp = ?1"), 1);
    assert_eq!(
        left("SELECT count(*) FROM members WHERE grp = ?1 AND gone = 1"),
        0
    );
}

/// [SDK-FORWARD-1] [SDK-DIRECT-1]
#[test]
fn a_direct_message_from_before_our_own_commit_is_read_after_it() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let [mut aspen, mut birch, mut cedar] =
        ["aspen", "birch", "cedar"].map(|name| people.remove(name).unwrap());
    cedar.send(&world, &group, "to all");
    let leaf = cedar.leaf(&group, "Aspen");
    let core = &mut cedar.core;
    let job = core.send_to_member(&group, leaf, b"to one", world.now);
    cedar.finish(&world, job.unwrap()).unwrap();
    let job = aspen.core.update_keys(&group, world.now).unwrap();
    aspen.finish(&world, job).unwrap();
    let events = aspen.sync(&world);
    assert_eq!(problems(&events), []);
    let is_direct = |event: &Event| matches!(event, Event::DirectReceived { .. });
    assert!(events.iter().any(is_direct));
    birch.sync(&world);
    birch.send(&world, &group, "after");
    aspen.sync(&world);
    let sql = "SELECT count(*) FROM epochs WHERE grp = ?1";
    let left = aspen.core.view(|tx| tx.count(sql, [group.0])).unwrap();
    assert_eq!(left, 1, "nothing can come from the past any more");
}

/// [SDK-ORDER-1]
#[test]
fn what_is_started_first_in_a_group_is_sent_first() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let aspen = people.get_mut("aspen").unwrap();
    let first = aspen.core.send(&group, b"first", world.now).unwrap();
    let second = aspen.core.update_keys(&group, world.now).unwrap();
    let third = aspen.core.send(&group, b"third", world.now).unwrap();
    for waiting in [second, third] {
        let step = aspen.core.step(waiting, world.now).unwrap();
        assert!(matches!(step, Step::Wait(job) if job == first));
    }
    aspen.finish(&world, third).unwrap();
    let events = people.get_mut("birch").unwrap().sync(&world);
    let kinds: Vec<_> = events
        .iter()
        .map(|event| {
            if let Event::MessageReceived { body, .. } = event {
                return body.as_str();
            }
            assert!(matches!(event, Event::KeysUpdated { .. }));
            "keys"
        })
        .collect();
    assert_eq!(kinds, ["first", "keys", "third"]);
}

/// [SDK-NUMBER-1]
#[test]
fn both_talk_before_either_reads_and_no_number_is_missed() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let [mut aspen, mut birch, _] =
        ["aspen", "birch", "cedar"].map(|name| people.remove(name).unwrap());
    for round in 0..3 {
        let text = format!("{round}");
        aspen.send(&world, &group, &text);
        birch.send(&world, &group, &text);
        let unanswered = aspen.core.send(&group, b"unanswered", world.now).unwrap();
        send_and_lose_the_reply(&mut aspen, &world, unanswered);
        birch.send(&world, &group, &text);
        let events = aspen.sync(&world);
        assert_eq!(problems(&events), []);
        assert_eq!(texts(&events).len(), 2);
        aspen.finish(&world, unanswered).unwrap();
        let events = birch.sync(&world);
        assert_eq!(problems(&events), []);
        assert_eq!(texts(&events).len(), 2);
    }
}

/// [SDK-PROPOSAL-1] [SDK-RACE-1]
#[test]
fn a_commit_without_what_was_proposed_meanwhile_is_made_again_with_it() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let [mut aspen, mut birch, mut cedar] =
        ["aspen", "birch", "cedar"].map(|name| people.remove(name).unwrap());
    let update = aspen.core.update_keys(&group, world.now).unwrap();
    let stale = aspen.request(&world, update);
    let leave = cedar.core.leave(&group, world.now).unwrap();
    cedar.finish(&world, leave).unwrap();
    let reply = world.serve(&stale);
    let step = aspen.core.reply(update, &reply, world.now).unwrap();
    assert!(matches!(step, Step::CatchUp { .. }));
    aspen.finish(&world, update).unwrap();
    assert!(matches!(
        cedar.sync(&world).last(),
        Some(Event::LeftGroup { .. })
    ));
    assert_eq!(problems(&birch.sync(&world)), []);
    assert_eq!(birch.core.members(&group).unwrap().len(), 2);
    aspen.send(&world, &group, "in step");
    assert_eq!(texts(&birch.sync(&world)).len(), 1);
}

/// [SDK-LEAVE-2] [SDK-RACE-1]
#[test]
fn a_wish_to_leave_that_lost_its_epoch_is_made_again() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let [mut aspen, mut birch, mut cedar] =
        ["aspen", "birch", "cedar"].map(|name| people.remove(name).unwrap());
    let leave = cedar.core.leave(&group, world.now).unwrap();
    drop(cedar.request(&world, leave));
    let update = aspen.core.update_keys(&group, world.now).unwrap();
    aspen.finish(&world, update).unwrap();
    assert_eq!(
        cedar.finish(&world, leave).unwrap(),
        Outcome::LeaveProposed { group }
    );
    birch.sync(&world);
    let update = birch.core.update_keys(&group, world.now).unwrap();
    birch.finish(&world, update).unwrap();
    assert!(matches!(
        cedar.sync(&world).last(),
        Some(Event::LeftGroup { .. })
    ));
    assert_eq!(problems(&aspen.sync(&world)), []);
}

/// [SDK-PROPOSAL-2] [SDK-COMMIT-1]
#[test]
fn of_two_who_commit_what_waits_one_wins_and_the_other_is_done() {
    let mut world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let [mut aspen, mut birch, mut cedar] =
        ["aspen", "birch", "cedar"].map(|name| people.remove(name).unwrap());
    let leave = cedar.core.leave(&group, world.now).unwrap();
    cedar.finish(&world, leave).unwrap();
    aspen.sync(&world);
    birch.sync(&world);
    world.now = world.now.after(std::time::Duration::from_secs(300));
    let job_of = |person: &mut Person| {
        let jobs = person.core.jobs(world.now).unwrap();
        let kind = crate::JobKind::CommitProposals;
        jobs.iter().find(|job| job.kind == kind).unwrap().id
    };
    let (of_aspen, of_birch) = (job_of(&mut aspen), job_of(&mut birch));
    drop((
        aspen.request(&world, of_aspen),
        birch.request(&world, of_birch),
    ));
    aspen.finish(&world, of_aspen).unwrap();
    birch.finish(&world, of_birch).unwrap();
    let epoch = aspen.core.group_epoch(&group).unwrap();
    assert_eq!(birch.core.group_epoch(&group).unwrap(), epoch);
    birch.send(&world, &group, "in step");
    let events = aspen.sync(&world);
    assert_eq!((texts(&events).len(), problems(&events)), (1, vec![]));
}

/// [SDK-COMMIT-1]
#[test]
fn a_commit_to_a_group_that_is_deleted_meanwhile_ends_with_it() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let [mut aspen, mut birch, _] =
        ["aspen", "birch", "cedar"].map(|name| people.remove(name).unwrap());
    let update = birch.core.update_keys(&group, world.now).unwrap();
    let late = birch.request(&world, update);
    let deletion = aspen.core.delete_group(&group, world.now).unwrap();
    aspen.finish(&world, deletion).unwrap();
    let reply = world.serve(&late);
    drop(birch.core.reply(update, &reply, world.now).unwrap());
    let events = birch.sync(&world);
    assert!(matches!(events.last(), Some(Event::GroupDeleted { .. })));
    assert_eq!(birch.core.jobs(world.now).unwrap(), []);
}
