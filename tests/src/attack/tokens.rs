//! T22, T29: tokens that are used again or by others, and first messages in two datagrams.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::inside::{NETWORK, PATIENCE};
use crate::clock::{now, unix_seconds};
use crate::connection::Failure;
use crate::hostile::frame::Received;
use crate::hostile::peer::{Peer, Unfinished};
use crate::hostile::socket::{Traffic, source};
use crate::hostile::token::{Age, Mint};
use crate::siege::figure::{Bound, at_least, at_most, count};
use crate::siege::ground::{Ground, setting};
use crate::siege::run::{Attack, PROGRAM, Program, Size};

/// How long an answer to a first packet is waited for.
const ANSWER: Duration = Duration::from_secs(1);
/// How long a token is waited for after a handshake.
const TOKEN: Duration = Duration::from_secs(2);
/// How long a token that is given for the next time is good.
const LIFETIME: Duration = Duration::from_secs(7 * 86_400);
/// How long a key seals tokens.
const DAY: Duration = Duration::from_secs(86_400);
/// Earlier keys that still open tokens. [NODE-TOKEN-1]
const EARLIER_KEYS: u64 = 8;
/// Long after the end of a Retry token, and of any doubt.
const LATE: Duration = Duration::from_secs(60);
/// What makes a first message longer than a datagram.
const PADDING: usize = 1_100;

pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "t22",
        title: "one token many times over the shards, from elsewhere, made up, expired, under earlier keys",
        settings: |_| {
            vec![
                setting("connections", "retry", "always"),
                setting("transport", "shards", 2),
                // Each use is a handshake that this address begins.
                setting("handshakes", "burst", 100_000),
                setting("handshakes", "per_minute", 100_000),
            ]
        },
        attack: replay,
        resident_mib: 64.0,
        ..PROGRAM
    },
    Program {
        id: "t29",
        title: "a first message in two datagrams: in order, reordered, first lost",
        settings: |_| vec![setting("connections", "retry", "always")],
        attack: split,
        resident_mib: 16.0,
        ..PROGRAM
    },
];

/// Whether a first packet with a token from an address begins a handshake at once; `None` if nobody
/// answers.
fn is_validated(ground: &Ground, from: IpAddr, token: &[u8]) -> Result<Option<bool>, Failure> {
    let peer = Peer::new(&ground.server, &ground.tls, from, 0)?;
    show(peer, token.to_vec())
}

/// The same of a peer that has sent nothing.
fn show(mut peer: Peer, token: Vec<u8>) -> Result<Option<bool>, Failure> {
    peer.client.token = token;
    let flight = peer.client.first_flight()?;
    peer.send_all(&flight)?;
    let end = now() + ANSWER;
    while now() < end {
        for (_, datagram) in peer.socket.receive(ANSWER)? {
            let answers = peer.client.take(datagram)?;
            if peer.client.was_retried() {
                return Ok(Some(false));
            }
            if peer.client.is_ready() || peer.client.closed.is_some() {
                // So that it does not count as half-open.
                peer.send_all(&answers)?;
                return Ok(Some(peer.client.closed.is_none()));
            }
        }
    }
    Ok(None)
}

/// A token that the server gives after a handshake.
fn obtain(ground: &Ground, from: IpAddr) -> Result<Vec<u8>, Failure> {
    let mut peer = match Peer::connect(&ground.server, &ground.tls, from, PATIENCE) {
        Ok(peer) => peer,
        Err(Unfinished::Refused) => return Err("the attacker was not let in".into()),
        Err(Unfinished::Failed(failure)) => return Err(failure),
    };
    let end = now() + TOKEN;
    while now() < end {
        for received in std::mem::take(&mut peer.client.inbox) {
            if let Received::Token(token) = received {
                return Ok(token);
            }
        }
        peer.receive(Duration::from_millis(50))?;
    }
    Err("the server gave no token".into())
}

fn replay(ground: &Ground, size: Size) -> Result<Attack, Failure> {
    let (home, elsewhere) = (source(NETWORK, 5_000), source(NETWORK, 6_000));
    let token = obtain(ground, home)?;
    let stolen = obtain(ground, home)?;
    let from_elsewhere = is_validated(ground, elsewhere, &stolen)?;
    let made_up = is_validated(ground, home, &rand::random::<[u8; 32]>())?;
    let (mut validated, mut unanswered) = (0, 0);
    for _ in 0..size.pick(50, 1_000) {
        match is_validated(ground, home, &token)? {
            Some(is_validated) => validated += usize::from(is_validated),
            None => unanswered += 1,
        }
    }
    let mut bounds = vec![
        at_least("uses that validate", count(validated), 1.0),
        at_most("uses that validate", count(validated), 1.0),
        at_most("uses that nobody answers", count(unanswered), 2.0),
        bad("from elsewhere", from_elsewhere),
        bad("made up", made_up),
    ];
    bounds.extend(aged(ground, home)?);
    Ok(Attack {
        traffic: Traffic::default(),
        bounds,
    })
}

