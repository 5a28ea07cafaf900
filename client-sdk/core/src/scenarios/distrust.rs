//! Servers and people that lie.

use protocol::codec::{Opaque, decode_exact, encode};
use protocol::entry::{Entry, NumberedEntry};
use protocol::error::{ErrorCode, ErrorReply};
use protocol::id::Seq;
use protocol::queue::{Entries, ListenEvent, ListenReply};
use protocol::request::encode_reply;

use crate::testing::{Person, World, problems, texts, three_in_a_group};
use crate::{Error, Event, Isolation, Problem, Step};

/// The listen frames that wait for a person.
fn frames(world: &World, person: &Person) -> Vec<Vec<NumberedEntry>> {
    let listen = person.core.listen().unwrap().unwrap();
    let (_, frames, _) = world.listen(&listen);
    let entries = frames
        .iter()
        .map(|frame| match decode_exact(frame).unwrap() {
            ListenEvent::Entries(entries) => entries.entries,
            event => panic!("{event:?}"),
        });
    entries.collect()
}

fn frame(entries: Vec<NumberedEntry>) -> Vec<u8> {
    encode(&ListenEvent::Entries(Entries { entries }))
}

/// [SDK-PIN-1]
#[test]
fn a_server_with_another_root_is_not_believed() {
    let world = World::new();
    let mut aspen = Person::new().register(&world, "Aspen");
    let impostor = World::with_root([7; 32]);
    let late = protocol::time::Timestamp(world.now.0 + 8 * 86_400);
    let jobs = aspen.core.jobs(late).unwrap();
    let job = jobs
        .iter()
        .find(|job| job.kind == crate::JobKind::FetchServerKeys)
        .unwrap()
        .id;
    let reply = impostor.serve(&aspen.request(&world, job));
    assert!(matches!(
        aspen.core.reply(job, &reply, world.now),
        Err(Error::BadServerKeys)
    ));
    assert!(matches!(
        aspen.core.step(job, world.now),
        Err(Error::Unknown("job"))
    ));
}

/// [SDK-INVITE-1]
#[test]
fn a_key_package_of_somebody_else_is_not_added() {
    let world = World::new();
    let mut aspen = Person::new().register(&world, "Aspen");
    let mut birch = Person::new().register(&world, "Birch");
    let mut cedar = Person::new().register(&world, "Cedar");
    let (birch_name, cedar_name) = (birch.claim(&world, "birch"), cedar.claim(&world, "cedar"));
    let contact = aspen.befriend(&world, &birch_name, &mut birch);
    let other = aspen.befriend(&world, &cedar_name, &mut cedar);
    let group = aspen.create_group(&world, "walk");
    // As if the server gave out Cedar's KeyPackages for Birch's.
    aspen
        .core
        .transact(world.now, |tx| {
            tx.execute(
                "UPDATE contacts SET (ticket, friendship_token, friendship_key) =
                     (SELECT ticket, friendship_token, friendship_key FROM contacts WHERE id = ?2)
                 WHERE id = ?1",
                (contact.0, other.0),
            )
        })
        .unwrap();
    let job = aspen.core.invite(&group, &[contact], world.now).unwrap();
    assert!(matches!(aspen.finish(&world, job), Err(Error::BadPackage)));
    assert_eq!(aspen.core.members(&group).unwrap().len(), 1);
    aspen.invite(&world, &group, &[other]);
    assert_eq!(aspen.core.members(&group).unwrap().len(), 2);
}

/// [SDK-RECEIVE-1]
#[test]
fn entries_that_make_no_sense_are_told_and_do_not_block_the_queue() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let mut birch = people.remove("birch").unwrap();
    let aspen = people.get_mut("aspen").unwrap();
    aspen.send(&world, &group, "one");
    aspen.send(&world, &group, "two");
    aspen.send(&world, &group, "three");
    let mut entries = frames(&world, &birch).concat();
    entries[1].entry = Entry::Item(Opaque::new(vec![7; 300]).unwrap());
    birch.core.receive(&frame(entries), world.now).unwrap();
    let events = birch.events();
    let heard: Vec<_> = texts(&events).into_iter().map(|(_, text)| text).collect();
    assert_eq!(heard, ["one", "three"]);
    assert_eq!(
        problems(&events),
        [Problem::EntryUnreadable, Problem::EventGap]
    );
}

#[test]
fn a_gap_in_the_queue_is_told_and_what_follows_is_read() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let mut birch = people.remove("birch").unwrap();
    let aspen = people.get_mut("aspen").unwrap();
    aspen.send(&world, &group, "one");
    aspen.send(&world, &group, "two");
    let mut entries = frames(&world, &birch).concat();
    entries.remove(0);
    birch.core.receive(&frame(entries), world.now).unwrap();
    let events = birch.events();
    assert_eq!(problems(&events), [Problem::QueueGap, Problem::EventGap]);
    assert_eq!(texts(&events).len(), 1);
}

#[test]
fn a_server_that_was_set_back_is_told() {
    let world = World::new();
    let (mut people, _) = three_in_a_group(&world);
    let birch = people.get_mut("birch").unwrap();
    let reply = ListenReply {
        next: Seq(0),
        key_packages_left: 0,
    };
    let refused = birch.core.listening(&encode_reply(&Ok(reply)));
    assert!(matches!(refused, Err(Error::Rewound)));
    let error = ErrorReply::from(ErrorCode::Rewound);
    let refused = birch
        .core
        .listening(&encode_reply::<ListenReply>(&Err(error)));
    assert!(matches!(refused, Err(Error::Rewound)));
    assert_eq!(problems(&birch.events()), [Problem::ServerRewound; 2]);
}

