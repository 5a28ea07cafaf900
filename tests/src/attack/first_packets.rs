//! T01, T02: floods of first packets whose addresses are not the sender's own.

use std::time::Duration;

use crate::clock::{Pace, now};
use crate::connection::Failure;
use crate::hostile::initial::{Forgery, forge};
use crate::hostile::packet::INITIAL_BYTES;
use crate::hostile::socket::{Socket, source};
use crate::siege::figure::{at_most, total};
use crate::siege::ground::{Ground, setting};
use crate::siege::run::{Attack, Defence, PROGRAM, Program, Size};

/// Packets that leave in one call; those of one call have one source.
const AT_ONCE: u64 = 16;
/// Different packets of each kind, which repeat.
const CORPUS: usize = 256;
/// Addresses that the packets claim to come from.
const SOURCES: usize = 4_096;
/// The first of the networks that they are in.
const NETWORK: u8 = 64;
/// How long the small flood goes on: longer than a handshake may take and than a gauge may be old.
const FLOOD_SECONDS: u64 = 6;
/// Handshakes of honest newcomers that may be in progress meanwhile.
const HONEST_HANDSHAKES: f64 = 10.0;
/// What the answers may weigh: a Retry is a twelfth of a first packet.
const REPLY_SHARE: f64 = 0.1;
/// How many times as long as before those who are connected may wait: first packets have a thread
/// of their own.
const EXISTING_TIMES: f64 = 2.0;

pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "t01",
        title: "first packets from 4096 spoofed addresses",
        attack: |ground, size| flood(ground, size, &[Forgery::Whole]),
        resident_mib: 16.0,
        existing_times: EXISTING_TIMES,
        defence: Some(Defence {
            title: "without Retry and front door",
            off: || {
                vec![
                    setting("connections", "retry", "never"),
                    setting("transport", "front_door", false),
                ]
            },
            bound: "handshakes begun",
        }),
        ..PROGRAM
    },
    Program {
        id: "t02",
        title: "garbage in first packets, garbage for tokens, other versions, names of no connection",
        attack: |ground, size| {
            let garbage = [
                Forgery::Garbage,
                Forgery::GarbageToken,
                Forgery::Version,
                Forgery::ShortHeader,
                Forgery::Astray,
            ];
            flood(ground, size, &garbage)
        },
        resident_mib: 16.0,
        existing_times: EXISTING_TIMES,
        ..PROGRAM
    },
];

/// Send forged packets at a steady rate, and count what comes back.
fn flood(ground: &Ground, size: Size, forgeries: &[Forgery]) -> Result<Attack, Failure> {
    let mut corpus = Vec::new();
    for _ in 0..CORPUS {
        let mut batch = Vec::new();
        for place in 0..AT_ONCE {
            let forgery = forgeries.iter().cycle().nth(usize::try_from(place)?);
            batch.extend(forge(*forgery.ok_or("nothing to forge")?)?);
        }
        corpus.push(batch);
    }
    let begun = || -> Result<f64, Failure> {
        let metrics = ground.metrics()?;
        let failed = metrics.sum("hearthd_handshakes_failed_total");
        Ok(failed + metrics.sum("hearthd_handshakes"))
    };
    let begun_before = begun()?;
    let mut socket = Socket::new(ground.server.address())?;
    let mut pace = Pace::new(size.pick(20_000, 60_000) / AT_ONCE);
    let end = now() + Duration::from_secs(size.pick(FLOOD_SECONDS, 20));
    let mut batches = corpus.iter().cycle().zip((0..SOURCES).cycle());
    while now() < end {
        for _ in 0..pace.due(16) {
            let (batch, index) = batches.next().ok_or("no packets")?;
            socket.send_many(source(NETWORK, index), batch, INITIAL_BYTES)?;
        }
        socket.drain()?;
    }
    let traffic = socket.traffic;
    let most = total(traffic.bytes_out) * REPLY_SHARE;
    Ok(Attack {
        traffic,
        bounds: vec![
            at_most("bytes answered", total(traffic.bytes_in), most),
            at_most(
                "handshakes begun",
                begun()? - begun_before,
                HONEST_HANDSHAKES,
            ),
        ],
    })
}
