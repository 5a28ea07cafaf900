//! Groups that end for everybody.

use crate::testing::{Fate, World, problems, texts, three_in_a_group};
use crate::{ContactEntry, Error, Event, Outcome, Problem};

/// [SDK-DELETE-1] [SDK-LEAVE-1]
#[test]
fn a_deleted_group_is_gone_for_everybody_but_its_history_stays() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let [mut aspen, mut birch, mut cedar] =
        ["aspen", "birch", "cedar"].map(|name| people.remove(name).unwrap());
    aspen.send(&world, &group, "the last word");
    let job = aspen.core.delete_group(&group, world.now).unwrap();
    assert_eq!(
        aspen.finish(&world, job).unwrap(),
        Outcome::GroupDeleted { group }
    );
    for person in [&mut birch, &mut cedar] {
        let events = person.sync(&world);
        assert_eq!(problems(&events), []);
        assert!(matches!(events.last(), Some(Event::GroupDeleted { by, .. })
            if by.display_name.as_deref() == Some("Aspen")));
    }
    for person in [&mut aspen, &mut birch, &mut cedar] {
        assert!(!person.core.groups().unwrap()[0].active);
        assert_eq!(person.core.messages(&group, None, 10).unwrap().len(), 1);
        for table in ["epochs", "members", "openmls_group_data"] {
            let left = person
                .core
                .view(|tx| tx.count(&format!("SELECT count(*) FROM {table}"), []));
            assert_eq!(left.unwrap(), 0, "{table}");
        }
        assert!(matches!(
            person.core.send(&group, b"hello?", world.now),
            Err(Error::Unknown("group"))
        ));
    }
}

/// [SDK-DELETE-2]
#[test]
fn a_deletion_whose_answer_was_lost_is_known_in_the_end() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let aspen = people.get_mut("aspen").unwrap();
    let job = aspen.core.delete_group(&group, world.now).unwrap();
    let mut first = true;
    let deleted = aspen.finish_with(&world, job, |_| {
        if std::mem::take(&mut first) {
            Fate::ReplyLost
        } else {
            Fate::Answered
        }
    });
    assert_eq!(deleted.unwrap(), Outcome::GroupDeleted { group });
    assert!(!aspen.core.groups().unwrap()[0].active);
}

/// [SDK-DELETE-1]
#[test]
fn a_message_on_its_way_to_a_deleted_group_ends_with_it() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let [mut aspen, mut birch] = ["aspen", "birch"].map(|name| people.remove(name).unwrap());
    let late = birch.core.send(&group, b"late", world.now).unwrap();
    let request = birch.request(&world, late);
    let job = aspen.core.delete_group(&group, world.now).unwrap();
    aspen.finish(&world, job).unwrap();
    let reply = world.serve(&request);
    drop(birch.core.reply(late, &reply, world.now).unwrap());
    let events = birch.sync(&world);
    assert!(matches!(events.last(), Some(Event::GroupDeleted { .. })));
    assert!(matches!(
        birch.core.step(late, world.now),
        Err(Error::Unknown("job"))
    ));
    let messages = birch.core.messages(&group, None, 10).unwrap();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].state, crate::MessageState::Failed);
}

/// [SDK-LATE-1]
#[test]
fn what_the_end_of_a_group_overtakes_is_no_problem() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let [mut aspen, mut birch] = ["aspen", "birch"].map(|name| people.remove(name).unwrap());
    birch.send(&world, &group, "you will not read this");
    let job = aspen.core.delete_group(&group, world.now).unwrap();
    aspen.finish(&world, job).unwrap();
    assert_eq!(aspen.sync(&world), []);
}

/// [SDK-LATE-1]
#[test]
fn who_is_invited_into_a_group_that_ends_hears_that_it_is_late_and_nothing_else() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let [mut aspen, mut birch] = ["aspen", "birch"].map(|name| people.remove(name).unwrap());
    let short = aspen.create_group(&world, "short");
    let contacts = aspen.core.contacts().unwrap();
    let is_birch =
        |contact: &&ContactEntry| contact.person.display_name.as_deref() == Some("Birch");
    let birch_there = contacts.iter().find(is_birch).unwrap().id;
    aspen.invite(&world, &short, &[birch_there]);
    aspen.send(&world, &short, "never read");
    let job = aspen.core.delete_group(&short, world.now).unwrap();
    aspen.finish(&world, job).unwrap();
    aspen.send(&world, &group, "read");
    let events = birch.sync(&world);
    assert_eq!(problems(&events), [Problem::WelcomeLate]);
    assert_eq!(
        texts(&events),
        [(Some("Aspen".to_owned()), "read".to_owned())]
    );
}