fn good(name: &str, validated: Option<bool>) -> Bound {
    let validated = count(usize::from(validated == Some(true)));
    at_least(format!("{name}: validates"), validated, 1.0)
}

fn bad(name: &str, validated: Option<bool>) -> Bound {
    let validated = count(usize::from(validated == Some(true)));
    at_most(format!("{name}: validates"), validated, 0.0)
}

/// Tokens of other days, made with the server's keys; again if the day ends meanwhile.
fn aged(ground: &Ground, home: IpAddr) -> Result<Vec<Bound>, Failure> {
    let day = || unix_seconds().map(|seconds| seconds / DAY.as_secs());
    loop {
        let (today, bounds) = (day()?, aged_today(ground, home)?);
        if day()? == today {
            return Ok(bounds);
        }
    }
}

fn aged_today(ground: &Ground, home: IpAddr) -> Result<Vec<Bound>, Failure> {
    let mint = Mint::of(&ground.server)?;
    let under = |key_days| Age {
        key_days,
        ..Age::default()
    };
    let issued = |issued| Age {
        issued,
        ..Age::default()
    };
    let later = |age| is_validated(ground, home, &mint.for_later(home, age)?);
    let retry = |wrong: u16, age| {
        let peer = Peer::new(&ground.server, &ground.tls, home, 0)?;
        let address = SocketAddr::new(home, peer.socket.port()? ^ wrong);
        let token = mint.for_retry(address, &peer.client.destination, age)?;
        show(peer, token)
    };
    Ok(vec![
        good("made with today's key", later(under(0))?),
        good("under the key of the day before", later(under(1))?),
        good("under the oldest key", later(under(EARLIER_KEYS))?),
        bad("under a key before that", later(under(EARLIER_KEYS + 1))?),
        good("a day before its end", later(issued(LIFETIME - DAY))?),
        bad("a minute after its end", later(issued(LIFETIME + LATE))?),
        good("of a Retry", retry(0, under(0))?),
        bad("of a Retry a minute ago", retry(0, issued(LATE))?),
        bad("of a Retry to another port", retry(1, under(0))?),
    ])
}

/// What the way does to two datagrams.
#[derive(Clone, Copy, Debug)]
enum Way {
    Orderly,
    Reversed,
    FirstLost,
}

fn split(ground: &Ground, _: Size) -> Result<Attack, Failure> {
    let ways = [Way::Orderly, Way::Reversed, Way::FirstLost];
    let mut bounds: Vec<Bound> = Vec::new();
    let mut traffic = Traffic::default();
    for (place, way) in ways.into_iter().enumerate() {
        let mut peer = Peer::new(
            &ground.server,
            &ground.tls,
            source(NETWORK, 7_000 + place),
            PADDING,
        )?;
        let is_done = shake(&mut peer, way)?;
        let name = format!("{way:?}: done");
        bounds.push(at_least(name, count(usize::from(is_done)), 1.0));
        let name = format!("{way:?}: asked for a token");
        let was_retried = usize::from(peer.client.was_retried());
        bounds.push(at_least(name, count(was_retried), 1.0));
        traffic = traffic.and(peer.socket.traffic);
    }
    Ok(Attack { traffic, bounds })
}

/// Complete a handshake over such a way.
fn shake(peer: &mut Peer, way: Way) -> Result<bool, Failure> {
    let mut lost = false;
    let mut flight = peer.client.first_flight()?;
    if flight.len() < 2 {
        return Err("the first message fits one datagram".into());
    }
    let end = now() + PATIENCE * 2;
    while now() < end && !peer.client.is_done && peer.client.closed.is_none() {
        match way {
            Way::Orderly => {}
            Way::Reversed => flight.reverse(),
            // Of each first flight the first datagram is lost once: before and after the Retry.
            Way::FirstLost if !lost && flight.len() > 1 => {
                flight.remove(0);
                lost = peer.client.was_retried();
            }
            Way::FirstLost => {}
        }
        peer.send_all(&flight)?;
        flight.clear();
        for (_, datagram) in peer.socket.receive(ANSWER / 4)? {
            flight.extend(peer.client.take(datagram)?);
        }
        if flight.is_empty() && !peer.client.is_ready() {
            flight = peer.client.first_flight()?;
        }
    }
    Ok(peer.client.is_done)
}
