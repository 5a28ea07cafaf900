//! People meet, talk, come and go.

use crate::testing::{Person, World, problems, texts, three_in_a_group};
use crate::{Event, Outcome};

fn said(by: &str, text: &str) -> (Option<String>, String) {
    (Some(by.to_owned()), text.to_owned())
}

#[test]
fn people_meet_and_talk() {
    let world = World::new();
    let mut aspen = Person::new().register(&world, "Aspen");
    let mut birch = Person::new().register(&world, "Birch");
    let name = birch.claim(&world, "birch");
    let contact = aspen.befriend(&world, &name, &mut birch);
    let group = aspen.create_group(&world, "walk");
    aspen.invite(&world, &group, &[contact]);
    let events = birch.sync(&world);
    assert_eq!(problems(&events), []);
    assert!(events.iter().any(|event| matches!(
        event,
        Event::GroupJoined { members, verified: true, .. } if members.len() == 2
    )));
    assert_eq!(birch.core.find_group("walk").unwrap(), Some(group));
    for text in ["one", "two", "three"] {
        aspen.send(&world, &group, text);
    }
    let events = birch.sync(&world);
    let expected = ["one", "two", "three"].map(|text| said("Aspen", text));
    assert_eq!(texts(&events), expected);
    birch.send(&world, &group, "four");
    let events = aspen.sync(&world);
    assert_eq!(texts(&events), [said("Birch", "four")]);
    assert_eq!(problems(&events), []);
}

/// [SDK-LEAVE-1]
#[test]
fn who_is_removed_hears_so_and_nothing_later() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let [mut aspen, mut birch, mut cedar] =
        ["aspen", "birch", "cedar"].map(|name| people.remove(name).unwrap());
    let leaf = aspen.leaf(&group, "Cedar");
    let job = aspen.core.remove(&group, &[leaf], world.now).unwrap();
    assert!(matches!(
        aspen.finish(&world, job),
        Ok(Outcome::GroupChanged { .. })
    ));
    aspen.send(&world, &group, "without you");
    let events = cedar.sync(&world);
    assert!(matches!(&events[..], [Event::RemovedFromGroup { by, .. }]
        if by.display_name.as_deref() == Some("Aspen")));
    assert!(cedar.core.send(&group, b"still here", world.now).is_err());
    for table in [
        "epochs",
        "members",
        "openmls_group_data",
        "openmls_epoch_keys_pairs",
    ] {
        let left = cedar
            .core
            .view(|tx| tx.count(&format!("SELECT count(*) FROM {table}"), []));
        assert_eq!(left.unwrap(), 0, "{table}");
    }
    let zeros = "SELECT count(*) FROM groups WHERE leaf_key = zeroblob(32)";
    assert_eq!(cedar.core.view(|tx| tx.count(zeros, [])).unwrap(), 1);
    let events = birch.sync(&world);
    assert_eq!(texts(&events), [said("Aspen", "without you")]);
    assert!(events.iter().any(
        |event| matches!(event, Event::MembersChanged { removed, .. }
        if removed.len() == 1)
    ));
}
