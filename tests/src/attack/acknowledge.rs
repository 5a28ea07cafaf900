//! T17, T18: acknowledgements that never come, and ones of what was never sent.

use std::time::Duration;

use protocol::codec::Opaque;
use protocol::id::{LinkId, Seq};
use protocol::queue::{Listen, PostEntry};
use tokio::runtime::Handle;

use super::inside::{NETWORK, PATIENCE, ended, enter, harmless};
use crate::clock::now;
use crate::connection::{Connection, Failure, endpoint_at, is_busy};
use crate::hostile::client::Acknowledge;
use crate::hostile::frame::{self, Close};
use crate::hostile::peer::{Peer, Unfinished};
use crate::hostile::socket::{Traffic, source};
use crate::person::Person;
use crate::process::Server;
use crate::siege::figure::{Bound, at_least, at_most, count};
use crate::siege::ground::{Ground, setting};
use crate::siege::run::{Attack, Defence, PROGRAM, Program, Size};

/// Those who acknowledge nothing.
const SILENT_SMALL: usize = 10;
const SILENT_FULL: usize = 1_000;
/// How many of them listen to one queue: as many as may.
const LISTENERS: usize = 4;
/// Entries of each queue and bytes of each: together what is kept for one peer, 256 KiB.
const ENTRIES: u64 = 32;
const ENTRY_BYTES: usize = 8_000;
/// What is kept for one of them: what a peer may leave unconfirmed, and the connection.
const KEPT_MIB: f64 = (256.0 + 36.0) / 1_024.0;
/// What the store's caches and write buffers grow by while a thousand queues are filled.
const STORE_MIB: f64 = 160.0;
/// The network of those who fill queues.
const FILLING_NETWORK: u8 = 61;
/// The transport's code for who breaks its rules.
const PROTOCOL_VIOLATION: u64 = 0x0a;
/// Requests until a number that the server has skipped must have been claimed: it skips one of the
/// first 64, then of the next 128 and so on.
const BLIND_REQUESTS: usize = 1_500;

pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "t17",
        title: "readers that acknowledge nothing, but go on pinging",
        settings: |size| {
            let seconds = size.pick(5, 30);
            vec![setting("watch", "acknowledge_seconds", seconds)]
        },
        attack: silent,
        resident_mib: KEPT_MIB * 1_000.0 + STORE_MIB,
        // Most of it for what reads batches, once for each thread.
        resident_small_mib: Some(48.0),
        defence: Some(Defence {
            title: "without supervision",
            off: || vec![setting("watch", "enabled", false)],
            bound: "reaped",
        }),
        ..PROGRAM
    },
    Program {
        id: "t18",
        title: "acknowledgements of packets that were not sent",
        attack: optimistic,
        ..PROGRAM
    },
];

fn silent(ground: &Ground, size: Size) -> Result<Attack, Failure> {
    let mut peers = Vec::new();
    let number = size.pick(SILENT_SMALL, SILENT_FULL);
    while peers.len() < number {
        let owner = Handle::current().block_on(fill(ground, peers.len()))?;
        for _ in 0..LISTENERS.min(number - peers.len()) {
            peers.push(listen(ground, &owner, peers.len())?);
        }
    }
    let expected = Duration::from_secs(size.pick(5, 30) + 8);
    let (before, end) = (ended(ground, "unacknowledged")?, now() + expected);
    let mut reaped = 0.0;
    while now() < end && reaped < count(peers.len()) {
        let round = now() + Duration::from_secs(1);
        for peer in &mut peers {
            if peer.client.closed.is_none() {
                peer.send(&frame::ping())?;
                while peer.receive(Duration::ZERO)? > 0 {}
            }
        }
        crate::clock::wait_until(round);
        reaped = ended(ground, "unacknowledged")? - before;
    }
    let mut traffic = Traffic::default();
    for peer in &peers {
        traffic = traffic.and(peer.socket.traffic);
    }
    Ok(Attack {
        traffic,
        bounds: vec![at_least("reaped", reaped, count(peers.len()))],
    })
}

