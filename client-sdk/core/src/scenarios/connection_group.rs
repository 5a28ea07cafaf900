//! Two contacts and a group of their own, which the second enters by an external commit.

use protocol::codec::Opaque;
use protocol::error::ErrorCode;
use protocol::group_policy::GroupKind;
use protocol::id::GroupId;

use crate::group::content::Body;
use crate::scenarios::invitation::entering;
use crate::testing::{Fate, Person, World, problems, texts};
use crate::{ContactId, Error, Event, MessageState, Outcome, Problem};

/// Aspen, who asked, Birch, who accepted, and what each calls the other.
pub(super) fn contacts(world: &World) -> ([Person; 2], [ContactId; 2]) {
    befriended(world, Person::new(), Person::new())
}

pub(super) fn befriended(
    world: &World,
    aspen: Person,
    birch: Person,
) -> ([Person; 2], [ContactId; 2]) {
    let mut aspen = aspen.register(world, "Aspen");
    let mut birch = birch.register(world, "Birch");
    let name = birch.claim(world, "birch");
    let contact = aspen.befriend(world, &name, &mut birch);
    let back = birch.core.find_contact("Aspen").unwrap().unwrap();
    for person in [&mut aspen, &mut birch] {
        person.events();
    }
    ([aspen, birch], [contact, back])
}

pub(super) fn open(world: &World, person: &mut Person, contact: ContactId) -> GroupId {
    let job = person
        .core
        .open_connection_group(contact, world.now)
        .unwrap();
    let Ok(Outcome::GroupCreated { group }) = person.finish(world, job) else {
        panic!("not opened")
    };
    group
}

/// Read and enter; says whether exactly that group was entered, with everybody verified.
pub(super) fn enters(world: &World, person: &mut Person, group: GroupId) -> bool {
    let events = person.sync(world);
    let joined = events.iter().filter_map(|event| {
        if let Event::GroupJoined {
            group,
            members,
            verified,
        } = event
        {
            Some((group.clone(), members.len(), *verified))
        } else {
            None
        }
    });
    let joined: Vec<_> = joined.collect();
    problems(&events).is_empty() && joined == [(crate::group_hex(&group), 2, true)]
}

/// Both say something, and both hear it.
pub(super) fn talk(world: &World, [aspen, birch]: &mut [Person; 2], group: GroupId) {
    aspen.send(world, &group, "hello");
    birch.sync(world);
    birch.send(world, &group, "hello you");
    let events = aspen.sync(world);
    assert_eq!(problems(&events), []);
    let heard = texts(&events);
    let text = heard
        .last()
        .map(|(sender, text)| (sender.as_deref(), text.as_str()));
    assert_eq!(text, Some((Some("Birch"), "hello you")));
}

/// [DS-JOIN-3] [DS-ROLE-3] [SDK-CONNECTION-1] [SDK-CONNECTION-4]
#[test]
fn whoever_opens_a_group_of_two_is_joined_by_the_contact_and_by_nobody_else() {
    let world = World::new();
    let ([mut aspen, mut birch], [contact, _]) = contacts(&world);
    let group = open(&world, &mut aspen, contact);
    let early = aspen.core.send(&group, b"too early", world.now);
    assert!(matches!(early, Err(Error::Alone)));
    assert!(enters(&world, &mut birch, group));
    let events = aspen.sync(&world);
    let entered = events.iter().any(|event| {
        matches!(event, Event::MembersChanged { by, added, .. }
            if by.verified && added.len() == 1 && added[0] == *by)
    });
    assert!(entered && problems(&events).is_empty());
    let mut people = [aspen, birch];
    talk(&world, &mut people, group);
    let [mut aspen, birch] = people;
    let entry = |person: &Person| person.core.groups().unwrap().remove(0);
    assert_eq!(
        (entry(&aspen).kind, entry(&aspen).name.as_str()),
        (GroupKind::Connection, "birch@a.example")
    );
    assert_eq!(
        (entry(&birch).kind, entry(&birch).name.as_str()),
        (GroupKind::Connection, "Aspen")
    );
    let invited = aspen.core.invite(&group, &[contact], world.now);
    assert!(matches!(invited, Err(Error::NotAdmin)), "nobody is added");
    assert_eq!(open(&world, &mut aspen, contact), group, "there is one");
}

/// The one who accepted may as well be first; the invitation may be sent again.
#[test]
fn the_one_who_accepted_may_open_it_and_invite_again() {
    let world = World::new();
    let ([aspen, mut birch], [_, contact]) = contacts(&world);
    let group = open(&world, &mut birch, contact);
    assert_eq!(open(&world, &mut birch, contact), group);
    let mut aspen = aspen;
    assert!(enters(&world, &mut aspen, group));
    birch.sync(&world);
    talk(&world, &mut [aspen, birch], group);
}

