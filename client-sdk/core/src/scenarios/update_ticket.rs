//! Groups that get another way into a queue.

use crate::testing::{Fate, Person, World, problems, texts, three_in_a_group};
use crate::{Outcome, Stock};

fn ticket(person: &Person, group: &protocol::id::GroupId) -> Vec<u8> {
    let sql = "SELECT ticket_id FROM groups WHERE id = ?1";
    let ticket = person
        .core
        .view(|tx| tx.row(sql, [group.0], |row| row.get(0)));
    ticket.unwrap().unwrap()
}

/// [SDK-TICKET-1] [DS-TICKET-1]
#[test]
fn what_comes_by_the_old_ticket_and_the_next_is_read() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let [mut aspen, mut birch] = ["aspen", "birch"].map(|name| people.remove(name).unwrap());
    let before = ticket(&birch, &group);
    aspen.send(&world, &group, "by the old one");
    let job = birch.core.update_ticket(&group, world.now).unwrap();
    let mut losses = 1;
    let updated = birch.finish_with(&world, job, |outgoing| {
        if outgoing.operation() == "update_ticket" && std::mem::take(&mut losses) == 1 {
            aspen.send(&world, &group, "by the next one");
            return Fate::ReplyLost;
        }
        Fate::Answered
    });
    assert_eq!(updated.unwrap(), Outcome::TicketUpdated { group });
    aspen.send(&world, &group, "by the next one too");
    let events = birch.sync(&world);
    assert_eq!(texts(&events).len(), 3);
    assert_eq!(problems(&events), []);
    assert_ne!(ticket(&birch, &group), before);
}

/// [SDK-TICKET-1]
#[test]
fn a_group_that_was_joined_by_the_last_resort_gets_a_ticket_of_its_own() {
    let world = World::new();
    let mut aspen = Person::new().register(&world, "Aspen");
    let mut birch = Person::new();
    birch.core.set_stock(Stock::LEAST);
    let mut birch = birch.register(&world, "Birch");
    let name = birch.claim(&world, "birch");
    let contact = aspen.befriend(&world, &name, &mut birch);
    let groups = ["walk", "swim"].map(|name| aspen.create_group(&world, name));
    for group in &groups {
        aspen.invite(&world, group, &[contact]);
    }
    birch.sync(&world);
    birch.keep(&world);
    let [walk, swim] = groups.map(|group| ticket(&birch, &group));
    assert_ne!(walk, swim);
    for (number, group) in groups.iter().enumerate() {
        aspen.send(&world, group, "hello");
        let events = birch.sync(&world);
        assert_eq!(texts(&events).len(), 1, "group {number}");
        assert_eq!(problems(&events), []);
    }
}

/// [SDK-RACE-1]
#[test]
fn a_ticket_finds_its_way_into_another_epoch() {
    let world = World::new();
    let (mut people, group) = three_in_a_group(&world);
    let [mut aspen, mut birch] = ["aspen", "birch"].map(|name| people.remove(name).unwrap());
    let job = birch.core.update_ticket(&group, world.now).unwrap();
    drop(birch.request(&world, job));
    let update = aspen.core.update_keys(&group, world.now).unwrap();
    aspen.finish(&world, update).unwrap();
    assert_eq!(
        birch.finish(&world, job).unwrap(),
        Outcome::TicketUpdated { group }
    );
    aspen.send(&world, &group, "found");
    assert_eq!(texts(&birch.sync(&world)).len(), 1);
}
