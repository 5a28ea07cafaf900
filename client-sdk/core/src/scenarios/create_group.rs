//! Groups that begin, and servers that would have them begin wrongly.

use crate::testing::{Person, World};
use crate::{Error, Outcome};

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
