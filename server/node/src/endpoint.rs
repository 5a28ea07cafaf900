//! One shard's connections: takes handshakes in, hands connections on.

use std::sync::Arc;
use std::time::Duration;

use quinn::{Connecting, Endpoint, Incoming};
use tokio::task::{JoinSet, yield_now};
use tokio::time::timeout;

use crate::admission::{Decision, Handshake, Reason};
use crate::client::{self, Client};
use crate::close;
use crate::gate::Gate;
use crate::node::Node;
use crate::places::Places;
use crate::validation::InProgress;

/// Accept connections until the server stops, then wait for those that there are.
pub(crate) async fn run(node: Arc<Node>, gate: Arc<Gate>, endpoint: Endpoint) {
    let mut shutdown = node.shutdown.watch();
    let mut connections = JoinSet::new();
    let places = node.admission.places();
    loop {
        tokio::select! {
            incoming = endpoint.accept() => {
                let Some(incoming) = incoming else { break };
                let Some((incoming, begun)) = admit(&node, &places, &gate, incoming) else {
                    continue;
                };
                if let Ok(connecting) = incoming.accept() {
                    // Boxed apart, so that a connection does not keep the room of its handshake.
                    let (for_it, gate) = (Arc::clone(&node), Arc::clone(&gate));
                    let establish = Box::pin(establish(for_it, gate, connecting, begun));
                    connections.spawn(serve(establish));
                } else {
                    node.meters.handshakes_failed.increment(1);
                }
                // That was the dear part of a handshake. Who is inside has a turn before the next,
                // however many wait. [NODE-ADMIT-8]
                yield_now().await;
            }
            Some(_) = connections.join_next() => {}
            () = shutdown.draining() => break,
        }
    }
    let refuse = async {
        while let Some(incoming) = endpoint.accept().await {
            incoming.refuse();
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = refuse => {}
        () = async { while connections.join_next().await.is_some() {} } => {}
    }
    endpoint.close(close::SHUTDOWN, b"the server stops");
}

/// What is counted as long as a handshake is in progress.
struct Begun {
    /// How long it may take.
    patience: Duration,
    handshake: Handshake,
    in_progress: InProgress,
}

/// Decide about a first packet; gives it back if its handshake may begin. [NODE-ADMIT-1]
/// [NODE-RETRY-1]
fn admit(
    node: &Arc<Node>,
    places: &Places,
    gate: &Gate,
    incoming: Incoming,
) -> Option<(Incoming, Begun)> {
    let is_validated = incoming.remote_address_validated();
    let now = gate.watch.elapsed();
    if is_validated {
        gate.governor.prove(incoming.remote_address().ip());
    } else {
        gate.validation.note_first_packet(now);
    }
    let address = incoming.remote_address();
    // Asked first: who has to come again must not be charged for it.
    let decision = if !is_validated && gate.validation.is_asked(now) {
        Decision::Retry
    } else {
        node.admission.decide(places, address, is_validated)
    };
    match decision {
        Decision::Accept => {
            let is_crowded = node.admission.is_crowded(places);
            let begun = Begun {
                // [NODE-DEADLINE-1]
                patience: node.streams.handshake_patience(is_crowded),
                handshake: node.admission.begin(places, address, is_validated),
                in_progress: gate.validation.begin(),
            };
            return Some((incoming, begun));
        }
        Decision::Retry => {
            node.meters.retries.increment(1);
            // Only an address that is validated cannot be asked, and this one is not.
            drop(incoming.retry());
        }
        Decision::Refuse(why) => {
            node.tally.turned_away(why);
            incoming.refuse();
        }
        Decision::Ignore(why) => {
            node.tally.turned_away(why);
            incoming.ignore();
        }
    }
    None
}

/// One connection, from its handshake on.
async fn serve(establish: impl Future<Output = Option<Arc<Client>>> + Unpin) {
    if let Some(client) = establish.await {
        client::serve(client).await;
    }
}

/// A handshake, until the connection counts.
async fn establish(
    node: Arc<Node>,
    gate: Arc<Gate>,
    connecting: Connecting,
    mut begun: Begun,
) -> Option<Arc<Client>> {
    let connected = tokio::select! {
        connected = timeout(begun.patience, connecting) => connected.ok().and_then(Result::ok),
        () = begun.handshake.place_lost() => {
            node.tally.turned_away(Reason::HalfOpen);
            None
        }
    };
    let Some(connection) = connected else {
        node.meters.handshakes_failed.increment(1);
        return None;
    };
    drop(begun.in_progress);
    let address = connection.remote_address();
    gate.governor.prove(address.ip());
    match begun.handshake.complete(address) {
        Ok(admitted) => Client::begin(node, connection, admitted),
        Err(why) => {
            node.tally.turned_away(why);
            connection.close(close::TOO_MANY_CONNECTIONS, b"too many connections");
            None
        }
    }
}
