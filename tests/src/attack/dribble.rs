//! T12, T13: requests that are never finished, with all the room that is given or byte by byte.

use std::time::Duration;

use protocol::frame;
use quinn::{RecvStream, SendStream};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, timeout_at};

use crate::clock::now;
use crate::connection::{Connection, Failure, endpoint_at};
use crate::hostile::socket::{Traffic, source};
use crate::person::Person;
use crate::process::Server;
use crate::siege::figure::{at_least, count};
use crate::siege::ground::{Ground, Setting, setting};
use crate::siege::run::{Attack, PROGRAM, Program, Size};

use super::inside::NETWORK;

/// Bytes of the request that never ends.
const REQUEST_BYTES: usize = 500_000;
/// Bytes of it that are sent, on each stream: what a stream's window lets pass.
const SENT_BYTES: usize = 60_000;
/// Requests on one connection that fills its windows: with four the connection's is full.
const FILLED_STREAMS: usize = 4;
/// Requests on one connection that dribbles: as many as it may have.
const DRIBBLED_STREAMS: usize = 14;
/// How many it gets of these at least: places are given back a few at a time.
const STREAMS_LEAST: usize = 12;
/// How long an attacker waits for a place for one more request.
const OPENING: Duration = Duration::from_millis(50);
/// What a busy machine may be late.
const LATE: Duration = Duration::from_secs(4);

pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "t12",
        title: "50 connections fill their windows and never finish",
        settings: deadline,
        attack: fill,
        // Each: 320 KiB of windows, 36 for the connection, and for what the allocator keeps of the
        // shorter buffers that a frame has outgrown. Measured: 310 to 436.
        resident_mib: 50.0 * 512.0 / 1_024.0,
        ..PROGRAM
    },
    Program {
        id: "t13",
        title: "uploads of a byte now and then",
        settings: deadline,
        attack: dribble,
        resident_mib: 64.0,
        ..PROGRAM
    },
];

/// A shorter deadline in the small run, so that it is over sooner.
fn deadline(size: Size) -> Vec<Setting> {
    vec![setting("streams", "frame_millis", deadline_millis(size))]
}

fn deadline_millis(size: Size) -> i64 {
    size.pick(3_000, 10_000)
}

/// Connections with a queue each, and requests begun on them.
async fn begin(
    ground: &Ground,
    (connections, streams_each): (usize, usize),
    bytes: &[u8],
) -> Result<(Vec<Connection>, Vec<(SendStream, RecvStream)>), Failure> {
    let (mut kept, mut streams) = (Vec::new(), Vec::new());
    for index in 0..connections {
        let endpoint = endpoint_at(source(NETWORK, 100 + index), ground.server.certificate()?)?;
        let address = ground.server.address();
        let connection = Connection::open(&endpoint, address, &Server::domain()?).await?;
        Person::new(&connection).await?;
        kept.push(connection);
    }
    // All at once, or the first would be late before the last has begun.
    for connection in &kept {
        for _ in 0..streams_each {
            // The last of the places may not be there yet.
            let opened = tokio::time::timeout(OPENING, connection.quic().open_bi()).await;
            let Ok(opened) = opened else { break };
            let (mut send, receive) = opened?;
            // The connection's window is smaller than those of its streams together.
            let written = tokio::time::timeout(Duration::from_millis(20), send.write_all(bytes));
            drop(written.await);
            streams.push((send, receive));
        }
    }
    Ok((kept, streams))
}

/// Whether a stream is ended by the server before a moment: with an answer or a reset.
async fn is_ended(mut receive: RecvStream, until: Instant) -> bool {
    timeout_at(until, receive.read_to_end(1 << 16))
        .await
        .is_ok()
}

fn traffic(connections: &[Connection]) -> Traffic {
    let each = connections
        .iter()
        .map(|connection| Traffic::of(connection.quic()));
    each.fold(Traffic::default(), Traffic::and)
}

fn fill(ground: &Ground, size: Size) -> Result<Attack, Failure> {
    Handle::current().block_on(async {
        let request = frame::encode(&vec![0; REQUEST_BYTES])?;
        let bytes = request.get(..SENT_BYTES).ok_or("a short request")?;
        let (connections, streams) = begin(ground, (50, FILLED_STREAMS), bytes).await?;
        let patience = Duration::from_millis(u64::try_from(deadline_millis(size))?) + LATE;
        let until = Instant::from(now() + patience);
        let mut waiting = JoinSet::new();
        let begun = streams.len();
        let mut kept = Vec::new();
        for (send, receive) in streams {
            kept.push(send);
            waiting.spawn(is_ended(receive, until));
        }
        let ended = waiting.join_all().await.into_iter().filter(|ended| *ended);
        let ended = ended.count();
        drop(kept);
        Ok(Attack {
            traffic: traffic(&connections),
            bounds: vec![at_least(
                "requests ended in time",
                count(ended),
                count(begun),
            )],
        })
    })
}

fn dribble(ground: &Ground, size: Size) -> Result<Attack, Failure> {
    Handle::current().block_on(async {
        let request = frame::encode(&vec![0; REQUEST_BYTES])?;
        let start = request.get(..16).ok_or("a short request")?;
        let sizes = (size.pick(30, 200), DRIBBLED_STREAMS);
        let every = Duration::from_millis(size.pick(200, 1_000));
        let (connections, streams) = begin(ground, sizes, start).await?;
        let patience = Duration::from_millis(u64::try_from(deadline_millis(size))?) + LATE;
        let until = Instant::from(now() + patience);
        let mut waiting = JoinSet::new();
        let begun = streams.len();
        for (mut send, receive) in streams {
            waiting.spawn(async move {
                let drip = async {
                    let mut due = interval(every);
                    loop {
                        due.tick().await;
                        if send.write_all(&[0]).await.is_err() {
                            return;
                        }
                    }
                };
                tokio::select! {
                    ended = is_ended(receive, until) => ended,
                    () = drip => true,
                }
            });
        }
        let ended = waiting.join_all().await.into_iter().filter(|ended| *ended);
        let ended = ended.count();
        Ok(Attack {
            traffic: traffic(&connections),
            bounds: vec![
                at_least(
                    "uploads begun",
                    count(begun),
                    count(sizes.0 * STREAMS_LEAST),
                ),
                at_least("uploads ended in time", count(ended), count(begun)),
            ],
        })
    })
}
