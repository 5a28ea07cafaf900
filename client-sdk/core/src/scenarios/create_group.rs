//! Groups that begin, and servers that would have them begin wrongly.

use protocol::codec::Opaque;
use protocol::id::GroupId;

use crate::group::content::Body;
use crate::testing::{Person, World, problems};
use crate::{Error, GROUP_NAME_BYTES_MAX, Outcome, Problem};

/// [SDK-DELIVERY-1]
#[test]
fn a_group_begins_only_at_a_delivery_service_that_its_domain_vouches_for() {
    let world = World::new();
    let mut aspen = Person::new().register(&world, "Aspen");
    let impostor = World::with_root([7; 32]);
    let job = aspen.core.create_group("walk", world.now).unwrap();
    let foreign = impostor.serve(&aspen.request(&world, job));
    let over = aspen.core.reply(job, &foreign, world.now);
    assert!(matches!(over, Err(Error::BadServerKeys)));
    let job = aspen.core.create_group("walk", world.now).unwrap();
    let mut forged = world.serve(&aspen.request(&world, job));
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let over = aspen.core.reply(job, &forged, world.now);
    assert!(matches!(over, Err(Error::BadServerKeys)));
    assert!(aspen.core.groups().unwrap().is_empty());
}

/// [DS-CREATE-1]
#[test]
fn who_creates_a_group_is_its_admin() {
    let world = World::new();
    let mut aspen = Person::new().register(&world, "Aspen");
    let group = aspen.create_group(&world, "walk");
    let members = aspen.core.members(&group).unwrap();
    assert!(members.len() == 1 && members[0].admin && members[0].person.is_self);
}

/// [SDK-LEAVE-2]
#[test]
fn who_leaves_a_group_alone_deletes_it() {
    let world = World::new();
    let mut aspen = Person::new().register(&world, "Aspen");
    let group = aspen.create_group(&world, "walk");
    aspen.send(&world, &group, "to myself");
    let job = aspen.core.leave(&group, world.now).unwrap();
    let outcome = aspen.finish(&world, job).unwrap();
    assert_eq!(outcome, Outcome::GroupDeleted { group });
    assert_eq!(aspen.core.messages(&group, None, 10).unwrap().len(), 1);
    let again = aspen.create_group(&world, "walk");
    assert_ne!(again, group);
}

/// Tell a group's members its name, whatever it is.
fn tell_name(person: &mut Person, world: &World, group: &GroupId, name: &[u8]) {
    let name = Opaque::new(name.to_vec()).unwrap();
    let body = Body::GroupName(name);
    let told = person
        .core
        .transact(world.now, |tx| tx.queue_message(group, &body));
    person.finish(world, told.unwrap()).unwrap();
}

/// Whoever invites tells the name on, after the service has accepted the invitation.
#[test]
fn no_name_that_a_member_tells_spoils_an_invitation() {
    let world = World::new();
    let [mut aspen, mut birch, mut cedar] =
        ["Aspen", "Birch", "Cedar"].map(|name| Person::new().register(&world, name));
    let contacts = [(&mut birch, "birch"), (&mut cedar, "cedar")].map(|(other, name)| {
        let username = other.claim(&world, name);
        aspen.befriend(&world, &username, other)
    });
    let long = "n".repeat(GROUP_NAME_BYTES_MAX);
    aspen.create_group(&world, &long);
    let group = aspen.create_group(&world, "walk");
    aspen.invite(&world, &group, &contacts[..1]);
    birch.sync(&world);
    tell_name(&mut birch, &world, &group, &[0xff; GROUP_NAME_BYTES_MAX]);
    assert_eq!(problems(&aspen.sync(&world)), [Problem::MessageRefused]);
    tell_name(&mut birch, &world, &group, long.as_bytes());
    assert_eq!(problems(&aspen.sync(&world)), []);
    let groups = aspen.core.groups().unwrap();
    let name = &groups.iter().find(|entry| entry.id == group).unwrap().name;
    assert!(
        *name != long && name.len() == GROUP_NAME_BYTES_MAX,
        "{name}"
    );
    aspen.invite(&world, &group, &contacts[1..]);
    cedar.sync(&world);
    assert_eq!(cedar.core.members(&group).unwrap().len(), 3);
}
