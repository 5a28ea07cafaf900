//! Looks at every connection once a second, closes those that misbehave, and makes room when memory
//! is short.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::client::Client;
use crate::clock::Stopwatch;
use crate::ledger::{Held, Ledger, Pressure};
use crate::node::Node;
use crate::tally::Ended;

/// How often connections are looked at: a flood is closed within three looks.
const EVERY: Duration = Duration::from_secs(1);
/// Connections looked at before other tasks get a turn: some 100 microseconds.
const CHUNK: usize = 128;
/// Connections closed at one look to make room; there is another look in a second.
const EVICTIONS_MAX: usize = 1_000;
/// Time without a request after which a connection goes before those that are at work.
const IDLE: Duration = Duration::from_secs(60);
/// Memory of a row of the supervisor's, the client it points to aside.
const ROW_BYTES: usize = 64;

/// The connections of this process.
#[derive(Debug, Default)]
pub(crate) struct Supervisor {
    clients: Mutex<BTreeMap<u64, Arc<Client>>>,
    next: AtomicU64,
}

/// A place among those that are looked at; left when dropped.
#[derive(Debug)]
pub(crate) struct Watched {
    supervisor: Arc<Supervisor>,
    number: u64,
    _held: Held,
}

impl Supervisor {
    /// Look at a connection from now on.
    pub(crate) fn watch(self: &Arc<Self>, client: &Arc<Client>, ledger: &Arc<Ledger>) -> Watched {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(number, Arc::clone(client));
        Watched {
            supervisor: Arc::clone(self),
            number,
            _held: ledger.hold(ROW_BYTES),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Client>>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All connections, the oldest first.
    fn clients(&self) -> Vec<Arc<Client>> {
        self.lock().values().cloned().collect()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.supervisor.lock().remove(&self.number);
    }
}

/// Look at all connections until the task is ended from outside. [NODE-WATCH-1]
pub(crate) async fn run(node: Arc<Node>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pressure = Pressure::Calm;
    loop {
        ticks.tick().await;
        let clients = node.supervisor.clients();
        if node.watch_limits.enabled {
            look(&node, &clients).await;
        }
        node.tally.memory_held.set(bytes(node.ledger.total()));
        let present = node.ledger.pressure();
        if present != pressure {
            pressure = present;
            announce(&node, pressure);
            clients
                .iter()
                .for_each(|client| client.fit_windows(pressure));
        }
        if pressure == Pressure::Red {
            make_room(&node, &clients);
        }
    }
}

/// Judge every connection. [NODE-WATCH-1]
async fn look(node: &Node, clients: &[Arc<Client>]) {
    let watch = Stopwatch::start();
    let mut took = Duration::ZERO;
    let mut unconfirmed = 0;
    for chunk in clients.chunks(CHUNK) {
        let begun = watch.elapsed();
        for client in chunk {
            unconfirmed += client.look(node.watch.elapsed());
        }
        took += watch.elapsed().saturating_sub(begun);
        tokio::task::yield_now().await;
    }
    node.ledger.note_unconfirmed(unconfirmed);
    node.tally.watch_seconds.record(took.as_secs_f64());
}

/// Say that memory has come to another level. [NODE-MEMORY-2]
fn announce(node: &Node, pressure: Pressure) {
    node.tally.reached(pressure);
    match pressure {
        Pressure::Calm => tracing::info!("memory suffices: connections are let in"),
        Pressure::Yellow => tracing::warn!("memory is short: no connections are let in"),
        Pressure::Red => tracing::warn!("memory is very short: connections are closed"),
    }
}

/// Close connections until memory is no longer that short: those that have not shown whose they
/// are, the oldest first; those that are idle, the longest first; then those whose accounts used
/// the processors most. [NODE-MEMORY-3]
fn make_room(node: &Node, clients: &[Arc<Client>]) {
    let surplus = node.ledger.surplus().min(EVICTIONS_MAX);
    let now = node.watch.elapsed();
    let mut order: Vec<(Urgency, &Arc<Client>)> = clients
        .iter()
        .map(|client| (urgency(node, client, now), client))
        .collect();
    order.sort_unstable_by_key(|(urgency, _)| *urgency);
    for (_, client) in order.into_iter().take(surplus) {
        client.end(Ended::Evicted);
    }
}

/// In which order connections make room: the least goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    Stranger(Duration),
    Idle(Duration),
    /// What is left of the account's use to the most there is.
    Busy(Duration),
}

fn urgency(node: &Node, client: &Client, now: Duration) -> Urgency {
    if client.standing.account().is_none() {
        return Urgency::Stranger(client.since());
    }
    let active_at = client.active_at();
    if now.saturating_sub(active_at) > IDLE {
        return Urgency::Idle(active_at);
    }
    let used = node.used.recent(client.identity().account_key(), now);
    Urgency::Busy(Duration::MAX.saturating_sub(used))
}

/// Gauges hold floating-point numbers, which are exact up to 2^53.
#[expect(
    clippy::cast_precision_loss,
    reason = "gauges are approximate above 2^53"
)]
fn bytes(number: usize) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [NODE-MEMORY-3]
    #[test]
    fn strangers_go_first_then_the_idle_then_the_busiest() {
        let seconds = Duration::from_secs;
        let busy = |used| Urgency::Busy(Duration::MAX.saturating_sub(seconds(used)));
        let mut order = [
            busy(1),
            busy(5),
            Urgency::Idle(seconds(20)),
            Urgency::Idle(seconds(10)),
            Urgency::Stranger(seconds(9)),
            Urgency::Stranger(seconds(8)),
        ];
        order.sort_unstable();
        order.reverse();
        assert_eq!(
            order,
            [
                busy(1),
                busy(5),
                Urgency::Idle(seconds(20)),
                Urgency::Idle(seconds(10)),
                Urgency::Stranger(seconds(9)),
                Urgency::Stranger(seconds(8)),
            ]
        );
    }
}