/// [SDK-CONNECTION-2]
#[test]
fn of_two_groups_opened_at_once_one_stays() {
    let world = World::new();
    let ([mut aspen, mut birch], [contact, back]) = contacts(&world);
    open(&world, &mut aspen, contact);
    open(&world, &mut birch, back);
    for _ in 0..2 {
        for person in [&mut aspen, &mut birch] {
            person.sync(&world);
            person.keep(&world);
        }
    }
    let active = |person: &Person| {
        let mut groups = person.core.groups().unwrap();
        groups.retain(|group| group.active);
        let one = groups.pop().unwrap();
        assert!(groups.is_empty());
        assert_eq!(one.members, 2);
        one.id
    };
    let group = active(&aspen);
    assert_eq!(group, active(&birch));
    talk(&world, &mut [aspen, birch], group);
}

/// [DS-JOIN-4]
#[test]
fn keys_that_are_renewed_before_and_meanwhile_keep_nobody_out() {
    let world = World::new();
    let ([mut aspen, mut birch], [contact, _]) = contacts(&world);
    let group = open(&world, &mut aspen, contact);
    let update = |aspen: &mut Person| {
        let job = aspen.core.update_keys(&group, world.now).unwrap();
        aspen.finish(&world, job).unwrap();
    };
    update(&mut aspen);
    birch.read(&world);
    let job = entering(&mut birch, &world);
    let fetch = birch.request(&world, job);
    let state = world.serve(&fetch);
    birch.core.reply(job, &state, world.now).unwrap();
    // The external commit is made, and comes too late.
    update(&mut aspen);
    assert!(enters(&world, &mut birch, group));
    aspen.sync(&world);
    talk(&world, &mut [aspen, birch], group);
}

/// [SDK-JOB-1] [SDK-JOIN-1] [SDK-CONNECTION-1]
#[test]
fn lost_replies_and_lost_processes_change_nothing() {
    let world = World::new();
    let homes = tempfile::tempdir().unwrap();
    let home = |name: &str| Person::mortal(homes.path().join(name));
    let ([mut aspen, mut birch], [contact, _]) = befriended(&world, home("a"), home("b"));
    let mut asked = std::collections::BTreeMap::new();
    let mut lost_once = |outgoing: &crate::Outgoing| {
        let times = asked.entry(outgoing.operation()).or_insert(0);
        *times += 1;
        match *times {
            1 => Fate::ReplyLost,
            _ => Fate::Answered,
        }
    };
    let job = aspen.core.open_connection_group(contact, world.now);
    let opened = aspen.finish_with(&world, job.unwrap(), &mut lost_once);
    let Ok(Outcome::GroupCreated { group }) = opened else {
        panic!("not opened")
    };
    birch.read(&world);
    let enter = entering(&mut birch, &world);
    let mut said = false;
    let entered = birch.finish_with(&world, enter, |outgoing| {
        if outgoing.operation() == "join_group" && !said {
            // Accepted, unknown to who entered; and the other goes on.
            said = true;
            aspen.sync(&world);
            aspen.send(&world, &group, "are you there?");
        }
        lost_once(outgoing)
    });
    assert_eq!(entered.unwrap(), Outcome::GroupJoined { group });
    let events = birch.sync(&world);
    assert_eq!(problems(&events), []);
    assert_eq!(texts(&events).len(), 1);
    aspen.sync(&world);
    talk(&world, &mut [aspen, birch], group);
}

/// [SDK-CONNECTION-1] [SDK-CONNECTION-4]
#[test]
fn whoever_was_given_somebody_elses_invitation_is_shown_as_unverified() {
    let world = World::new();
    let ([mut aspen, mut birch], contact, group) = entered_instead(&world);
    let events = aspen.sync(&world);
    assert_eq!(problems(&events), [Problem::MemberUnverified]);
    // The place is taken.
    let events = birch.sync(&world);
    assert_eq!(problems(&events), [Problem::InvitationRefused]);
    // Nothing is said to a stranger, whenever it was asked for.
    let said = aspen.core.send(&group, b"hello", world.now);
    assert!(matches!(said, Err(Error::Stranger)));
    let leaf = aspen.leaf(&group, "Cedar");
    let said = aspen.core.send_to_member(&group, leaf, b"hello", world.now);
    assert!(matches!(said, Err(Error::Stranger)));
    let text = Body::Text(Opaque::new(b"hello".to_vec()).unwrap());
    let said = aspen
        .core
        .transact(world.now, |tx| tx.queue_message(&group, &text));
    let said = aspen.finish(&world, said.unwrap());
    assert!(matches!(said, Err(Error::Stranger)));
    let state = aspen.core.messages(&group, None, 10).unwrap()[0].state;
    assert_eq!(state, MessageState::Failed);
    // And there is no group with the contact yet.
    let another = open(&world, &mut aspen, contact);
    assert_ne!(another, group);
    assert!(enters(&world, &mut birch, another));
    aspen.sync(&world);
    talk(&world, &mut [aspen, birch], another);
}

