//! T03 to T05: handshakes that are completed for nothing, or never.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::clock::{Pace, now};
use crate::connection::Failure;
use crate::hostile::client::Client;
use crate::hostile::frame;
use crate::hostile::peer::{Peer, Unfinished};
use crate::hostile::socket::{Socket, Traffic, source, source6};
use crate::process::Server;
use crate::siege::figure::{at_least, at_most, count, total};
use crate::siege::ground::{Ground, Setting, on_ipv6, setting};
use crate::siege::run::{Attack, Defence, PROGRAM, Program, Size};

/// Threads that shake hands.
const THREADS: usize = 3;
/// How long a handshake is waited for.
const PATIENCE: Duration = Duration::from_millis(300);
/// The network of the attackers of one /24: 127.63.0.0/24.
const NETWORK: u8 = 63;
/// The first network of those of many.
const NETWORKS: u8 = 64;
/// Handshakes at once from one address in the small run, which makes 160 of its /24.
const SMALL_BURST: i64 = 5;
/// How many times what one address may do its /24 may do, and an IPv6 /48 what a /64 may.
const V4_NETWORK_SHARES: i64 = 32;
const V6_NETWORK_SHARES: i64 = 2;
/// Networks of the attackers of many.
const MANY_NETWORKS: usize = 4_096;
/// Handshakes of one address per second in the long run.
const PER_ADDRESS_PER_SECOND: f64 = 0.5;
/// Percent of the processors that all handshakes together may take.
const CPU_PERCENT: f64 = 20.0;
/// What strangers take who come for a second as fast as all may on two processors, at 36 KiB each;
/// the seconds until they are closed, and those of a small run.
const STRANGERS_MIB: f64 = 2.0 * CPU_PERCENT * PER_PERCENT * 36.0 / 1_024.0;
const STRANGER_SECONDS: f64 = 10.0;
/// The same of handshakes that have lost their place: the transport keeps a connection for three
/// probe timeouts after its end (RFC 9000 section 10.2), here of a second, and takes time to let go.
const CLOSING_SECONDS: f64 = 4.0;
const SMALL_SECONDS: f64 = 4.0;
/// A small share, which one attacker on the same machine can use up, threads that do, and how much
/// of it they have to get at least, so that it is not wasted.
const SPENT_PERCENT: i64 = 1;
const SPENDING_THREADS: usize = 48;
const USED_PERCENT: f64 = 50.0;
/// Newcomers that get through all the same: each asks again within the patience of an honest
/// client, and half of the budget is kept for networks that had none lately.
const SPENT_NEWCOMERS_PERCENT: usize = 50;
/// Handshakes per second for each percent of a processor, at 220 microseconds each.
const PER_PERCENT: f64 = 45.0;
/// What may be exceeded: buckets are full when an attack begins, and it begins between two ticks.
const SLACK: f64 = 1.2;
/// Handshakes in progress on one shard in the small run.
const SMALL_HALF_OPEN: i64 = 64;
/// Shards in the runs that count by shard.
const SHARDS: i64 = 2;

pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "t03",
        title: "64 addresses of one /24 complete handshakes as fast as they can",
        settings: |size| burst(size.pick(SMALL_BURST, 20)),
        attack: |ground, size| {
            let shares = size.pick(SMALL_BURST, 20) * V4_NETWORK_SHARES;
            one_network(ground, size, shares, |index| source(NETWORK, index % 64))
        },
        resident_mib: 48.0,
        defence: Some(Defence {
            title: "without a budget for each network",
            off: || {
                vec![
                    setting("handshakes", "burst", 1_000_000),
                    setting("handshakes", "per_minute", 1_000_000),
                    setting("connections", "per_address", 60_000),
                    setting("connections", "per_network", 60_000),
                ]
            },
            bound: "handshakes completed",
        }),
        ..PROGRAM
    },
    Program {
        id: "t03-6",
        title: "the same from 4096 /64s of one IPv6 /48",
        settings: |size| [burst(size.pick(SMALL_BURST, 20)), vec![on_ipv6()]].concat(),
        attack: |ground, size| {
            let shares = size.pick(SMALL_BURST, 20) * V6_NETWORK_SHARES;
            one_network(ground, size, shares, |index| {
                source6(0, index % MANY_NETWORKS)
            })
        },
        resident_mib: 48.0,
        needs_ipv6: true,
        ..PROGRAM
    },
    Program {
        id: "t03-loopback6",
        title: "the same from the only IPv6 address that every machine has",
        settings: |size| [burst(size.pick(SMALL_BURST, 20)), vec![on_ipv6()]].concat(),
        attack: |ground, size| {
            let shares = size.pick(SMALL_BURST, 20);
            one_network(ground, size, shares, |_| Ipv6Addr::LOCALHOST.into())
        },
        resident_mib: 48.0,
        ..PROGRAM
    },
    Program {
        id: "t04",
        title: "the same from 4096 /24s",
        attack: |ground, size| many_networks(ground, size, many_v4),
        resident_mib: STRANGERS_MIB * STRANGER_SECONDS,
        resident_small_mib: Some(STRANGERS_MIB * SMALL_SECONDS),
        newcomers_percent: 95,
        ..PROGRAM
    },
    Program {
        id: "t04-6",
        title: "the same from 4096 IPv6 /48s",
        settings: |_| vec![on_ipv6()],
        attack: |ground, size| {
            many_networks(ground, size, |index| source6(1 + index % MANY_NETWORKS, 0))
        },
        resident_mib: STRANGERS_MIB * STRANGER_SECONDS,
        resident_small_mib: Some(STRANGERS_MIB * SMALL_SECONDS),
        newcomers_percent: 95,
        needs_ipv6: true,
        ..PROGRAM
    },
    Program {
        id: "t04-spent",
        title: "the same from 4096 /24s, which use up the budget of all",
        settings: |_| vec![setting("handshakes", "cpu_percent", SPENT_PERCENT)],
        attack: spend,
        resident_mib: 96.0,
        // A newcomer looks like one of the four thousand, with whom it shares the budget.
        newcomers_percent: SPENT_NEWCOMERS_PERCENT,
        ..PROGRAM
    },
    Program {
        id: "t05",
        title: "half-open handshakes that go on with a packet now and then",
        settings: half_open_settings,
        attack: half_open,
        resident_mib: STRANGERS_MIB * CLOSING_SECONDS,
        resident_small_mib: Some(64.0),
        ..PROGRAM
    },
];

