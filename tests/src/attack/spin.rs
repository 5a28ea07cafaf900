//! T30: random frames behind valid keys. Whatever comes, the server goes on and does not grow.

use std::ops::Range;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::inside::enter;
use crate::connection::Failure;
use crate::hostile::frame;
use crate::hostile::packet::Space;
use crate::hostile::peer::Peer;
use crate::hostile::socket::source;
use crate::hostile::wire::{put_bytes, put_varint};
use crate::siege::ground::{Ground, Setting, setting};

/// Frames of one packet.
const FRAMES: Range<usize> = 1..12;
/// Bytes of frames in one packet, at most.
const PACKET_BYTES: usize = 1_100;
/// One of so many frames is of a type that nobody knows, or has fields that make no sense.
const NONSENSE: u32 = 400;
/// Packets after which a connection is given up though the server has not closed it.
const PACKETS_PER_CONNECTION: u64 = 2_000;
/// Networks and addresses that the connections come from in turn.
const NETWORKS: Range<u8> = 90..100;

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spun {
    /// Packets sent.
    pub packets: u64,
    /// Connections used up.
    pub connections: u64,
    /// Resident memory of the server's process, in bytes.
    pub resident: u64,
}

/// What the server allows here beyond its defaults: connections as fast as they are used up.
#[must_use]
pub fn settings() -> Vec<Setting> {
    let plenty = 1_000_000;
    vec![
        setting("handshakes", "per_minute", plenty),
        setting("handshakes", "burst", plenty),
        setting("handshakes", "cpu_percent", 100),
        setting("connections", "per_address", 60_000),
        setting("connections", "per_network", 60_000),
    ]
}

/// Send so many packets of random frames; `report` is told after every connection.
///
/// # Errors
/// The server is gone, or lets nobody in any more.
pub fn spin(
    ground: &Ground,
    packets: u64,
    seed: u64,
    mut report: impl FnMut(Spun),
) -> Result<Spun, Failure> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut spun = Spun::default();
    while spun.packets < packets {
        let network = rng.random_range(NETWORKS);
        let mut peer = enter(ground, source(network, rng.random_range(0..60_000)))?;
        let limit = PACKETS_PER_CONNECTION.min(packets - spun.packets);
        let mut sent = 0;
        while sent < limit && peer.client.closed.is_none() {
            let frames = frames(&mut rng, &peer);
            peer.send(&frames)?;
            sent += 1;
            while peer.receive(Duration::ZERO)? > 0 {}
        }
        peer.client.inbox.clear();
        spun.packets += sent;
        spun.connections += 1;
        spun.resident = ground.server.usage()?.resident;
        report(spun);
    }
    // It still serves.
    let mut peer = enter(ground, source(NETWORKS.start, 0))?;
    peer.receive(Duration::ZERO)?;
    Ok(spun)
}

/// Frames for one packet: most of them allowed, some of them nonsense.
fn frames(rng: &mut StdRng, peer: &Peer) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..rng.random_range(FRAMES) {
        let frame = if rng.random_ratio(1, NONSENSE) {
            nonsense(rng)
        } else {
            plausible(rng, peer)
        };
        if out.len() + frame.len() <= PACKET_BYTES {
            out.extend(frame);
        }
    }
    out
}

fn plausible(rng: &mut StdRng, peer: &Peer) -> Vec<u8> {
    let stream = 4 * rng.random_range(0..8_u64);
    let small = rng.random_range(0..20_000_u64);
    match rng.random_range(0..14) {
        0 => frame::ping(),
        1 => frame::padding(rng.random_range(1..300)),
        2..=5 => {
            let bytes = vec![rng.random(); rng.random_range(0..200)];
            frame::stream(stream, small % 3_000, &bytes, rng.random_ratio(1, 20))
        }
        6 => frame::reset_stream(stream, 20_000),
        7 => frame::stop_sending(stream),
        8 => frame::max_data((1 << 40) + small),
        9 => frame::max_stream_data(stream, (1 << 40) + small),
        10 => frame::data_blocked(small),
        11 => frame::path_challenge(rng.random()),
        12 => frame::path_response(rng.random()),
        // The packet that this will be in does not exist yet, but all before it do.
        _ => match peer.client.expected(Space::Application) {
            0 => frame::ping(),
            received => frame::ack(0, 0)
                .into_iter()
                .chain(frame::retire_connection_id(received % 2))
                .collect(),
        },
    }
}

fn nonsense(rng: &mut StdRng) -> Vec<u8> {
    let mut out = Vec::new();
    match rng.random_range(0..4) {
        // An unknown type.
        0 => put_varint(&mut out, rng.random_range(0x1f..1 << 20)),
        // A known type with numbers out of all bounds.
        1 => {
            put_varint(&mut out, rng.random_range(0..0x1f));
            for _ in 0..rng.random_range(0..6) {
                put_varint(&mut out, rng.random_range(0..1 << 62));
            }
        }
        // A message of TLS's that is none.
        2 => out = frame::crypto(rng.random_range(0..1 << 14), &rng.random::<[u8; 32]>()),
        // Bytes.
        _ => put_bytes(&mut out, &vec![rng.random(); rng.random_range(0..100)]),
    }
    out
}

/// A seed that differs from run to run.
#[must_use]
pub fn fresh_seed() -> u64 {
    rand::random()
}
