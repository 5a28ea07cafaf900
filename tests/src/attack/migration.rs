//! T16, T19: a peer whose address changes: an attacker's all the time, an honest one's by a router.

use std::net::UdpSocket;
use std::time::Duration;

use protocol::auth::FetchServerKeys;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::inside::{LOOKS_PER_SECOND, NETWORK, ended, enter};
use crate::clock::{Pace, now};
use crate::connection::{Connection, Failure, endpoint_at};
use crate::hostile::frame;
use crate::hostile::packet::Space;
use crate::hostile::socket::{Traffic, source};
use crate::person::Person;
use crate::process::Server;
use crate::siege::figure::{at_least, at_most, count, total};
use crate::siege::ground::{Ground, Setting, setting};
use crate::siege::run::{Attack, Defence, PROGRAM, Program, Size};

/// Addresses that the attacker uses in turn.
const ADDRESSES: usize = 64;
/// How long it goes on, unless it is ended.
const PATIENCE: Duration = Duration::from_secs(8);
/// Seconds until it has to be ended: the supervisor looks every second; more for a busy machine.
const EXPECTED_SMALL: f64 = 5.0;
const EXPECTED_FULL: f64 = 2.0;
/// What its connection may be closed for.
const REASONS: [&str; 2] = ["wandering", "flood"];
/// How much more than a peer sent goes to addresses that nobody has validated, and how much beside.
const AMPLIFICATION: f64 = 3.0;
const ALLOWANCE_BYTES: f64 = 64.0 * 1_024.0;
/// How long a request may take whose connection has just got another address.
const REQUEST_PATIENCE: Duration = Duration::from_secs(10);

pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "t16",
        title: "one connection from 64 addresses in turn",
        attack: wander,
        defence: Some(Defence {
            title: "without supervision",
            off: || vec![setting("watch", "enabled", false)],
            bound: "attacker",
        }),
        ..PROGRAM
    },
    Program {
        id: "t19-1",
        title: "an honest client's port changes before every request, 1 shard",
        settings: |_| shards(1),
        attack: rebind,
        ..PROGRAM
    },
    Program {
        id: "t19-2",
        title: "the same, 2 shards",
        settings: |_| shards(2),
        attack: rebind,
        ..PROGRAM
    },
    Program {
        id: "t19-4",
        title: "the same, 4 shards",
        settings: |_| shards(4),
        attack: rebind,
        ..PROGRAM
    },
];

/// So many shards, and no limit on changes of address: a router changes them a few times a day, and
/// this does it all at once.
fn shards(shards: i64) -> Vec<Setting> {
    vec![
        setting("transport", "shards", shards),
        // Who does this for long is closed (T16); here it is about finding the connection.
        setting("watch", "enabled", false),
        setting("budget", "requests_per_second", 1_000_000),
        setting("budget", "requests_burst", 1_000_000),
    ]
}

/// Send small packets from one address after the other, and answer no question of the server's.
fn wander(ground: &Ground, size: Size) -> Result<Attack, Failure> {
    let mut peer = enter(ground, source(NETWORK, 500))?;
    let home = peer.source;
    let mut pace = Pace::new(size.pick(1_000, 5_000));
    let mut looks = Pace::new(LOOKS_PER_SECOND);
    let ended = || {
        REASONS
            .iter()
            .map(|why| ended(ground, why))
            .sum::<Result<f64, _>>()
    };
    let (before, mut closed) = (ended()?, 0.0);
    let begun = now();
    let (mut sent, mut elsewhere_out, mut elsewhere_in) = (0, 0, 0);
    while closed < 1.0 && begun.elapsed() < PATIENCE {
        for _ in 0..pace.due(50) {
            sent += 1;
            let away = source(NETWORK, 1_000 + sent % ADDRESSES * 256);
            let packet = peer.client.seal(Space::Application, &frame::ping())?;
            peer.socket.send(away, &packet)?;
            elsewhere_out += packet.len();
        }
        for (to, datagram) in peer.socket.receive(Duration::ZERO)? {
            if to != home {
                elsewhere_in += datagram.len();
            }
            // Acknowledgements keep the connection going; they come from where it was last.
            for answer in peer.client.take(datagram)? {
                peer.socket.send(home, &answer)?;
            }
        }
        if looks.due(1) > 0 {
            closed = ended()? - before;
        }
    }
    let allowed = count(elsewhere_out) * AMPLIFICATION + ALLOWANCE_BYTES;
    let bounds = vec![
        at_least("attackers closed", closed, 1.0),
        at_most(
            "seconds until closed",
            begun.elapsed().as_secs_f64(),
            size.pick(EXPECTED_SMALL, EXPECTED_FULL),
        ),
        at_most(
            "bytes to addresses that nobody has validated",
            count(elsewhere_in),
            allowed,
        ),
    ];
    Ok(Attack {
        traffic: peer.socket.traffic,
        bounds,
    })
}

/// Change the port and ask, again and again.
fn rebind(ground: &Ground, size: Size) -> Result<Attack, Failure> {
    Handle::current().block_on(async {
        let from = source(NETWORK, 600);
        let endpoint = endpoint_at(from, ground.server.certificate()?)?;
        let address = ground.server.address();
        let connection = Connection::open(&endpoint, address, &Server::domain()?).await?;
        Person::new(&connection).await?;
        let rebinds = size.pick(100, 10_000);
        let (mut answered, mut ports) = (0, 0);
        let begun = now();
        for _ in 0..rebinds {
            endpoint.rebind(UdpSocket::bind((from, 0))?)?;
            ports += 1;
            let reply = timeout(REQUEST_PATIENCE, connection.request(&FetchServerKeys {})).await;
            answered += u64::from(matches!(reply, Ok(Ok(_))));
            if connection.quic().close_reason().is_some() {
                break;
            }
        }
        let each = begun.elapsed().as_secs_f64() * 1_000.0 / count(ports);
        let end = connection.quic().close_reason();
        let end = end.map_or_else(String::new, |why| format!(", until: {why}"));
        let name = format!("requests answered{end}");
        Ok(Attack {
            traffic: Traffic::of(connection.quic()),
            bounds: vec![
                at_least(name, total(answered), total(rebinds)),
                at_most("ms for each, on average", each, size.pick(400.0, 100.0)),
            ],
        })
    })
}