fn burst(burst: i64) -> Vec<Setting> {
    vec![setting("handshakes", "burst", burst)]
}

/// An address in one of 4096 /24s, each /24 in turn.
fn many_v4(index: usize) -> IpAddr {
    let network = u8::try_from(index / 256 % 16).unwrap_or_default();
    source(NETWORKS + network, index % 256 * 256)
}

fn half_open_settings(size: Size) -> Vec<Setting> {
    vec![
        setting("connections", "handshakes", size.pick(SMALL_HALF_OPEN, 256)),
        setting("connections", "retry", "always"),
        setting("transport", "shards", SHARDS),
    ]
}

/// What came of many handshakes.
#[derive(Debug, Default)]
struct Shaken {
    completed: usize,
    tried: usize,
    traffic: Traffic,
}

/// Shake hands on so many threads until the time is over.
fn shake(
    ground: &Ground,
    seconds: u64,
    threads: usize,
    from: impl Fn(usize) -> IpAddr + Sync,
) -> Result<Shaken, Failure> {
    let end = now() + Duration::from_secs(seconds);
    let (next, shaken) = (AtomicUsize::new(0), Mutex::new(Shaken::default()));
    let one = || -> Result<(), Failure> {
        while now() < end {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let mut peer = Peer::new(&ground.server, &ground.tls, from(index), 0)?;
            let finished = peer.finish(PATIENCE);
            let is_completed = match finished {
                Ok(()) => true,
                Err(Unfinished::Refused) => false,
                Err(Unfinished::Failed(failure)) => return Err(failure),
            };
            let mut shaken = shaken.lock().map_err(|_| "a thread panicked")?;
            shaken.completed += usize::from(is_completed);
            shaken.tried += 1;
            shaken.traffic = shaken.traffic.and(peer.socket.traffic);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().map_err(|_| "a thread panicked")??;
            Ok::<_, Failure>(())
        })
    })?;
    shaken.into_inner().map_err(|_| "a thread panicked".into())
}

fn shaken(shaken: &Shaken, at_most_completed: f64) -> Attack {
    let completed = count(shaken.completed);
    let name = format!("handshakes completed, of {} tried", shaken.tried);
    Attack {
        traffic: shaken.traffic,
        bounds: vec![
            at_most(name, completed, at_most_completed),
            at_least("handshakes completed", completed, 1.0),
        ],
    }
}

/// Handshakes of one network, which may make what so many single addresses may at once.
fn one_network(
    ground: &Ground,
    size: Size,
    shares: i64,
    from: impl Fn(usize) -> IpAddr + Sync,
) -> Result<Attack, Failure> {
    let seconds = size.pick(4, 20);
    let burst = total(u64::try_from(shares)?);
    let per_second = burst / total(size.pick(SMALL_BURST, 20).try_into()?) * PER_ADDRESS_PER_SECOND;
    let effort = ground.effort()?;
    let done = shake(ground, seconds, THREADS, from)?;
    let mut attack = shaken(&done, (burst + total(seconds) * per_second) * SLACK);
    let busy = ground.processors(&effort)? * 100.0 / processors()?;
    let name = "percent of the processors, for everything";
    attack.bounds.push(at_most(name, busy, CPU_PERCENT));
    Ok(attack)
}

