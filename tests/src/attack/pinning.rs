//! T10, T11: few bytes that make the server keep many.

use std::time::Duration;

use super::inside::{NETWORK, enter};
use crate::clock::{Pace, now, wait_until};
use crate::connection::Failure;
use crate::hostile::frame;
use crate::hostile::packet::Space;
use crate::hostile::peer::Peer;
use crate::hostile::socket::{Traffic, source};
use crate::siege::figure::{at_least, at_most, count, total};
use crate::siege::ground::{Ground, setting};
use crate::siege::run::{Attack, Defence, PROGRAM, Program, Size};

/// Bytes of each packet.
const PACKET_BYTES: usize = 1_200;
/// Packets of a batch; the kernel hands them over as one if it is allowed to.
const BATCH: usize = 45;
/// Streams with gaps: as many as a connection may have that has shown whose it is.
const STREAMS: u64 = 14;
/// How long it is watched what the honest take.
const CALM: Duration = Duration::from_secs(2);
/// Percent of one processor that the server may spend on gaps, and on those who make them.
const CPU_PERCENT: f64 = 30.0;
/// Gaps of a stream: fewer than the transport counts as an error.
const GAPS: u64 = 1_000;
/// What an encrypted packet adds to its frames: first byte, name, number and tag.
const TAG_AND_NUMBER_BYTES: usize = 1 + 4 + 16;

pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "t10",
        title: "one byte out of order in each batch of 54 kB",
        attack: pin,
        resident_mib: 16.0,
        defence: Some(Defence {
            title: "with datagrams taken in batches",
            off: || vec![setting("transport", "receive_batches", true)],
            bound: "server grows",
        }),
        ..PROGRAM
    },
    Program {
        id: "t11",
        title: "a thousand gaps on every stream",
        attack: gaps,
        resident_mib: 64.0,
        ..PROGRAM
    },
];

/// Send batches of which only the last packet is real: a byte that fills no gap.
fn pin(ground: &Ground, size: Size) -> Result<Attack, Failure> {
    let mut peer = enter(ground, source(NETWORK, 2))?;
    let first = peer.open_stream();
    let junk = junk(&peer, BATCH - 1);
    // At a rate that the policer of packets lets pass: it is memory that this is about.
    let mut pace = Pace::new(size.pick(300, 400));
    let batches = size.pick(1_200, 28_000);
    let end = now() + Duration::from_secs(size.pick(6, 80));
    let mut sent = 0;
    while sent < batches && now() < end && peer.client.closed.is_none() {
        for _ in 0..pace.due(4) {
            let stream = first + 4 * (sent % STREAMS);
            let offset = 1 + 2 * (sent / STREAMS % GAPS);
            let overhead = TAG_AND_NUMBER_BYTES + peer.client.destination.len();
            let mut frames = frame::stream(stream, offset, b"x", false);
            frames.resize(PACKET_BYTES - overhead, 0);
            let real = peer.client.seal(Space::Application, &frames)?;
            let batch = [junk.as_slice(), &real].concat();
            peer.socket.send_many(peer.source, &batch, PACKET_BYTES)?;
            sent += 1;
        }
        while peer.receive(Duration::ZERO)? > 0 {}
    }
    let traffic = peer.socket.traffic;
    // What would be pinned is far above what may be.
    Ok(Attack {
        traffic,
        bounds: vec![at_least("batches sent", total(sent), 100.0)],
    })
}

/// Packets for the peer's own connection that its keys do not open.
fn junk(peer: &Peer, packets: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..packets {
        let start = out.len();
        out.push(0x40 | rand::random::<u8>() & 0x3f);
        out.extend_from_slice(&peer.client.destination);
        while out.len() - start < PACKET_BYTES {
            out.push(rand::random());
        }
    }
    out
}

/// On every stream a byte, a gap, a byte.
fn gaps(ground: &Ground, size: Size) -> Result<Attack, Failure> {
    /// Frames of a packet.
    const FRAMES: u64 = 125;
    let mut traffic = Traffic::default();
    let honest = ground.effort()?;
    wait_until(now() + CALM);
    let honest = ground.processors(&honest)?;
    let (mut sent, effort) = (0, ground.effort()?);
    let mut peers = Vec::new();
    for index in 0..size.pick(10, 50) {
        let mut peer = enter(ground, source(NETWORK, 3 + index))?;
        let first = peer.open_stream();
        for stream in 0..STREAMS {
            for packet in 0..GAPS / FRAMES {
                let from = packet * FRAMES;
                let bytes = (from..from + FRAMES)
                    .map(|gap| frame::stream(first + 4 * stream, 1 + 2 * gap, b"x", false));
                let frames = bytes.collect::<Vec<_>>().concat();
                peer.send(frames.as_slice())?;
                sent += FRAMES;
            }
            peer.receive(Duration::from_millis(1))?;
        }
        peer.linger(now() + Duration::from_millis(100))?;
        traffic = traffic.and(peer.socket.traffic);
        peers.push(peer);
    }
    let closed = peers.iter().filter(|peer| peer.client.closed.is_some());
    let busy = (ground.processors(&effort)? - honest) * 100.0;
    Ok(Attack {
        traffic,
        bounds: vec![
            at_least("gaps sent", total(sent), 100_000.0),
            // Who is closed gives back what it pinned.
            at_most("attackers closed", count(closed.count()), 0.0),
            at_most(
                "percent of a processor, beside the honest",
                busy,
                CPU_PERCENT,
            ),
        ],
    })
}
