//! Clients that lose their process, and requests that lose their reply.

use protocol::id::Username;

use crate::testing::{Fate, Person, World, acked, problems, texts, three_in_a_group};
use crate::{Error, Outcome, Outgoing};

/// Lose the first reply to each operation.
fn first_reply_lost() -> impl FnMut(&Outgoing) -> Fate {
    let mut seen = std::collections::BTreeSet::new();
    move |outgoing| {
        if seen.insert(outgoing.operation()) {
            Fate::ReplyLost
        } else {
            Fate::Answered
        }
    }
}

/// [SDK-JOB-1] [SDK-STORE-1]
#[test]
fn a_client_that_dies_after_every_step_loses_and_doubles_nothing() {
    let world = World::new();
    let homes = tempfile::tempdir().unwrap();
    let mut aspen = Person::mortal(homes.path().join("a")).register(&world, "Aspen");
    let mut birch = Person::mortal(homes.path().join("b")).register(&world, "Birch");
    let name = birch.claim(&world, "birch");
    let contact = aspen.befriend(&world, &name, &mut birch);
    let group = aspen.create_group(&world, "walk");
    aspen.invite(&world, &group, &[contact]);
    assert_eq!(problems(&birch.sync(&world)), []);
    for number in 0..5 {
        aspen.send(&world, &group, &format!("a{number}"));
        birch.send(&world, &group, &format!("b{number}"));
    }
    let (of_aspen, of_birch) = (birch.sync(&world), aspen.sync(&world));
    let texts_of = |events: &[crate::Event]| -> Vec<String> {
        texts(events).into_iter().map(|(_, text)| text).collect()
    };
    assert_eq!(texts_of(&of_aspen), ["a0", "a1", "a2", "a3", "a4"]);
    assert_eq!(texts_of(&of_birch), ["b0", "b1", "b2", "b3", "b4"]);
    assert_eq!(problems(&of_aspen), []);
    assert_eq!(problems(&of_birch), []);
}

/// [SDK-JOB-1] [SDK-CONNECT-2]
#[test]
fn every_request_can_lose_its_reply() {
    let world = World::new();
    let homes = tempfile::tempdir().unwrap();
    let mut aspen = Person::mortal(homes.path().join("a"));
    let job = aspen
        .core
        .register(&world.domain, "Aspen", world.now)
        .unwrap();
    aspen.finish_with(&world, job, first_reply_lost()).unwrap();
    for _ in 0..10 {
        for job in aspen.core.jobs(world.now).unwrap() {
            aspen
                .finish_with(&world, job.id, first_reply_lost())
                .unwrap();
        }
    }
    let mut birch = Person::new().register(&world, "Birch");
    let name = Username::new("birch", world.domain.clone()).unwrap();
    let job = birch.core.claim_username(&name, world.now).unwrap();
    birch.finish_with(&world, job, first_reply_lost()).unwrap();
    birch.keep(&world);
    let job = aspen.core.connect(&name, world.now).unwrap();
    aspen.finish_with(&world, job, first_reply_lost()).unwrap();
    let requests = birch.fetch_requests(&world);
    assert_eq!(requests.len(), 1, "a request sent twice is there once");
    let job = birch
        .core
        .accept_connection(requests[0], world.now)
        .unwrap();
    birch.finish_with(&world, job, first_reply_lost()).unwrap();
    assert_eq!(problems(&aspen.sync(&world)), []);
    let contact = aspen.core.contacts().unwrap()[0].id;
    let job = aspen.core.create_group("walk", world.now).unwrap();
    let created = aspen.finish_with(&world, job, first_reply_lost()).unwrap();
    let Outcome::GroupCreated { group } = created else {
        panic!("{created:?}")
    };
    let job = aspen.core.invite(&group, &[contact], world.now).unwrap();
    aspen.finish_with(&world, job, first_reply_lost()).unwrap();
    let job = aspen.core.send(&group, b"once", world.now).unwrap();
    aspen.keep(&world);
    assert!(matches!(
        aspen.core.step(job, world.now),
        Err(Error::Unknown("job"))
    ));
    let job = aspen.core.send(&group, b"twice?", world.now).unwrap();
    aspen.finish_with(&world, job, first_reply_lost()).unwrap();
    let events = birch.sync(&world);
    assert_eq!(problems(&events), []);
    let heard: Vec<_> = texts(&events).into_iter().map(|(_, text)| text).collect();
    assert_eq!(heard, ["once", "twice?"]);
}

/// [SDK-JOB-1]
#[test]
fn a_step_asked_for_again_is_the_same_request() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let aspen = people.get_mut("aspen").unwrap();
    let binding = protocol::crypto::signed::Binding {
        domain: world.domain.clone(),
        exporter: [7; 32],
    };
    for job in [
        aspen.core.update_keys(&group, world.now).unwrap(),
        aspen.core.send(&group, b"text", world.now).unwrap(),
    ] {
        let mut payload = || aspen.request(&world, job).payload(&binding);
        assert_eq!(payload(), payload());
        aspen.finish(&world, job).unwrap();
    }
}

/// [SDK-ACK-1] [QS-ENTRY-1]
#[test]
fn entries_that_come_twice_count_once() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    people
        .get_mut("aspen")
        .unwrap()
        .send(&world, &group, "once");
    let birch = people.get_mut("birch").unwrap();
    let listen = birch.core.listen().unwrap().unwrap();
    let frames = world.listen(&listen).frames;
    let first = birch.core.receive(&frames[0], world.now).unwrap();
    let again = birch.core.receive(&frames[0], world.now).unwrap();
    assert!(again.events.is_empty());
    assert_eq!(acked(&first.ack.unwrap()), acked(&again.ack.unwrap()));
    assert_eq!(texts(&birch.events()).len(), 1);
}

/// [SDK-JOIN-1]
#[test]
fn what_comes_while_a_group_is_being_joined_waits_for_it() {
    let world = World::new();
    let mut aspen = Person::new().register(&world, "Aspen");
    let mut birch = Person::new().register(&world, "Birch");
    let name = birch.claim(&world, "birch");
    let contact = aspen.befriend(&world, &name, &mut birch);
    let group = aspen.create_group(&world, "walk");
    aspen.invite(&world, &group, &[contact]);
    aspen.send(&world, &group, "one");
    let job = aspen.core.update_keys(&group, world.now).unwrap();
    aspen.finish(&world, job).unwrap();
    aspen.send(&world, &group, "two");
    assert!(
        birch.read(&world).is_empty(),
        "nothing is told before the group is joined"
    );
    let events = birch.sync(&world);
    let heard: Vec<_> = texts(&events).into_iter().map(|(_, text)| text).collect();
    assert_eq!(heard, ["one", "two"]);
    assert_eq!(problems(&events), []);
}

/// [SDK-STORE-2]
#[test]
fn a_home_remembers_everything() {
    let world = World::new();
    let homes = tempfile::tempdir().unwrap();
    let mut aspen = Person::mortal(homes.path().join("a")).register(&world, "Aspen");
    let name = aspen.claim(&world, "aspen");
    let group = aspen.create_group(&world, "walk");
    aspen.send(&world, &group, "to myself");
    let before = aspen.core.account().unwrap();
    aspen.die();
    assert_eq!(aspen.core.account().unwrap(), before);
    assert_eq!(
        aspen.core.usernames().unwrap()[0].username,
        name.to_string()
    );
    let messages = aspen.core.messages(&group, None, 10).unwrap();
    assert_eq!(messages[0].body, b"to myself");
    assert!(messages[0].sender.is_self);
    assert_eq!(aspen.core.members(&group).unwrap().len(), 1);
}
