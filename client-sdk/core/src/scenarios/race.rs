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
