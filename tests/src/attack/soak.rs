//! T28: hours of idle connections, of which some go and others come, and floods of frames now and
//! then. The server's memory must not grow.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::interval;

use super::program;
use crate::clock::{Progress, now};
use crate::connection::{Connection, Failure, endpoint_at};
use crate::hostile::socket::source;
use crate::person::Person;
use crate::process::Server;
use crate::siege::figure::{count, total};
use crate::siege::ground::Ground;
use crate::siege::run::Size;

/// Networks that the idle connect from: each has ports for thousands.
const NETWORK: u8 = 100;
/// Sockets of the idle.
const SOCKETS: usize = 8;
/// Handshakes of the idle that are under way at the same time.
const HANDSHAKES: usize = 16;
/// Hundredths of the connections that go and come every second.
const CHURN_PERCENT: usize = 1;
/// How often floods of frames come.
const FLOOD_EVERY: Duration = Duration::from_secs(60);

/// How large a soak is.
#[derive(Clone, Copy, Debug)]
pub struct Soak {
    /// Idle connections.
    pub connections: usize,
    /// How long.
    pub time: Duration,
    /// How often memory is looked at.
    pub look_every: Duration,
}

/// One look at the server.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Hours since the beginning.
    pub hours: f64,
    /// Resident memory, in MiB.
    pub resident_mib: f64,
    /// Connections that could not be made so far.
    pub failed: usize,
}

/// Keep the server busy; `report` is told of each look. Gives all of them.
///
/// # Errors
/// The server is gone, or the first connections cannot be made.
pub async fn soak(
    ground: &Arc<Ground>,
    soak: Soak,
    mut report: impl FnMut(Look),
) -> Result<Vec<Look>, Failure> {
    let sockets = (0..SOCKETS)
        .map(|index| endpoint_at(source(NETWORK, index * 256), ground.server.certificate()?));
    let sockets = sockets.collect::<Result<Vec<_>, Failure>>()?;
    let mut idle = connect(ground, &sockets, soak.connections).await.0;
    if idle.len() * 2 < soak.connections {
        return Err("the server lets the idle not in".into());
    }
    let (begun, mut looks, mut failed) = (now(), Vec::new(), 0);
    let (mut second, mut look) = (
        interval(Duration::from_secs(1)),
        Progress::new(soak.look_every),
    );
    let (mut flood, mut floods) = (Progress::new(FLOOD_EVERY), JoinSet::new());
    while begun.elapsed() < soak.time {
        second.tick().await;
        let churn = (soak.connections * CHURN_PERCENT)
            .div_ceil(100)
            .min(idle.len());
        idle.drain(..churn);
        let (came, not) = connect(ground, &sockets, churn).await;
        idle.extend(came);
        failed += not;
        while floods.try_join_next().is_some() {}
        if flood.is_due() {
            let ground = Arc::clone(ground);
            let attack = program("t15").ok_or("there is no such attack")?.attack;
            floods.spawn(async move { spawn_blocking(move || attack(&ground, Size::Small)).await });
        }
        if look.is_due() {
            let one = Look {
                hours: begun.elapsed().as_secs_f64() / 3_600.0,
                resident_mib: total(ground.server.usage()?.resident >> 10) / 1_024.0,
                failed,
            };
            report(one);
            looks.push(one);
        }
    }
    Ok(looks)
}

/// Make so many connections, each with a queue; gives them and how many failed.
async fn connect(
    ground: &Arc<Ground>,
    sockets: &[quinn::Endpoint],
    connections: usize,
) -> (Vec<Connection>, usize) {
    let permits = Arc::new(Semaphore::new(HANDSHAKES));
    let mut connecting = JoinSet::new();
    for socket in sockets.iter().cycle().take(connections) {
        let (socket, permits, address) = (
            socket.clone(),
            Arc::clone(&permits),
            ground.server.address(),
        );
        connecting.spawn(async move {
            let _permit = permits.acquire_owned().await?;
            let connection = Connection::open(&socket, address, &Server::domain()?).await?;
            Person::new(&connection).await?;
            Ok::<_, Failure>(connection)
        });
    }
    let made = connecting.join_all().await;
    let made: Vec<_> = made.into_iter().flatten().collect();
    let failed = connections - made.len();
    (made, failed)
}

/// MiB per hour by which memory grows, by least squares over the second half of the looks: in the
/// first, caches fill.
#[must_use]
pub fn slope(looks: &[Look]) -> f64 {
    let looks: Vec<_> = looks.iter().skip(looks.len() / 2).collect();
    let number = count(looks.len()).max(1.0);
    let mean = |of: fn(&Look) -> f64| looks.iter().map(|look| of(look)).sum::<f64>() / number;
    let (hours, resident) = (mean(|look| look.hours), mean(|look| look.resident_mib));
    let together = looks
        .iter()
        .map(|look| (look.hours - hours) * (look.resident_mib - resident));
    let spread = looks.iter().map(|look| (look.hours - hours).powi(2));
    together.sum::<f64>() / spread.sum::<f64>().max(f64::MIN_POSITIVE)
}