/// A queue with as much in it as is kept for one who confirms nothing.
async fn fill(ground: &Ground, index: usize) -> Result<Person, Failure> {
    let endpoint = endpoint_at(source(FILLING_NETWORK, index), ground.server.certificate()?)?;
    let address = ground.server.address();
    let connection = Connection::open(&endpoint, address, &Server::domain()?).await?;
    let person = Person::new(&connection).await?;
    let ticket = person.ticket(&connection).await?;
    for place in 0..ENTRIES {
        let entry = PostEntry {
            ticket,
            link: LinkId([1; 16]),
            seq: Seq(place),
            payload: Opaque::new(vec![7; ENTRY_BYTES])?,
        };
        while let Err(failure) = connection.request(&entry).await {
            if !is_busy(&failure) {
                return Err(failure);
            }
        }
    }
    connection.quic().close(0_u32.into(), b"");
    Ok(person)
}

/// Ask for all that is in a queue, and acknowledge nothing of it.
fn listen(ground: &Ground, owner: &Person, index: usize) -> Result<Peer, Failure> {
    let from = source(NETWORK, 2_000 + index * 4);
    let mut peer = match Peer::connect(&ground.server, &ground.tls, from, PATIENCE) {
        Ok(peer) => peer,
        Err(Unfinished::Refused) => return Err("the attacker was not let in".into()),
        Err(Unfinished::Failed(failure)) => return Err(failure),
    };
    peer.client.acknowledge = Acknowledge::Never;
    let request = Listen {
        queue: owner.queue(),
        from: Seq(0),
    };
    let request = peer.signed(request, owner.key())?;
    let stream = peer.open_stream();
    peer.send(&frame::stream(stream, 0, &request, false))?;
    Ok(peer)
}

fn optimistic(ground: &Ground, _: Size) -> Result<Attack, Failure> {
    let (ahead, ahead_bounds) = ahead(ground)?;
    let (blind, blind_bounds) = blind(ground)?;
    Ok(Attack {
        traffic: ahead.and(blind),
        bounds: [ahead_bounds, blind_bounds].concat(),
    })
}

/// Acknowledge what the server has not sent yet.
fn ahead(ground: &Ground) -> Result<(Traffic, [Bound; 2]), Failure> {
    let mut peer = enter(ground, source(NETWORK, 4_000))?;
    let begun = now();
    peer.send(&frame::ack(1 << 20, 0))?;
    peer.linger(begun + PATIENCE)?;
    let bounds = violation("ahead", peer.client.closed, begun.elapsed());
    Ok((peer.socket.traffic, bounds))
}

/// Acknowledge every number up to the largest; among them are some that the server left out.
fn blind(ground: &Ground) -> Result<(Traffic, [Bound; 2]), Failure> {
    let mut peer = enter(ground, source(NETWORK, 4_001))?;
    peer.client.acknowledge = Acknowledge::Blindly;
    let request = harmless()?;
    let begun = now();
    for _ in 0..BLIND_REQUESTS {
        if peer.client.closed.is_some() {
            break;
        }
        // The reply that does not come is the one that the close took the place of.
        drop(peer.request(&request, PATIENCE));
    }
    let bounds = violation("blind", peer.client.closed, begun.elapsed());
    Ok((peer.socket.traffic, bounds))
}

fn violation(what: &str, closed: Option<Close>, after: Duration) -> [Bound; 2] {
    let is_closed = closed == Some(Close::Transport(PROTOCOL_VIOLATION));
    [
        at_least(
            format!("{what}: closed as a violation"),
            count(usize::from(is_closed)),
            1.0,
        ),
        at_most(format!("{what}: seconds"), after.as_secs_f64(), 30.0),
    ]
}