fn processors() -> Result<f64, Failure> {
    Ok(count(thread::available_parallelism()?.get()))
}

fn many_networks(
    ground: &Ground,
    size: Size,
    from: impl Fn(usize) -> IpAddr + Sync,
) -> Result<Attack, Failure> {
    let seconds = size.pick(4, 20);
    let done = shake(ground, seconds, THREADS, from)?;
    // What a second allows may be saved up, and honest newcomers have theirs of it as well.
    let per_second = CPU_PERCENT * PER_PERCENT * processors()?;
    Ok(shaken(&done, per_second * (total(seconds) + 2.0) * SLACK))
}

/// The same with more threads than the budget of all is enough for.
fn spend(ground: &Ground, size: Size) -> Result<Attack, Failure> {
    let seconds = size.pick(6, 20);
    let turned_away = || -> Result<f64, Failure> {
        let metrics = ground.metrics()?;
        Ok(metrics.labelled("hearthd_connections_refused_total", "why=\"processors\""))
    };
    let before = turned_away()?;
    let done = shake(ground, seconds, SPENDING_THREADS, many_v4)?;
    let percent = total(u64::try_from(SPENT_PERCENT)?);
    let per_second = percent * PER_PERCENT * processors()?;
    let mut attack = shaken(&done, per_second * (total(seconds) + 2.0) * SLACK);
    attack.bounds.extend([
        at_least(
            "turned away for the budget of all",
            turned_away()? - before,
            count(done.completed),
        ),
        at_least(
            "of that budget used, percent",
            count(done.completed) * 100.0 / (per_second * total(seconds)),
            USED_PERCENT,
        ),
    ]);
    Ok(attack)
}

/// Begin handshakes, never finish them, and let each go on with a packet now and then. Begins with as
/// many at once as the budget of all allows, which is when the connected wait longest. [NODE-ADMIT-8]
fn half_open(ground: &Ground, size: Size) -> Result<Attack, Failure> {
    let handshakes = size.pick(400, 20_000);
    let mut socket = Socket::new(ground.server.address())?;
    let mut clients = Vec::new();
    for index in 0..handshakes {
        let network = u8::try_from(index / 60_000)?;
        let from = source(NETWORKS + network, index);
        if let Some(client) = begin(ground, &mut socket, from)? {
            clients.push((from, client));
        }
    }
    let end = now() + Duration::from_secs(size.pick(4, 20));
    let mut worst: f64 = 0.0;
    let (mut looks, mut packets) = (Pace::new(1), Pace::new(handshakes.div_ceil(4).try_into()?));
    let mut next = 0;
    while now() < end {
        if looks.due(1) > 0 {
            worst = worst.max(ground.metrics()?.sum("hearthd_handshakes"));
        }
        // Each of them every four seconds, evenly.
        for _ in 0..packets.due(64) {
            let place = next % clients.len().max(1);
            next += 1;
            let Some((from, client)) = clients.get_mut(place) else {
                continue;
            };
            let packet = client.initial(frame::ping())?;
            socket.send(*from, &packet)?;
        }
        socket.drain()?;
    }
    // Deadline, a second of tolerance, and the gauge is a second old at most.
    let end = now() + Duration::from_secs(5 + 1 + 1);
    let mut left = worst;
    while now() < end && left > 0.0 {
        if looks.due(1) > 0 {
            left = ground.metrics()?.sum("hearthd_handshakes");
        }
    }
    let allowed = total(size.pick(64, 256) * 2);
    Ok(Attack {
        traffic: socket.traffic,
        bounds: vec![
            // Who has just lost its place is counted until its task has run.
            at_most("half-open at the same time", worst, allowed * SLACK),
            at_least("half-open at the same time, of those begun", worst, 1.0),
            // Honest newcomers shake hands as well.
            at_most("half-open after the deadline", left, 3.0),
        ],
    })
}

/// Answer a Retry and no more.
fn begin(ground: &Ground, socket: &mut Socket, from: IpAddr) -> Result<Option<Client>, Failure> {
    let mut client = Client::new(&ground.tls, Server::domain()?.as_str(), 0)?;
    for datagram in client.first_flight()? {
        socket.send(from, &datagram)?;
    }
    let end = now() + PATIENCE;
    while now() < end {
        for (to, datagram) in socket.receive(PATIENCE)? {
            if to != from {
                continue;
            }
            let answers = client.take(datagram)?;
            if client.was_retried() {
                answers
                    .iter()
                    .try_for_each(|answer| socket.send(from, answer))?;
            }
            return Ok(client.was_retried().then_some(client));
        }
    }
    Ok(None)
}
