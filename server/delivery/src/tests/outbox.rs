//! What was accepted waits until it is delivered.

use protocol::contact::Ticket;
use protocol::id::Seq;
use protocol::time::Timestamp;

use super::client::Client;
use super::{POLICY, World, client, pair};
use crate::{Error, Policy};

/// [DS-OUTBOX-3]
#[test]
fn parcels_survive_a_restart() {
    let (mut world, mut a, mut b) = pair();
    let (_, outbox) = world.send(&mut a, b"one").unwrap();
    world.send(&mut a, b"two").unwrap();
    world.restart();
    assert_eq!(world.delivery.pending(None, 10).unwrap(), [outbox]);
    assert_eq!(world.delivery.pending(Some(outbox), 10).unwrap(), []);
    let inbox = world.deliver(&[&b]);
    let texts: Vec<_> = inbox[0]
        .iter()
        .map(|payload| b.receive(payload).unwrap().1)
        .collect();
    assert_eq!(texts, [b"one", b"two"]);
    assert_eq!(world.delivery.pending(None, 10).unwrap(), []);
}

/// [DS-OUTBOX-1]
#[test]
fn the_places_of_a_link_have_no_gaps() {
    let (world, mut a, mut b) = pair();
    let (_, outbox) = world.send(&mut a, b"x").unwrap();
    world.send(&mut b, b"y").unwrap();
    let update = a.update();
    world.commit(&a, &update).unwrap();
    let parcels = world.delivery.parcels(outbox, None, 10).unwrap().parcels;
    let places: Vec<_> = parcels.iter().map(|parcel| parcel.seq).collect();
    // The Welcome of the pair was the first on the link.
    assert_eq!(places, [Seq(1), Seq(2), Seq(3)]);
    assert!(parcels.windows(2).all(|pair| pair[0].key < pair[1].key));
    assert_eq!(
        world
            .delivery
            .parcels(outbox, None, 2)
            .unwrap()
            .parcels
            .len(),
        2,
        "no more than asked for"
    );
}

