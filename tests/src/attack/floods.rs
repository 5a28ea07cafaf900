//! T08, T09: more packets for one connection than it can be worth.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::inside::{LOOKS_PER_SECOND, NETWORK, PATIENCE, ended, enter, harmless};
use crate::clock::{Pace, now, wait_until};
use crate::connection::Failure;
use crate::hostile::frame;
use crate::hostile::peer::Peer;
use crate::hostile::socket::{Socket, Traffic, source};
use crate::siege::figure::{at_least, at_most, count, total};
use crate::siege::ground::{Ground, setting};
use crate::siege::honest::Samples;
use crate::siege::run::{Attack, Defence, PROGRAM, Program, Size};

/// Packets that leave in one call.
const AT_ONCE: u64 = 32;
/// Bytes of each.
const PACKET_BYTES: usize = 1_200;
/// The victim's requests come this far apart.
const VICTIM_EVERY: Duration = Duration::from_millis(50);
/// How long the victim asks before the attack.
const CALM: Duration = Duration::from_secs(2);
/// How many times as long as before a request of the victim's may take.
const VICTIM_TIMES: f64 = 20.0;
/// The same as if it had taken 5 milliseconds before, and what a busy machine may make of it.
const FLOOR_FULL_MS: f64 = 100.0;
const FLOOR_SMALL_MS: f64 = 1_000.0;

pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "t08",
        title: "padded PING frames on one connection",
        attack: padded_pings,
        defence: Some(Defence {
            title: "without supervision",
            off: || vec![setting("watch", "enabled", false)],
            bound: "attacker",
        }),
        ..PROGRAM
    },
    Program {
        id: "t09",
        title: "junk for another's connection, from another address",
        attack: junk,
        ..PROGRAM
    },
];

fn padded_pings(ground: &Ground, size: Size) -> Result<Attack, Failure> {
    let mut peer = enter(ground, source(NETWORK, 0))?;
    let frames = [frame::ping(), frame::padding(PACKET_BYTES - 40)].concat();
    let mut pace = Pace::new(size.pick(20_000, 400_000) / AT_ONCE);
    let begun = now();
    let patience = Duration::from_secs(size.pick(8, 10));
    let before = ended(ground, "flood")?;
    let mut looks = Pace::new(LOOKS_PER_SECOND);
    let mut closed = 0.0;
    while closed < 1.0 && begun.elapsed() < patience {
        for _ in 0..pace.due(16) {
            peer.send_many(&frames, AT_ONCE)?;
        }
        while peer.receive(Duration::ZERO)? > 0 {}
        if looks.due(1) > 0 {
            closed = ended(ground, "flood")? - before;
        }
    }
    // The supervisor looks every second and wants three bad ones; two more for a busy machine.
    let expected = Duration::from_secs(size.pick(6, 4));
    Ok(Attack {
        traffic: peer.socket.traffic,
        bounds: vec![
            at_least("attackers closed", closed, 1.0),
            at_most(
                "seconds until closed",
                begun.elapsed().as_secs_f64(),
                expected.as_secs_f64(),
            ),
        ],
    })
}

/// Send what no key opens to a connection that somebody uses.
fn junk(ground: &Ground, size: Size) -> Result<Attack, Failure> {
    let mut victim = enter(ground, source(NETWORK, 1))?;
    let name = victim.client.destination.clone();
    let calm_until = now() + CALM;
    let before = ask(&mut victim, || now() >= calm_until)?.percentile_ms(99);
    let is_over = AtomicBool::new(false);
    let seconds = size.pick(4, 20);
    thread::scope(|scope| {
        let attacker = scope.spawn(|| {
            let traffic = send_junk(ground, size, &name, seconds);
            is_over.store(true, Ordering::Relaxed);
            traffic
        });
        let noticed = ask(&mut victim, || is_over.load(Ordering::Relaxed));
        let traffic = attacker.join().map_err(|_| "a thread panicked")??;
        let noticed = noticed?;
        let (asked, failed) = (count(noticed.count()), count(noticed.failed()));
        let is_closed = count(usize::from(victim.client.closed.is_some()));
        let floor = size.pick(FLOOR_SMALL_MS, FLOOR_FULL_MS);
        let slowest = (VICTIM_TIMES * before).max(floor);
        Ok(Attack {
            traffic,
            bounds: vec![
                at_most("victim's requests that fail", failed, 1.0),
                at_least("victim's requests", asked, total(seconds)),
                at_most("victims closed", is_closed, 0.0),
                at_most("victim's p99, ms", noticed.percentile_ms(99), slowest),
            ],
        })
    })
}

/// Ask again and again until it is over; gives what was noticed.
fn ask(victim: &mut Peer, is_over: impl Fn() -> bool) -> Result<Samples, Failure> {
    let request = harmless()?;
    let (mut noticed, mut due) = (Samples::default(), now());
    while !is_over() && victim.client.closed.is_none() {
        let begun = now();
        let is_answered = victim.request(&request, PATIENCE).is_ok();
        noticed.add(is_answered.then(|| begun.elapsed()));
        due = now().max(due + VICTIM_EVERY);
        wait_until(due);
    }
    Ok(noticed)
}

fn send_junk(ground: &Ground, size: Size, name: &[u8], seconds: u64) -> Result<Traffic, Failure> {
    let from: IpAddr = source(NETWORK, 700);
    let mut socket = Socket::new(ground.server.address())?;
    let mut batch = Vec::new();
    for _ in 0..AT_ONCE {
        let mut packet = [[0x40 | rand::random::<u8>() & 0x3f].as_slice(), name].concat();
        while packet.len() < PACKET_BYTES {
            packet.extend(rand::random::<[u8; 32]>());
        }
        packet.truncate(PACKET_BYTES);
        batch.extend(packet);
    }
    let mut pace = Pace::new(size.pick(20_000, 400_000) / AT_ONCE);
    let end = now() + Duration::from_secs(seconds);
    while now() < end {
        for _ in 0..pace.due(16) {
            socket.send_many(from, &batch, PACKET_BYTES)?;
        }
        socket.drain()?;
    }
    Ok(socket.traffic)
}
