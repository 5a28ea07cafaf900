//! T14: requests that are begun and taken back, and requests whose answers nobody wants.

use std::sync::Arc;
use std::time::Duration;

use quinn::ConnectionError;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::inside::{FLOOD, LOOKS_PER_SECOND, MISBEHAVIOUR, NETWORK, harmless, is_closed};
use crate::clock::{Pace, now};
use crate::connection::{Connection, Failure, endpoint_at};
use crate::hostile::frame::Close;
use crate::hostile::socket::{Traffic, source};
use crate::person::Person;
use crate::process::Server;
use crate::siege::figure::at_most;
use crate::siege::ground::Ground;
use crate::siege::run::{Attack, PROGRAM, Program, Size};

/// How long the attackers go on.
const PATIENCE: Duration = Duration::from_secs(12);
/// How old the server's count of what waits may be, and a second more.
const SETTLED: Duration = Duration::from_secs(6);
/// When they have to be gone.
const EXPECTED: Duration = Duration::from_secs(8);

pub(super) const PROGRAMS: &[Program] = &[Program {
    id: "t14",
    title: "requests begun and reset, and requests whose replies are stopped",
    attack: take_back,
    ..PROGRAM
}];

fn take_back(ground: &Ground, size: Size) -> Result<Attack, Failure> {
    Handle::current().block_on(async {
        let request: Arc<[u8]> = harmless()?.into();
        let mut attackers = JoinSet::new();
        for index in 0..size.pick(4, 10) {
            let from = source(NETWORK, 300 + index);
            let endpoint = endpoint_at(from, ground.server.certificate()?)?;
            let address = ground.server.address();
            let connection = Connection::open(&endpoint, address, &Server::domain()?).await?;
            Person::new(&connection).await?;
            let request = Arc::clone(&request);
            attackers.spawn(async move {
                let begun = now();
                let is_whole = index % 2 == 0;
                // Ends when the connection does.
                let reset = reset(&connection, &request, is_whole);
                drop(timeout(PATIENCE, reset).await);
                let quic = connection.quic();
                (
                    is_whole,
                    quic.close_reason(),
                    begun.elapsed(),
                    Traffic::of(quic),
                )
            });
        }
        let (mut bounds, mut traffic) = (Vec::new(), Traffic::default());
        while let Some(ended) = attackers.join_next().await {
            let (is_whole, reason, after, sent) = ended?;
            traffic = traffic.and(sent);
            let closed = match reason {
                Some(ConnectionError::ApplicationClosed(close)) => {
                    Some(Close::Application(close.error_code.into_inner()))
                }
                _ => None,
            };
            let what = if is_whole {
                "stopped replies"
            } else {
                "reset requests"
            };
            let codes = [FLOOD, MISBEHAVIOUR];
            bounds.extend(is_closed(what, closed, &codes, after, EXPECTED));
        }
        bounds.push(at_most("requests that still wait", waiting(ground)?, 0.0));
        Ok(Attack { traffic, bounds })
    })
}

/// Requests that wait for a thread once the attackers are gone; asked until there are none.
fn waiting(ground: &Ground) -> Result<f64, Failure> {
    let end = now() + SETTLED;
    let mut looks = Pace::new(LOOKS_PER_SECOND);
    loop {
        if looks.due(1) > 0 {
            let waiting = ground.metrics()?.sum("hearthd_jobs_waiting");
            if waiting == 0.0 || now() > end {
                return Ok(waiting);
            }
        }
    }
}

/// Open streams as fast as the server allows, and want nothing of them.
async fn reset(connection: &Connection, request: &[u8], is_whole: bool) -> Result<(), Failure> {
    loop {
        let (mut send, mut receive) = connection.quic().open_bi().await?;
        if is_whole {
            send.write_all(request).await?;
            send.finish()?;
        } else {
            send.write_all(request.get(..8).unwrap_or_default()).await?;
            send.reset(0_u32.into())?;
        }
        receive.stop(0_u32.into())?;
    }
}