/// [DS-FANOUT-2] [DS-OUTBOX-1]
#[test]
fn messages_that_arrive_together_are_numbered_without_gaps() {
    const EACH: u64 = 30;
    let (world, mut a, mut b) = pair();
    let requests = |client: &mut Client| -> Vec<_> {
        let texts = 0..EACH;
        let mut sign = |_| {
            let message = client.message(b"x");
            client.sign(message, &world.binding)
        };
        texts.map(&mut sign).collect()
    };
    let all = [requests(&mut a), requests(&mut b)];
    let send = |requests: Vec<_>| {
        let send = |request| {
            world
                .delivery
                .send_message(request, &world.binding, world.now, &world.entropy)
        };
        let numbers = requests.into_iter().map(send);
        numbers
            .map(|reply| reply.unwrap().0.receipt.number.0)
            .collect()
    };
    let mut numbers: Vec<u64> = std::thread::scope(|scope| {
        let threads = all.map(|requests| scope.spawn(|| -> Vec<u64> { send(requests) }));
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    numbers.sort_unstable();
    let expected: Vec<u64> = (2..2 + 2 * EACH).collect();
    assert_eq!(numbers, expected);
    let outbox = world.delivery.pending(None, 1).unwrap()[0];
    let parcels = world.delivery.parcels(outbox, None, 100).unwrap().parcels;
    let places: Vec<u64> = parcels.iter().map(|parcel| parcel.seq.0).collect();
    assert_eq!(places, (1..=2 * EACH).collect::<Vec<_>>());
}

#[test]
fn a_parcel_stays_for_the_tickets_that_remain() {
    let world = World::new();
    let mut a = client(1);
    let mut others: Vec<_> = (2..5).map(client).collect();
    world.create(&mut a).unwrap();
    world.add(&mut a, &mut [], &mut others.iter_mut().collect::<Vec<_>>());
    let (_, outbox) = world.send(&mut a, b"x").unwrap();
    let parcel = world
        .delivery
        .parcels(outbox, None, 10)
        .unwrap()
        .parcels
        .pop()
        .unwrap();
    assert_eq!(parcel.tickets.len(), 3);
    let stranger = Ticket([0xee; 64]);
    let settle = |remaining: Vec<Ticket>| {
        world
            .delivery
            .settle(outbox, &[(parcel.key, remaining)], &world.entropy)
            .unwrap();
        let left = world.delivery.parcels(outbox, None, 10).unwrap().parcels;
        left.first().map(|parcel| parcel.tickets.clone())
    };
    assert_eq!(settle(parcel.tickets.clone()), Some(parcel.tickets.clone()));
    let two = vec![parcel.tickets[2], stranger, parcel.tickets[0]];
    assert_eq!(
        settle(two),
        Some(vec![parcel.tickets[0], parcel.tickets[2]])
    );
    assert_eq!(
        settle(parcel.tickets.clone()).map(|left| left.len()),
        Some(2),
        "none comes back"
    );
    assert_eq!(settle(vec![]), None);
    assert_eq!(settle(vec![]), None, "settled twice");
    assert_eq!(world.delivery.pending(None, 10).unwrap(), []);
}

#[test]
fn a_payload_that_several_parcels_carry_goes_with_the_last() {
    let (world, mut a, _) = pair();
    let others: Vec<_> = ["b.example", "c.example"]
        .map(|domain| Client::new(3, domain))
        .into();
    let mut others = others;
    others[1] = Client::new(4, "c.example");
    let request = a.add(&others.iter().collect::<Vec<_>>());
    let (_, outbox) = world.commit(&a, &request).unwrap();
    let payloads = |world: &World| world.rows().iter().filter(|row| row.0[0] == 8).count();
    let parcels = world.delivery.parcels(outbox, None, 10).unwrap().parcels;
    assert_eq!(parcels.len(), 3, "one for the member, a Welcome per domain");
    assert_eq!(parcels[1].payload, parcels[2].payload);
    assert_eq!(payloads(&world), 1);
    for (parcel, left) in parcels.iter().zip([1, 1, 0]) {
        world
            .delivery
            .settle(outbox, &[(parcel.key, vec![])], &world.entropy)
            .unwrap();
        assert_eq!(payloads(&world), left);
    }
    assert_eq!(
        world
            .delivery
            .parcels(outbox, None, 10)
            .unwrap()
            .parcels
            .len(),
        0
    );
}

#[test]
fn more_than_may_wait_is_refused_and_changes_nothing() {
    let (mut world, mut a, _) = pair();
    world.set_policy(Policy {
        parcels_max: 2,
        ..POLICY
    });
    let (_, outbox) = world.send(&mut a, b"1").unwrap();
    world.send(&mut a, b"2").unwrap();
    let before = world.rows();
    assert_eq!(world.send(&mut a, b"3").unwrap_err(), Error::Backlog);
    let update = a.update();
    assert_eq!(world.commit(&a, &update).unwrap_err(), Error::Backlog);
    a.drop_commit();
    assert_eq!(world.rows(), before);
    let oldest = world.delivery.parcels(outbox, None, 1).unwrap().parcels;
    world
        .delivery
        .settle(outbox, &[(oldest[0].key, vec![])], &world.entropy)
        .unwrap();
    world.send(&mut a, b"3").unwrap();
}

#[test]
fn what_cannot_be_delivered_for_too_long_is_dropped() {
    let (mut world, mut a, _) = pair();
    let (_, outbox) = world.send(&mut a, b"old").unwrap();
    world.now = Timestamp(world.now.0 + POLICY.parcel_seconds);
    world.send(&mut a, b"young").unwrap();
    assert_eq!(
        world
            .delivery
            .expire(outbox, world.now, &world.entropy)
            .unwrap(),
        0
    );
    let later = Timestamp(world.now.0 + 2 * 86_400);
    assert_eq!(
        world
            .delivery
            .expire(outbox, later, &world.entropy)
            .unwrap(),
        1
    );
    assert_eq!(
        world
            .delivery
            .parcels(outbox, None, 10)
            .unwrap()
            .parcels
            .len(),
        1
    );
    assert_eq!(
        world
            .delivery
            .expire(outbox, later, &world.entropy)
            .unwrap(),
        0
    );
}

#[test]
fn an_outbox_prints_nothing_of_itself() {
    let (world, mut a, _) = pair();
    let (_, outbox) = world.send(&mut a, b"x").unwrap();
    assert_eq!(format!("{outbox:?}"), "Outbox(..)");
    let parcel = world
        .delivery
        .parcels(outbox, None, 1)
        .unwrap()
        .parcels
        .pop()
        .unwrap();
    assert!(format!("{parcel:?}").starts_with("Parcel(Seq(1), 1 tickets, "));
}

/// [DS-OUTBOX-2]
#[test]
fn the_pages_of_an_outbox_end_also_when_it_is_empty() {
    let (world, mut a, _) = pair();
    let (_, outbox) = world.send(&mut a, b"one").unwrap();
    world.send(&mut a, b"two").unwrap();
    let (mut after, mut pages) = (None, Vec::new());
    loop {
        let page = world.delivery.parcels(outbox, after, 1).unwrap();
        after = page.parcels.last().map(|parcel| parcel.key);
        pages.push(page.parcels.len());
        if page.is_last {
            break;
        }
    }
    // An empty page says that nothing follows.
    assert_eq!(pages, [1, 1, 0]);
    let whole = world.delivery.parcels(outbox, None, 10).unwrap();
    assert!(whole.is_last);
    let done = whole.parcels.iter().map(|parcel| (parcel.key, Vec::new()));
    let done: Vec<_> = done.collect();
    let settled = world.delivery.settle(outbox, &done, &world.entropy);
    settled.unwrap();
    let empty = world.delivery.parcels(outbox, None, 10).unwrap();
    assert!(empty.is_last && empty.parcels.is_empty());
}
