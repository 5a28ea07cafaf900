//! UDP sockets and TLS: takes handshakes in, hands connections on.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use quinn::{Endpoint, EndpointConfig, Incoming, ServerConfig, TokioRuntime};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::admission::{Decision, Handshake};
use crate::node::Node;
use crate::{Error, client, close};

/// Open a socket and serve QUIC on it.
pub(crate) fn open(
    address: SocketAddr,
    endpoint: EndpointConfig,
    server: ServerConfig,
) -> Result<Endpoint, Error> {
    let bound = UdpSocket::bind(address)
        .and_then(|socket| Endpoint::new(endpoint, Some(server), socket, Arc::new(TokioRuntime)));
    bound.map_err(|error| Error::Listen { address, error })
}

/// Accept connections until the server stops, then wait for those that there are.
pub(crate) async fn run(node: Arc<Node>, endpoint: Endpoint) {
    let mut shutdown = node.shutdown.watch();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            incoming = endpoint.accept() => {
                let Some(incoming) = incoming else { break };
                if let Some((incoming, handshake)) = admit(&node, incoming) {
                    connections.spawn(serve(Arc::clone(&node), incoming, handshake));
                }
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

/// Decide about a first packet; gives it back if its handshake may begin. [NODE-ADMIT-1]
fn admit(node: &Arc<Node>, incoming: Incoming) -> Option<(Incoming, Handshake)> {
    let address = incoming.remote_address();
    match node
        .admission
        .decide(address, incoming.remote_address_validated())
    {
        Decision::Accept => return Some((incoming, node.admission.begin())),
        Decision::Retry => {
            node.meters.retries.increment(1);
            // Only an address that is validated cannot be asked, and this one is not.
            drop(incoming.retry());
        }
        Decision::Refuse => {
            node.meters.connections_refused.increment(1);
            incoming.refuse();
        }
        Decision::Ignore => {
            node.meters.connections_refused.increment(1);
            incoming.ignore();
        }
    }
    None
}

/// One connection, from its handshake on.
async fn serve(node: Arc<Node>, incoming: Incoming, handshake: Handshake) {
    let Ok(connecting) = incoming.accept() else {
        node.meters.handshakes_failed.increment(1);
        return;
    };
    // [NODE-DEADLINE-1]
    let Ok(Ok(connection)) = timeout(node.streams.handshake_patience(), connecting).await else {
        node.meters.handshakes_failed.increment(1);
        return;
    };
    match handshake.complete(connection.remote_address()) {
        Ok(admitted) => client::serve(node, connection, admitted).await,
        Err(_) => {
            node.meters.connections_refused.increment(1);
            connection.close(close::TOO_MANY_CONNECTIONS, b"too many connections");
        }
    }
}