/// Aspen has opened a group for Birch, and Cedar, another contact of hers, has entered it.
pub(super) fn entered_instead(world: &World) -> ([Person; 2], ContactId, GroupId) {
    let ([mut aspen, mut birch], [contact, _]) = contacts(world);
    let mut cedar = Person::new().register(world, "Cedar");
    let name = cedar.claim(world, "cedar");
    aspen.befriend(world, &name, &mut cedar);
    let group = open(world, &mut aspen, contact);
    enter_instead(world, &mut birch, &mut cedar, group);
    ([aspen, birch], contact, group)
}

/// Somebody enters with the keys of an invitation for another, who has read it and goes on later.
fn enter_instead(world: &World, invited: &mut Person, stranger: &mut Person, group: GroupId) {
    invited.read(world);
    let sql = "SELECT state_key, identity_key FROM entrances";
    let keys = invited.core.view(|tx| {
        tx.row(sql, [], |row| {
            Ok((row.get::<_, [u8; 32]>(0)?, row.get::<_, [u8; 32]>(1)?))
        })
    });
    let (state_key, identity_key) = keys.unwrap().unwrap();
    stranger
        .core
        .transact(world.now, |tx| {
            let sql = "INSERT INTO entrances (grp, contact, state_key, identity_key)
                       VALUES (?1, 1, ?2, ?3)";
            tx.execute(sql, (group.0, state_key, identity_key))?;
            tx.add_job(
                &crate::state::JobState::EnterConnectionGroup {
                    group: group.0,
                    state: crate::state::ResyncState::START,
                },
                None,
            )
        })
        .unwrap();
    stranger.sync(world);
}

#[test]
fn an_invitation_that_comes_too_late_is_told_and_leaves_nothing() {
    let world = World::new();
    let ([mut aspen, mut birch], [contact, _]) = contacts(&world);
    let group = open(&world, &mut aspen, contact);
    let job = aspen.core.delete_group(&group, world.now).unwrap();
    aspen.finish(&world, job).unwrap();
    let events = birch.sync(&world);
    assert_eq!(problems(&events), [Problem::InvitationRefused]);
    let left = birch
        .core
        .view(|tx| tx.count("SELECT count(*) FROM entrances", []));
    assert_eq!(left.unwrap(), 0);
    assert!(birch.core.groups().unwrap().is_empty());
    let job = birch.core.send(&group, b"hello", world.now);
    assert!(matches!(job, Err(Error::Unknown(_))));
}

/// [DS-ROLE-3]
#[test]
fn after_one_left_the_other_opens_the_same_group_again() {
    let world = World::new();
    let ([mut aspen, mut birch], [contact, _]) = contacts(&world);
    let group = open(&world, &mut aspen, contact);
    assert!(enters(&world, &mut birch, group));
    aspen.sync(&world);
    let leave = birch.core.leave(&group, world.now).unwrap();
    birch.finish(&world, leave).unwrap();
    aspen.sync(&world);
    let update = aspen.core.update_keys(&group, world.now).unwrap();
    aspen.finish(&world, update).unwrap();
    birch.sync(&world);
    let alone = aspen.core.send(&group, b"gone?", world.now);
    assert!(matches!(alone, Err(Error::Alone)));
    assert_eq!(open(&world, &mut aspen, contact), group);
    assert!(enters(&world, &mut birch, group));
    aspen.sync(&world);
    talk(&world, &mut [aspen, birch], group);
}

/// What the service refuses, it refuses for good.
#[test]
fn a_service_that_knows_no_such_group_ends_the_entrance() {
    let world = World::new();
    let ([mut aspen, mut birch], [contact, _]) = contacts(&world);
    open(&world, &mut aspen, contact);
    birch.read(&world);
    let enter = entering(&mut birch, &world);
    birch.request(&world, enter);
    let denied = protocol::request::encode_reply::<protocol::delivery::FetchExternalStateReply>(
        &Err(ErrorCode::Denied.into()),
    );
    birch.core.reply(enter, &denied, world.now).unwrap();
    let events = birch.events();
    assert_eq!(problems(&events), [Problem::InvitationRefused]);
}
