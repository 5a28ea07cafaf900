//! T27: frames that other servers have fallen over, each on a connection of its own. Each has to end
//! it with the transport's code for what is wrong (RFC 9000, 20.1), and nothing else.

use std::time::Duration;

use super::inside::{NETWORK, enter};
use crate::clock::now;
use crate::connection::Failure;
use crate::hostile::frame::{self, Close};
use crate::hostile::socket::{Traffic, source};
use crate::siege::figure::{at_least, at_most, count};
use crate::siege::ground::Ground;
use crate::siege::run::{Attack, PROGRAM, Program, Size};

const FLOW_CONTROL_ERROR: u64 = 0x03;
const STREAM_LIMIT_ERROR: u64 = 0x04;
const STREAM_STATE_ERROR: u64 = 0x05;
const FINAL_SIZE_ERROR: u64 = 0x06;
const FRAME_ENCODING_ERROR: u64 = 0x07;
const PROTOCOL_VIOLATION: u64 = 0x0a;
const CRYPTO_BUFFER_EXCEEDED: u64 = 0x0d;

/// How long a server may take to say so.
const PATIENCE: Duration = Duration::from_secs(3);
/// A stream that no client has got to.
const FAR: u64 = 1 << 40;
/// A stream of the client's that is not in use.
const STREAM: u64 = 8;

/// What is sent, what makes it, and the codes that name what is wrong with it.
type Case = (&'static str, fn() -> Vec<u8>, &'static [u64]);

const CASES: &[Case] = &[
    (
        "MAX_STREAM_DATA of a stream far ahead",
        || frame::max_stream_data(FAR, 1),
        &[STREAM_LIMIT_ERROR],
    ),
    (
        "STREAM far ahead",
        || frame::stream(FAR, 0, b"x", false),
        &[STREAM_LIMIT_ERROR],
    ),
    (
        "STREAM of the server's own",
        || frame::stream(1, 0, b"x", false),
        &[STREAM_STATE_ERROR],
    ),
    (
        "STREAM beyond its window",
        || frame::stream(STREAM, 1 << 30, b"x", false),
        &[FLOW_CONTROL_ERROR],
    ),
    (
        "STREAM behind its end",
        || {
            [
                frame::stream(STREAM, 0, b"xx", true),
                frame::stream(STREAM, 2, b"x", false),
            ]
            .concat()
        },
        &[FINAL_SIZE_ERROR],
    ),
    (
        "CRYPTO far ahead",
        || frame::crypto(1 << 20, b"x"),
        &[CRYPTO_BUFFER_EXCEEDED],
    ),
    (
        "a type that nobody knows",
        || frame::numbers(0x21, &[]),
        &[FRAME_ENCODING_ERROR],
    ),
    (
        "half a frame",
        || frame::numbers(0x0e, &[STREAM, 0, 1_000]),
        &[FRAME_ENCODING_ERROR],
    ),
    (
        "MAX_STREAMS beyond all numbers",
        || frame::numbers(0x12, &[(1 << 60) + 1]),
        &[FRAME_ENCODING_ERROR],
    ),
    (
        "HANDSHAKE_DONE of a client's",
        || frame::numbers(0x1e, &[]),
        &[PROTOCOL_VIOLATION],
    ),
    (
        "NEW_TOKEN of a client's",
        || frame::numbers(0x07, &[0]),
        &[PROTOCOL_VIOLATION, FRAME_ENCODING_ERROR],
    ),
    (
        "RETIRE_CONNECTION_ID of one that was not issued",
        || frame::retire_connection_id(FAR),
        &[PROTOCOL_VIOLATION],
    ),
];

pub(super) const PROGRAMS: &[Program] = &[Program {
    id: "t27",
    title: "frames that are illegal, each on a connection of its own",
    attack: illegal,
    ..PROGRAM
}];

fn illegal(ground: &Ground, _: Size) -> Result<Attack, Failure> {
    let (mut bounds, mut traffic) = (Vec::new(), Traffic::default());
    for (place, (name, make, codes)) in CASES.iter().enumerate() {
        let mut peer = enter(ground, source(NETWORK, 8_000 + place * 256))?;
        peer.send(&make())?;
        peer.linger(now() + PATIENCE)?;
        let closed = peer.client.closed;
        let is_named = matches!(closed, Some(Close::Transport(code)) if codes.contains(&code));
        let name = format!("{name}: closed as it should be ({closed:?})");
        bounds.push(at_least(name, count(usize::from(is_named)), 1.0));
        traffic = traffic.and(peer.socket.traffic);
    }
    let panics = ground.server.log()?.matches("panicked").count();
    bounds.push(at_most("panics", count(panics), 0.0));
    Ok(Attack { traffic, bounds })
}
