//! T15: floods of frames that cost the sender nothing.

use std::time::Duration;

use super::inside::{LOOKS_PER_SECOND, NETWORK, ended, enter};
use crate::clock::{Pace, now};
use crate::connection::Failure;
use crate::hostile::frame::{self, Received};
use crate::hostile::peer::Peer;
use crate::hostile::socket::{Traffic, source};
use crate::siege::figure::{at_least, at_most, count};
use crate::siege::ground::{Ground, setting};
use crate::siege::run::{Attack, Defence, PROGRAM, Program, Size};

/// How long each flood goes on, unless it is ended.
const PATIENCE: Duration = Duration::from_secs(10);
/// Seconds until it has to be ended: the supervisor looks every second and wants up to two bad
/// seconds after the one that it began in; more for a busy machine.
const EXPECTED_SMALL: f64 = 5.0;
const EXPECTED_FULL: f64 = 3.0;
/// Frames in one packet of a small run; a full one sends one in each of more packets.
const PER_PACKET: u64 = 10;

/// Makes the frame number `n` of a flood.
type Make = fn(&mut Peer, u64) -> Vec<u8>;

/// The floods, with their names.
const FLOODS: &[(&str, Make)] = &[
    ("PING", |_, _| frame::ping()),
    ("PATH_CHALLENGE", |_, n| {
        frame::path_challenge(n.to_be_bytes())
    }),
    ("RETIRE_CONNECTION_ID", retire),
    ("MAX_DATA", |_, n| frame::max_data((1 << 41) + n)),
    ("MAX_STREAM_DATA", |_, n| {
        frame::max_stream_data(0, (1 << 41) + n)
    }),
    ("DATA_BLOCKED", |_, n| frame::data_blocked(n)),
    ("empty STREAM", |_, _| frame::stream(4, 0, b"", false)),
];

pub(super) const PROGRAMS: &[Program] = &[Program {
    id: "t15",
    title: "PING, PATH_CHALLENGE, RETIRE_CONNECTION_ID, MAX_DATA, BLOCKED, empty STREAM",
    attack: flood,
    defence: Some(Defence {
        title: "without supervision",
        off: || vec![setting("watch", "enabled", false)],
        bound: "floods closed",
    }),
    ..PROGRAM
}];

/// Give back the names that the server has issued, so that it issues others.
fn retire(peer: &mut Peer, _: u64) -> Vec<u8> {
    let issued = peer.client.inbox.iter().filter_map(|received| {
        if let Received::ConnectionId(sequence, _) = received {
            Some(*sequence)
        } else {
            None
        }
    });
    let frames = issued.map(frame::retire_connection_id).collect::<Vec<_>>();
    peer.client.inbox.clear();
    frames.concat()
}

/// All floods at the same time, each on a connection of its own.
fn flood(ground: &Ground, size: Size) -> Result<Attack, Failure> {
    let mut floods = Vec::new();
    for (place, (_, make)) in FLOODS.iter().enumerate() {
        let peer = enter(ground, source(NETWORK, 400 + place))?;
        let packets = size.pick(10_000 / PER_PACKET, 10_000);
        floods.push((*make, peer, Pace::new(packets), 0));
    }
    let frames_at_once = size.pick(PER_PACKET, 1);
    let (before, begun) = (ended(ground, "flood")?, now());
    let mut looks = Pace::new(LOOKS_PER_SECOND);
    let mut closed = 0.0;
    while closed < count(FLOODS.len()) && begun.elapsed() < PATIENCE {
        for (make, peer, pace, sent) in &mut floods {
            for _ in 0..pace.due(50) {
                let mut frames = Vec::new();
                for _ in 0..frames_at_once {
                    frames.extend(make(peer, *sent));
                    *sent += 1;
                }
                if !frames.is_empty() {
                    peer.send(&frames)?;
                }
            }
            while peer.receive(Duration::ZERO)? > 0 {}
        }
        if looks.due(1) > 0 {
            closed = ended(ground, "flood")? - before;
        }
    }
    let took = begun.elapsed().as_secs_f64();
    let traffic = floods.iter().map(|(_, peer, ..)| peer.socket.traffic);
    Ok(Attack {
        traffic: traffic.fold(Traffic::default(), Traffic::and),
        bounds: vec![
            at_least("floods closed", closed, count(FLOODS.len())),
            at_most(
                "seconds until closed",
                took,
                size.pick(EXPECTED_SMALL, EXPECTED_FULL),
            ),
        ],
    })
}