#[test]
fn a_busy_server_is_asked_again_later_and_nonsense_changes_nothing() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let aspen = people.get_mut("aspen").unwrap();
    let job = aspen.core.send(&group, b"text", world.now).unwrap();
    let reply = encode_reply::<()>(&Err(ErrorReply {
        code: ErrorCode::Busy,
        detail: 700,
    }));
    drop(aspen.request(&world, job));
    let step = aspen.core.reply(job, &reply, world.now).unwrap();
    assert!(matches!(step, Step::Retry(pause) if pause.as_millis() == 700));
    for nonsense in [vec![], vec![0], vec![0; 9], vec![1, 2], vec![9; 40]] {
        let error = aspen.core.reply(job, &nonsense, world.now).unwrap_err();
        assert!(matches!(error, Error::BadReply));
    }
    aspen.finish(&world, job).unwrap();
}

/// [SDK-IDENTITY-1]
#[test]
fn a_member_whose_keys_are_unknown_is_shown_as_unverified_until_they_are_fetched() {
    let world = World::new();
    let mut aspen = Person::new().register(&world, "Aspen");
    let mut birch = Person::new().register(&world, "Birch");
    let name = birch.claim(&world, "birch");
    let contact = aspen.befriend(&world, &name, &mut birch);
    let group = aspen.create_group(&world, "walk");
    aspen.invite(&world, &group, &[contact]);
    birch.read(&world);
    birch
        .core
        .transact(world.now, |tx| tx.execute("DELETE FROM issuers", []))
        .unwrap();
    let jobs = birch.core.jobs(world.now).unwrap();
    let join = jobs
        .iter()
        .find(|job| job.kind == crate::JobKind::JoinGroup)
        .unwrap();
    birch.finish(&world, join.id).unwrap();
    let events = birch.events();
    assert!(events.iter().any(|event| matches!(
        event,
        Event::GroupJoined {
            verified: false,
            ..
        }
    )));
    assert!(problems(&events).contains(&Problem::MemberUnverified));
    let unverified = |birch: &Person| {
        let members = birch.core.members(&group).unwrap();
        members
            .iter()
            .filter(|member| !member.person.verified)
            .count()
    };
    assert_eq!(unverified(&birch), 2);
    birch.keep(&world);
    assert_eq!(unverified(&birch), 0);
}

/// [SDK-ISOLATION-1]
#[test]
fn requests_that_name_a_pseudonym_travel_with_that_pseudonym_alone() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let aspen = people.get_mut("aspen").unwrap();
    let name = protocol::id::Username::new("aspen", world.domain.clone()).unwrap();
    let stranger = protocol::id::Username::new("stranger", world.domain.clone()).unwrap();
    let jobs = [
        aspen.core.send(&group, b"text", world.now).unwrap(),
        aspen.core.connect(&stranger, world.now).unwrap(),
        aspen.core.create_group("other", world.now).unwrap(),
        aspen.core.claim_username(&name, world.now).unwrap(),
    ];
    let sent = jobs.map(|job| {
        let outgoing = aspen.request(&world, job);
        (outgoing.operation(), outgoing.isolation())
    });
    let hash = protocol::auth::username_hash(&name).unwrap();
    assert_eq!(
        sent,
        [
            ("send_message", Isolation::Group(group)),
            ("take_connection_package", Isolation::Anonymous),
            ("request_group_id", Isolation::Anonymous),
            ("fetch_challenge", Isolation::Username(hash)),
        ]
    );
    assert_eq!(
        aspen.core.listen().unwrap().unwrap().isolation(),
        Isolation::Queue
    );
}

/// [SDK-COMMIT-1]
#[test]
fn a_denial_is_believed_only_after_the_queue_was_read() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let aspen = people.get_mut("aspen").unwrap();
    let denial = encode_reply::<()>(&Err(ErrorCode::Denied.into()));
    let update = aspen.core.update_keys(&group, world.now).unwrap();
    drop(aspen.request(&world, update));
    let waits = aspen.core.reply(update, &denial, world.now).unwrap();
    assert!(matches!(waits, Step::CatchUp { .. }));
    let later = protocol::time::Timestamp(world.now.0 + 21);
    let over = aspen.core.step(update, later).unwrap_err();
    assert!(matches!(over, Error::Refused(reply) if reply.code == ErrorCode::Denied));
    aspen.send(&world, &group, "still in step");
    let birch = people.get_mut("birch").unwrap();
    assert_eq!(texts(&birch.sync(&world)).len(), 1);
}

/// [SDK-PIN-1]
#[test]
fn nobody_signs_up_at_a_server_whose_keys_do_not_verify() {
    let world = World::new();
    let mut aspen = Person::new();
    let job = aspen
        .core
        .register(&world.domain, "Aspen", world.now)
        .unwrap();
    let Step::Wait(keys) = aspen.core.step(job, world.now).unwrap() else {
        panic!("keys come first")
    };
    let mut reply = world.serve(&aspen.request(&world, keys));
    let last = reply.len() - 1;
    reply[last] ^= 1;
    let over = aspen.core.reply(keys, &reply, world.now);
    assert!(matches!(over, Err(Error::BadServerKeys)));
    let over = aspen.core.step(job, world.now);
    assert!(matches!(over, Err(Error::BadServerKeys)));
}
