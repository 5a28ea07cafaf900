//! Invitations into connection groups: hostile ones, those that cross, and those that come twice.

use protocol::codec::{Opaque, encode};
use protocol::contact::ConnectionInvitation;
use protocol::crypto::sealed::SymmetricKey;
use protocol::entry::{Payload, SealedInvitation};
use protocol::id::{Epoch, GroupId, ReplyId, TicketId};

use crate::scenarios::connection_group::{contacts, enters, open, talk};
use crate::testing::{Person, World, problems};
use crate::{ContactId, JobId, JobKind, Outcome, Problem, Step};

/// The secret under which somebody invites a contact.
pub(super) fn pair(person: &Person, contact: ContactId) -> (ReplyId, SymmetricKey) {
    let sql = "SELECT reply_id, key FROM pairs WHERE contact = ?1 ORDER BY id DESC LIMIT 1";
    let pair = person.core.view(|tx| {
        tx.row(sql, [contact.0], |row| {
            Ok((ReplyId(row.get(0)?), SymmetricKey(row.get(1)?)))
        })
    });
    pair.unwrap().unwrap()
}

/// Post an invitation that no honest client makes.
pub(super) fn invite_by_hand(
    world: &World,
    (from, contact): (&Person, ContactId),
    to: &mut Person,
    invitation: &ConnectionInvitation,
) {
    let (reply_id, key) = pair(from, contact);
    let sealed = key.seal([5; 12], &reply_id.0, &encode(invitation));
    let sealed = Opaque::new(sealed).unwrap();
    let payload = encode(&Payload::ConnectionInvitation(SealedInvitation {
        reply_id,
        sealed,
    }));
    let posted = to.core.transact(world.now, |tx| {
        tx.receive_payload(TicketId([0; 16]), &payload)
    });
    posted.unwrap();
}

/// What a member could invite to a group with.
fn keys_of(member: &Person, group: GroupId) -> ConnectionInvitation {
    let keys = member.core.view(|tx| {
        let epoch = Epoch(tx.mls_group(&group)?.epoch().as_u64());
        Ok(ConnectionInvitation {
            group,
            state_key: tx.state_key(&group, epoch)?,
            identity_key: tx.active_group(&group)?.identity_key,
        })
    });
    keys.unwrap()
}

pub(super) fn job_of(person: &mut Person, world: &World, kind: JobKind) -> Option<JobId> {
    let jobs = person.core.jobs(world.now).unwrap();
    jobs.iter().find(|job| job.kind == kind).map(|job| job.id)
}

pub(super) fn entering(person: &mut Person, world: &World) -> JobId {
    job_of(person, world, JobKind::EnterConnectionGroup).unwrap()
}

/// What is left of entrances, their commits and what came for them.
pub(super) fn left_of_entrances(person: &Person) -> [u64; 3] {
    ["entrances", "resyncs", "parked"].map(|table| {
        let sql = format!("SELECT count(*) FROM {table}");
        person.core.view(|tx| tx.count(&sql, [])).unwrap()
    })
}

/// [SDK-CONNECTION-5]
#[test]
fn an_invitation_touches_no_group_that_we_are_in() {
    let world = World::new();
    let ([mut aspen, mut birch], [contact, back]) = contacts(&world);
    let group = aspen.create_group(&world, "walk");
    aspen.invite(&world, &group, &[contact]);
    birch.sync(&world);
    let hostile = keys_of(&birch, group);
    invite_by_hand(&world, (&birch, back), &mut aspen, &hostile);
    assert_eq!(problems(&aspen.sync(&world)), [Problem::InvitationRefused]);
    assert_eq!(left_of_entrances(&aspen), [0; 3]);
    talk(&world, &mut [aspen, birch], group);
}

/// [SDK-CONNECTION-5]
#[test]
fn an_invitation_that_came_before_the_welcome_touches_nothing_either() {
    let world = World::new();
    let ([mut aspen, mut birch], [_, back]) = contacts(&world);
    let group = birch.create_group(&world, "walk");
    let hostile = keys_of(&birch, group);
    invite_by_hand(&world, (&birch, back), &mut aspen, &hostile);
    let enter = entering(&mut aspen, &world);
    // The state is fetched, and a commit is almost made, when somebody adds us.
    let fetch = aspen.request(&world, enter);
    birch.invite(&world, &group, &[back]);
    aspen.read(&world);
    let join = job_of(&mut aspen, &world, JobKind::JoinGroup).unwrap();
    aspen.finish(&world, join).unwrap();
    let gone = aspen.core.reply(enter, &world.serve(&fetch), world.now);
    assert!(matches!(gone, Err(crate::Error::Unknown("job"))));
    assert_eq!(problems(&aspen.sync(&world)), []);
    assert_eq!(left_of_entrances(&aspen), [0; 3]);
    talk(&world, &mut [aspen, birch], group);
}

/// [SDK-CONNECTION-5]
#[test]
fn an_entrance_that_should_not_be_there_does_no_harm() {
    let world = World::new();
    let ([mut aspen, mut birch], [contact, _]) = contacts(&world);
    let group = aspen.create_group(&world, "walk");
    aspen.invite(&world, &group, &[contact]);
    birch.sync(&world);
    let keys = keys_of(&birch, group);
    let forced = aspen.core.transact(world.now, |tx| {
        let sql = "INSERT INTO entrances (contact, grp, state_key, identity_key)
                   VALUES (?1, ?2, ?3, ?4)";
        let (state_key, identity_key) = (keys.state_key.0, keys.identity_key.0);
        tx.execute(sql, (contact.0, group.0, state_key, identity_key))?;
        let state = crate::state::ResyncState::START;
        let group = group.0;
        tx.add_job(
            &crate::state::JobState::EnterConnectionGroup { group, state },
            None,
        )
    });
    assert_eq!(
        aspen.finish(&world, forced.unwrap()).unwrap(),
        Outcome::Kept
    );
    assert_eq!(problems(&aspen.events()), [Problem::InvitationRefused]);
    talk(&world, &mut [aspen, birch], group);
}

