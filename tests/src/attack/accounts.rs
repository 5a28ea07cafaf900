//! T06, T07: connections that show nobody's key, and many that show the same one.

use std::time::Duration;

use protocol::queue::TakeTickets;
use tokio::runtime::Handle;

use super::inside::ended;
use crate::clock::{now, wait_until};
use crate::connection::{Connection, Failure, endpoint_at};
use crate::hostile::frame::Close;
use crate::hostile::peer::{Peer, Unfinished};
use crate::hostile::socket::{Traffic, source};
use crate::person::Person;
use crate::process::Server;
use crate::siege::figure::{at_least, at_most, count};
use crate::siege::ground::{Ground, setting};
use crate::siege::run::{Attack, Defence, PROGRAM, Program, Size};

/// How long a handshake is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// The network of the attackers.
const NETWORK: u8 = 63;
/// Connections of one address, below what it may make at once.
const PER_ADDRESS: usize = 10;
/// The code for who has not shown whose it is (spec/registry.md).
const IDLE_STRANGER: u64 = 0x03;
/// The code for who has too many connections.
const DISPLACED: u64 = 0x07;
/// How long the server has to close what is too much.
const SETTLED: Duration = Duration::from_secs(3);
/// Connections that one key may have.
const PER_IDENTITY: usize = 8;

pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "t06",
        title: "connections on which nobody shows a key",
        settings: |size| {
            let millis = size.pick(3_000, 10_000);
            vec![setting("streams", "first_request_millis", millis)]
        },
        attack: strangers,
        // What 10,000 connections take at 36 KiB each.
        resident_mib: 360.0,
        resident_small_mib: Some(16.0),
        // What the allocator keeps of that for the next: a block that another thread has freed is
        // taken back when it is needed again. `./dev bench attack --full t06`: 126 of 156.
        resident_after_mib: Some(200.0),
        ..PROGRAM
    },
    Program {
        id: "t07",
        title: "many connections under one key",
        attack: one_key,
        resident_mib: 64.0,
        defence: Some(Defence {
            title: "without a limit for each key",
            off: || vec![setting("connections", "per_identity", 10_000)],
            bound: "connections that stay",
        }),
        ..PROGRAM
    },
];

/// Complete handshakes and say nothing more.
fn strangers(ground: &Ground, size: Size) -> Result<Attack, Failure> {
    let (mut peers, before) = (Vec::new(), ended(ground, "idle_stranger")?);
    let tried = size.pick(60, 10_000);
    let least = count(tried) * 0.9;
    for index in 0..tried {
        let from = source(NETWORK, index / PER_ADDRESS * 16);
        match Peer::connect(&ground.server, &ground.tls, from, PATIENCE) {
            Ok(peer) => peers.push(peer),
            Err(Unfinished::Refused) => {}
            Err(Unfinished::Failed(failure)) => return Err(failure),
        }
    }
    let connected = count(peers.len());
    wait_until(now() + Duration::from_secs(size.pick(3, 10) + 3));
    let (mut traffic, mut told) = (Traffic::default(), 0);
    for peer in &mut peers {
        while peer.receive(Duration::ZERO)? > 0 {}
        traffic = traffic.and(peer.socket.traffic);
        told += usize::from(peer.client.closed == Some(Close::Application(IDLE_STRANGER)));
    }
    let closed = ended(ground, "idle_stranger")? - before;
    Ok(Attack {
        traffic,
        bounds: vec![
            at_least("connections", connected, least),
            at_least("closed in time", closed, connected),
            // The one packet that says so may get lost.
            at_least("told so", count(told), connected * 0.95),
        ],
    })
}

/// Use one queue's key on ever more connections.
fn one_key(ground: &Ground, size: Size) -> Result<Attack, Failure> {
    Handle::current().block_on(async {
        let address = ground.server.address();
        let mut connections = Vec::new();
        let mut person = None;
        for index in 0..size.pick(30, 1_000) {
            let from = source(NETWORK, index * 3);
            let endpoint = endpoint_at(from, ground.server.certificate()?)?;
            let connection = Connection::open(&endpoint, address, &Server::domain()?).await?;
            if person.is_none() {
                person = Some(Person::new(&connection).await?);
            }
            let person = person.as_ref().ok_or("nobody")?;
            let request = TakeTickets {
                queue: person.queue(),
                count: 1,
            };
            // Who comes too late may be told so or closed.
            drop(connection.signed(request, person.key()).await);
            connections.push(connection);
        }
        // The last of the closes may be on its way.
        let settled = now() + SETTLED;
        let staying = || {
            let open = connections
                .iter()
                .filter(|connection| connection.quic().close_reason().is_none());
            open.count()
        };
        while staying() > PER_IDENTITY && now() < settled {
            tokio::task::yield_now().await;
        }
        let staying = staying();
        let displaced = connections.iter().filter(|connection| {
            matches!(connection.quic().close_reason(),
                Some(quinn::ConnectionError::ApplicationClosed(close))
                    if close.error_code.into_inner() == DISPLACED)
        });
        let (displaced, others) = (displaced.count(), connections.len() - staying);
        let traffic = connections
            .iter()
            .map(|connection| Traffic::of(connection.quic()));
        Ok(Attack {
            traffic: traffic.fold(Traffic::default(), Traffic::and),
            bounds: vec![
                at_most("connections that stay", count(staying), count(PER_IDENTITY)),
                at_least("connections that stay", count(staying), 1.0),
                at_least("closed for what they are", count(displaced), count(others)),
            ],
        })
    })
}
