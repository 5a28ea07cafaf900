//! Who may do what, and how that changes.

use protocol::group_policy::Role;

use crate::testing::{World, problems, three_in_a_group};
use crate::{Error, Event, Outcome};

/// [DS-ROLE-1]
#[test]
fn an_admin_can_make_another_one_and_step_down() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let [mut aspen, mut birch, mut cedar] =
        ["aspen", "birch", "cedar"].map(|name| people.remove(name).unwrap());
    let leaves = ["Aspen", "Birch", "Cedar"].map(|name| aspen.leaf(&group, name));
    let up = aspen
        .core
        .set_role(&group, &leaves[1..2], Role::Admin, world.now);
    aspen.finish(&world, up.unwrap()).unwrap();
    let events = birch.sync(&world);
    assert!(
        matches!(&events[..], [Event::RolesChanged { by, promoted, demoted, .. }]
        if by.display_name.as_deref() == Some("Aspen")
            && promoted.len() == 1 && promoted[0].is_self && demoted.is_empty())
    );
    let down = aspen
        .core
        .set_role(&group, &leaves[..1], Role::Member, world.now);
    aspen.finish(&world, down.unwrap()).unwrap();
    let refused = aspen.core.remove(&group, &leaves[2..], world.now);
    assert!(matches!(refused, Err(Error::NotAdmin)));
    birch.sync(&world);
    let removal = birch.core.remove(&group, &leaves[2..], world.now).unwrap();
    birch.finish(&world, removal).unwrap();
    assert!(matches!(
        cedar.sync(&world).last(),
        Some(Event::RemovedFromGroup { .. })
    ));
    let admins = |person: &crate::testing::Person| {
        let members = person.core.members(&group).unwrap();
        members.iter().map(|it| it.admin).collect::<Vec<_>>()
    };
    assert_eq!(problems(&aspen.sync(&world)), []);
    assert_eq!(admins(&aspen), [false, true]);
    assert_eq!(admins(&birch), [false, true]);
    assert!(birch.core.groups().unwrap()[0].admin);
}

/// [SDK-ROLE-1]
#[test]
fn who_is_no_admin_is_told_so_before_anything_is_sent() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let leaf = people["aspen"].leaf(&group, "Birch");
    let cedar = people.get_mut("cedar").unwrap();
    let refused = [
        cedar.core.remove(&group, &[leaf], world.now),
        cedar.core.set_role(&group, &[leaf], Role::Admin, world.now),
        cedar.core.delete_group(&group, world.now),
    ];
    for refusal in refused {
        assert!(matches!(refusal, Err(Error::NotAdmin)));
    }
    assert_eq!(cedar.core.jobs(world.now).unwrap(), []);
}

/// [DS-ROLE-2] [SDK-ROLE-1]
#[test]
fn a_group_is_not_left_without_an_admin() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let aspen = people.get_mut("aspen").unwrap();
    let own = aspen.leaf(&group, "Aspen");
    let refused = [
        aspen.core.set_role(&group, &[own], Role::Member, world.now),
        aspen.core.leave(&group, world.now),
    ];
    for refusal in refused {
        assert!(matches!(refusal, Err(Error::LastAdmin)));
    }
}

/// [SDK-RACE-1]
#[test]
fn an_admin_who_is_demoted_meanwhile_is_told_so() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let [mut aspen, mut birch, _] =
        ["aspen", "birch", "cedar"].map(|name| people.remove(name).unwrap());
    let [leaf, cedar] = ["Birch", "Cedar"].map(|name| aspen.leaf(&group, name));
    let up = aspen.core.set_role(&group, &[leaf], Role::Admin, world.now);
    aspen.finish(&world, up.unwrap()).unwrap();
    birch.sync(&world);
    let late = birch.core.remove(&group, &[cedar], world.now).unwrap();
    drop(birch.request(&world, late));
    let down = aspen
        .core
        .set_role(&group, &[leaf], Role::Member, world.now);
    aspen.finish(&world, down.unwrap()).unwrap();
    assert!(matches!(birch.finish(&world, late), Err(Error::NotAdmin)));
    let update = birch.core.update_keys(&group, world.now).unwrap();
    let outcome = birch.finish(&world, update).unwrap();
    assert!(matches!(outcome, Outcome::GroupChanged { .. }));
    assert_eq!(birch.core.members(&group).unwrap().len(), 3);
}