/// [SDK-CONNECTION-5] [SDK-CONNECTION-2]
#[test]
fn a_group_that_is_being_created_counts_and_is_not_touched() {
    let mut seen = [false; 2];
    for _ in 0..64 {
        let world = World::new();
        let ([mut aspen, mut birch], [contact, back]) = contacts(&world);
        // Aspen has asked for the group, and has no answer yet.
        let opening = aspen
            .core
            .open_connection_group(contact, world.now)
            .unwrap();
        let asked = aspen.request(&world, opening);
        aspen
            .core
            .reply(opening, &world.serve(&asked), world.now)
            .unwrap();
        let ours = aspen.core.groups().unwrap()[0].id;
        let hostile = ConnectionInvitation {
            group: ours,
            state_key: SymmetricKey([1; 32]),
            identity_key: SymmetricKey([2; 32]),
        };
        invite_by_hand(&world, (&birch, back), &mut aspen, &hostile);
        assert_eq!(problems(&aspen.events()), [Problem::InvitationRefused]);
        // Birch opens one, too.
        let theirs = open(&world, &mut birch, back);
        aspen.read(&world);
        let stays = ours.0.min(theirs.0);
        let follows = job_of(&mut aspen, &world, JobKind::EnterConnectionGroup).is_some();
        assert_eq!(follows, stays == theirs.0);
        let opened = aspen.finish(&world, opening).unwrap();
        let group = GroupId(stays);
        assert_eq!(opened, Outcome::GroupCreated { group });
        for _ in 0..2 {
            for person in [&mut birch, &mut aspen] {
                assert_eq!(problems(&person.sync(&world)), []);
                person.keep(&world);
            }
        }
        for person in [&aspen, &birch] {
            let mut groups = person.core.groups().unwrap();
            groups.retain(|group| group.active);
            let groups: Vec<_> = groups.iter().map(|it| (it.id, it.members)).collect();
            assert_eq!(groups, [(group, 2)]);
        }
        talk(&world, &mut [aspen, birch], group);
        seen[usize::from(follows)] = true;
        if seen == [true; 2] {
            return;
        }
    }
    panic!("the ids never came in both orders");
}

/// [SDK-CONNECTION-2]
#[test]
fn nothing_is_opened_for_a_contact_whose_invitation_is_followed() {
    let world = World::new();
    let ([mut aspen, mut birch], [contact, back]) = contacts(&world);
    // Birch has asked for an id when the invitation comes.
    let opening = birch.core.open_connection_group(back, world.now).unwrap();
    let asked = birch.request(&world, opening);
    let group = open(&world, &mut aspen, contact);
    birch.read(&world);
    let step = birch.core.reply(opening, &world.serve(&asked), world.now);
    let enter = entering(&mut birch, &world);
    assert!(matches!(step, Ok(Step::Wait(other)) if other == enter));
    let opened = birch.finish(&world, opening).unwrap();
    assert_eq!(opened, Outcome::GroupCreated { group });
    assert_eq!(birch.core.groups().unwrap().len(), 1);
    aspen.sync(&world);
    talk(&world, &mut [aspen, birch], group);
}

/// [SDK-CONNECTION-6]
#[test]
fn of_each_contact_the_newest_invitation_is_followed() {
    let world = World::new();
    let ([mut aspen, mut birch], [contact, _]) = contacts(&world);
    let first = open(&world, &mut aspen, contact);
    birch.read(&world);
    let job = aspen.core.delete_group(&first, world.now).unwrap();
    aspen.finish(&world, job).unwrap();
    let second = open(&world, &mut aspen, contact);
    // The same again makes no difference.
    assert_eq!(open(&world, &mut aspen, contact), second);
    birch.read(&world);
    assert_eq!(left_of_entrances(&birch), [1, 0, 0]);
    let kind = JobKind::EnterConnectionGroup;
    let jobs = birch.core.jobs(world.now).unwrap();
    assert_eq!(jobs.iter().filter(|job| job.kind == kind).count(), 1);
    assert!(enters(&world, &mut birch, second));
    aspen.sync(&world);
    talk(&world, &mut [aspen, birch], second);
}

/// [SDK-CONNECTION-6]
#[test]
fn nobody_takes_the_place_of_another_contacts_invitation() {
    let world = World::new();
    let ([mut aspen, mut birch], [contact, _]) = contacts(&world);
    let mut cedar = Person::new().register(&world, "Cedar");
    let name = birch.core.usernames().unwrap().remove(0).username;
    let victim = cedar.befriend(&world, &name.parse().unwrap(), &mut birch);
    birch.events();
    let group = open(&world, &mut aspen, contact);
    birch.read(&world);
    let hostile = ConnectionInvitation {
        group,
        state_key: SymmetricKey([1; 32]),
        identity_key: SymmetricKey([2; 32]),
    };
    invite_by_hand(&world, (&cedar, victim), &mut birch, &hostile);
    assert_eq!(problems(&birch.events()), [Problem::InvitationRefused]);
    assert!(enters(&world, &mut birch, group));
}
