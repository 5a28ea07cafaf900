//! Accepting a connection request, and the secret that the two contacts share from then on.

use crate::Step;
use crate::scenarios::connection_group::{contacts, enters, open, talk};
use crate::scenarios::invitation::pair;
use crate::testing::{Person, World};

/// [SDK-CONNECT-3]
#[test]
fn an_acceptance_counts_from_when_it_was_posted_or_answered_by_an_invitation() {
    let world = World::new();
    let mut aspen = Person::new().register(&world, "Aspen");
    let mut birch = Person::new().register(&world, "Birch");
    let name = birch.claim(&world, "birch");
    let job = aspen.core.connect(&name, world.now).unwrap();
    aspen.finish(&world, job).unwrap();
    let request = birch.fetch_requests(&world).remove(0);
    let accept = birch.core.accept_connection(request, world.now).unwrap();
    let acceptance = birch.request(&world, accept);
    let pairs = |person: &Person| {
        let pairs = person
            .core
            .view(|tx| tx.count("SELECT count(*) FROM pairs", []));
        pairs.unwrap()
    };
    assert_eq!(pairs(&birch), 0, "nobody was told yet");
    // It is posted, and Birch does not hear that.
    world.serve(&acceptance);
    aspen.sync(&world);
    let contact = aspen.core.find_contact(&name.to_string()).unwrap().unwrap();
    let group = open(&world, &mut aspen, contact);
    birch.events();
    assert!(enters(&world, &mut birch, group));
    birch.finish(&world, accept).unwrap();
    assert_eq!(pairs(&birch), 1);
    aspen.sync(&world);
    talk(&world, &mut [aspen, birch], group);
}

/// [SDK-CONNECT-3]
#[test]
fn who_become_contacts_again_use_the_newest_secret() {
    let world = World::new();
    let ([mut aspen, mut birch], [contact, _]) = contacts(&world);
    let name = birch.core.usernames().unwrap().remove(0).username.parse();
    let name = name.unwrap();
    for _ in 0..3 {
        assert_eq!(aspen.befriend(&world, &name, &mut birch), contact);
    }
    let count = aspen
        .core
        .view(|tx| tx.count("SELECT count(*) FROM pairs", []));
    assert_eq!(count.unwrap(), 2);
    // Of a home that was lost and set up again, the other knows the newest alone.
    let forget = "DELETE FROM pairs WHERE id NOT IN (SELECT max(id) FROM pairs)";
    birch
        .core
        .transact(world.now, |tx| tx.execute(forget, []))
        .unwrap();
    birch.events();
    let group = open(&world, &mut aspen, contact);
    assert!(enters(&world, &mut birch, group));
}

/// [SDK-CONNECT-3]
#[test]
fn who_asked_each_other_at_once_read_what_is_sealed_under_either_secret() {
    let world = World::new();
    let mut people = ["Aspen", "Birch"].map(|name| Person::new().register(&world, name));
    let mut claimed = Vec::new();
    for (person, name) in people.iter_mut().zip(["aspen", "birch"]) {
        claimed.push(person.claim(&world, name));
    }
    for (person, other) in people.iter_mut().zip(claimed.iter().rev()) {
        let job = person.core.connect(other, world.now).unwrap();
        person.finish(&world, job).unwrap();
    }
    for person in &mut people {
        let request = person.fetch_requests(&world).remove(0);
        let job = person.core.accept_connection(request, world.now).unwrap();
        person.finish(&world, job).unwrap();
    }
    for person in &mut people {
        person.sync(&world);
    }
    let [mut aspen, mut birch] = people;
    let contact = |person: &Person, name: &str| person.core.find_contact(name).unwrap().unwrap();
    let (birchs, aspens) = (contact(&aspen, "Birch"), contact(&birch, "Aspen"));
    assert_ne!(
        pair(&aspen, birchs).0,
        pair(&birch, aspens).0,
        "they crossed"
    );
    let group = open(&world, &mut aspen, birchs);
    assert!(enters(&world, &mut birch, group));
}

/// Opening waits until the contact knows, and for nobody else.
#[test]
fn opening_waits_for_the_acceptance_of_this_contact_alone() {
    let world = World::new();
    let ([_, mut birch], [_, back]) = contacts(&world);
    let mut cedar = Person::new().register(&world, "Cedar");
    let name = birch.core.usernames().unwrap().remove(0).username.parse();
    let job = cedar.core.connect(&name.unwrap(), world.now).unwrap();
    cedar.finish(&world, job).unwrap();
    let request = birch.fetch_requests(&world).remove(0);
    let accept = birch.core.accept_connection(request, world.now).unwrap();
    birch.request(&world, accept);
    let opening = birch.core.open_connection_group(back, world.now).unwrap();
    assert_eq!(
        birch.request(&world, opening).operation(),
        "request_group_id"
    );
    let asking = birch.core.find_contact("Cedar").unwrap().unwrap();
    let opening = birch.core.open_connection_group(asking, world.now).unwrap();
    let step = birch.core.step(opening, world.now).unwrap();
    assert!(matches!(step, Step::Wait(other) if other == accept));
    birch.finish(&world, opening).unwrap();
}
