//! Honest people: some who are connected and ask at a steady pace, and newcomers.

use std::sync::Arc;
use std::time::Duration;

use protocol::auth::FetchServerKeys;
use rustls::pki_types::CertificateDer;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::clock::now;
use crate::connection::{Connection, Failure, endpoint_at};
use crate::hostile::socket::source;
use crate::person::Person;
use crate::process::Server;

/// Connections that exist before the attack, each with a queue of its own.
const EXISTING: usize = 5;
/// Requests of each of them come this far apart: a hundred requests a second in all.
const REQUEST_EVERY: Duration = Duration::from_millis(50);
/// Newcomers come this far apart: ten a second.
const NEWCOMER_EVERY: Duration = Duration::from_millis(100);
/// How long an honest client waits before it calls something failed.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// The network of the honest: 127.200.0.0/16, an address for each.
const NETWORK: u8 = 200;
/// Newcomers have the addresses from here on, each in a /24 of its own.
const NEWCOMERS_FROM: usize = 2 << 8;
/// Addresses of newcomers before they repeat.
const NEWCOMER_NETWORKS: usize = 250;

/// What became of one request or one newcomer.
#[derive(Clone, Copy, Debug)]
enum Event {
    Existing(Option<Duration>),
    Newcomer(Option<Duration>),
}

/// Latencies of one phase.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    latencies: Vec<Duration>,
    failed: usize,
}

impl Samples {
    pub(crate) fn add(&mut self, latency: Option<Duration>) {
        match latency {
            Some(latency) => self.latencies.push(latency),
            None => self.failed += 1,
        }
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> usize {
        self.latencies.len() + self.failed
    }

    /// How many failed.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.failed
    }

    /// Milliseconds that this many percent took at most; a failure took for ever, which shows as
    /// the patience of the honest.
    #[must_use]
    pub fn percentile_ms(&self, percent: usize) -> f64 {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let place = (self.count() * percent).div_ceil(100).saturating_sub(1);
        let latency = sorted.get(place).copied().unwrap_or(PATIENCE);
        latency.as_secs_f64() * 1_000.0
    }
}

/// What honest people noticed in one phase.
#[derive(Clone, Debug, Default)]
pub struct Noticed {
    /// Requests on connections that existed before.
    pub existing: Samples,
    /// A handshake and a first request.
    pub newcomers: Samples,
}

/// Honest people at work, until dropped.
#[derive(Debug)]
pub struct Honest {
    events: UnboundedReceiver<Event>,
    _at_work: JoinSet<()>,
}

impl Honest {
    /// Connect those that exist, then begin.
    ///
    /// # Errors
    /// The server does not serve even before it is attacked.
    pub async fn begin(server: &Server) -> Result<Self, Failure> {
        let (sender, events) = mpsc::unbounded_channel();
        let mut at_work = JoinSet::new();
        for index in 0..EXISTING {
            let endpoint = endpoint_at(source(NETWORK, index), server.certificate()?)?;
            let connection =
                Connection::open(&endpoint, server.address(), &Server::domain()?).await?;
            // A queue makes the connection one whose owner is known.
            Person::new(&connection).await?;
            at_work.spawn(ask(connection, sender.clone()));
        }
        let come = come(server.certificate()?, server.address(), sender);
        at_work.spawn(come);
        Ok(Self {
            events,
            _at_work: at_work,
        })
    }

    /// What was noticed since the last time that this was asked.
    pub fn noticed(&mut self) -> Noticed {
        let mut noticed = Noticed::default();
        while let Ok(event) = self.events.try_recv() {
            match event {
                Event::Existing(latency) => noticed.existing.add(latency),
                Event::Newcomer(latency) => noticed.newcomers.add(latency),
            }
        }
        noticed
    }
}

/// Ask on one connection, whether or not earlier requests were answered.
async fn ask(connection: Connection, events: UnboundedSender<Event>) {
    let mut due = interval(REQUEST_EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut asked = JoinSet::new();
    let connection = Arc::new(connection);
    loop {
        due.tick().await;
        while asked.try_join_next().is_some() {}
        let (connection, events) = (Arc::clone(&connection), events.clone());
        asked.spawn(async move {
            let begun = now();
            let reply = timeout(PATIENCE, connection.request(&FetchServerKeys {})).await;
            let latency = matches!(reply, Ok(Ok(_))).then(|| begun.elapsed());
            // Nobody listens any more once the siege is over.
            events.send(Event::Existing(latency)).unwrap_or_default();
        });
    }
}

/// Let newcomers come.
async fn come(
    certificate: CertificateDer<'static>,
    server: std::net::SocketAddr,
    events: UnboundedSender<Event>,
) {
    let mut due = interval(NEWCOMER_EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut coming = JoinSet::new();
    for index in (0..NEWCOMER_NETWORKS).cycle() {
        due.tick().await;
        while coming.try_join_next().is_some() {}
        let (certificate, events) = (certificate.clone(), events.clone());
        coming.spawn(async move {
            let begun = now();
            let from = source(NETWORK, NEWCOMERS_FROM + (index << 8));
            let arrival = timeout(PATIENCE, arrive(from, certificate, server)).await;
            let latency = matches!(arrival, Ok(Ok(()))).then(|| begun.elapsed());
            // As above.
            events.send(Event::Newcomer(latency)).unwrap_or_default();
        });
    }
}

async fn arrive(
    from: std::net::IpAddr,
    certificate: CertificateDer<'static>,
    server: std::net::SocketAddr,
) -> Result<(), Failure> {
    let endpoint = endpoint_at(from, certificate)?;
    let connection = Connection::open(&endpoint, server, &Server::domain()?).await?;
    connection.request(&FetchServerKeys {}).await?;
    connection.quic().close(0_u32.into(), b"");
    Ok(())
}
