//! Servers and people that lie.

use std::collections::BTreeSet;

use openmls::prelude::{KeyPackageIn, MlsMessageBodyIn, MlsMessageIn, ProtocolVersion};
use openmls_rust_crypto::RustCrypto;
use protocol::codec::{Opaque, decode_exact, encode};
use protocol::entry::{Entry, NumberedEntry};
use protocol::error::{ErrorCode, ErrorReply};
use protocol::id::Seq;
use protocol::queue::{Entries, ListenEvent, ListenReply, PublishKeyPackages};
use protocol::request::encode_reply;
use tls_codec::Serialize;

use crate::state::JobState;
use crate::testing::{Person, World, disorders, problems, texts, three_in_a_group};
use crate::{Disorder, Error, Event, Isolation, Problem, Step};

/// The listen frames that wait for a person.
fn frames(world: &World, person: &Person) -> Vec<Vec<NumberedEntry>> {
    let listen = person.core.listen().unwrap().unwrap();
    let frames = world.listen(&listen).frames;
    let entries = frames.iter().map(|frame| {
        let ListenEvent::Entries(entries) = decode_exact(frame).unwrap() else {
            panic!("no entries")
        };
        entries.entries
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
    assert_eq!(problems(&events), [Problem::EntryUnreadable]);
    assert_eq!(disorders(&events), [Disorder::Gap]);
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
    assert_eq!(problems(&events), [Problem::QueueGap]);
    assert_eq!(disorders(&events), [Disorder::Gap]);
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

/// [SDK-CONNECT-1]
#[test]
fn a_connection_package_of_another_key_or_time_is_not_used() {
    let world = World::new();
    let mut aspen = Person::new().register(&world, "Aspen");
    let mut birch = Person::new().register(&world, "Birch");
    let name = birch.claim(&world, "birch");
    let job = aspen.core.connect(&name, world.now).unwrap();
    let mut forged = world.serve(&aspen.request(&world, job));
    // The username's public key comes first.
    forged[5] ^= 1;
    let over = aspen.core.reply(job, &forged, world.now);
    assert!(matches!(over, Err(Error::BadPackage)));
    let job = aspen.core.connect(&name, world.now).unwrap();
    let reply = world.serve(&aspen.request(&world, job));
    let late = protocol::time::Timestamp(world.now.0 + 91 * 86_400);
    let over = aspen.core.reply(job, &reply, late);
    assert!(matches!(over, Err(Error::BadPackage)));
}

/// [SDK-SEND-2]
#[test]
fn a_message_that_a_member_sends_twice_is_taken_once() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let [mut aspen, mut birch] = ["aspen", "birch"].map(|name| people.remove(name).unwrap());
    let same_tag = "UPDATE messages SET tag =
                        (SELECT tag FROM messages WHERE kind = 0 AND id <> ?1) WHERE id = ?1";
    aspen.send(&world, &group, "once");
    // As if a reply had been lost and the server had forgotten what it accepted.
    let again = aspen.core.transact(world.now, |tx| {
        tx.execute("DROP INDEX messages_by_tag", [])?;
        let body = crate::group::content::Body::of(0, b"once".to_vec()).unwrap();
        let job = tx.queue_message(&group, &body)?;
        tx.execute(same_tag, [tx.count("SELECT max(id) FROM messages", [])?])?;
        Ok(job)
    });
    aspen.finish(&world, again.unwrap()).unwrap();
    let events = birch.sync(&world);
    assert_eq!(texts(&events).len(), 1);
    assert_eq!(problems(&events), []);
}

/// [SDK-LEAF-1] [SDK-STOCK-1]
#[test]
fn nothing_links_two_key_packages_of_a_client() {
    let world = World::new();
    let (mut people, _) = three_in_a_group(&world);
    let birch = people.get_mut("birch").unwrap();
    let packages = birch.core.transact(world.now, |tx| {
        tx.ensure_job(&JobState::TakeTickets)?;
        tx.ensure_job(&JobState::PublishKeyPackages { body: None })
    });
    let job = packages.unwrap();
    drop(birch.request(&world, job));
    let state = birch.core.view(|tx| Ok(tx.load_job(job)?.state)).unwrap();
    let JobState::PublishKeyPackages { body: Some(body) } = state else {
        panic!("no packages")
    };
    let body: PublishKeyPackages = decode_exact(&body).unwrap();
    let mut seen = BTreeSet::new();
    let all: Vec<_> = body.packages.iter().chain([&body.last_resort]).collect();
    for package in &all {
        let message: MlsMessageIn = decode_exact(package.key_package.as_slice()).unwrap();
        let MlsMessageBodyIn::KeyPackage(received) = message.extract() else {
            panic!("no KeyPackage")
        };
        let valid =
            KeyPackageIn::validate(received, &RustCrypto::default(), ProtocolVersion::Mls10);
        let valid = valid.unwrap();
        let leaf = valid.leaf_node();
        assert!(seen.insert(package.ticket.0.to_vec()));
        assert!(seen.insert(package.link_key.0.to_vec()));
        assert!(seen.insert(leaf.signature_key().as_slice().to_vec()));
        assert!(seen.insert(leaf.encryption_key().tls_serialize_detached().unwrap()));
        assert!(seen.insert(leaf.credential().serialized_content().to_vec()));
        let sealed = crate::group::leaf::sealed_identity(leaf).unwrap();
        assert!(seen.insert(sealed.to_vec()));
    }
    assert_eq!(seen.len(), all.len() * 6);
}
