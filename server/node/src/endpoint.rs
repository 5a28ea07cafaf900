//! UDP sockets and TLS: takes handshakes in, hands connections on.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use quinn::{Connection, Endpoint, EndpointConfig, Incoming, ServerConfig, TokioRuntime};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::admission::{Admitted, Decision, Handshake};
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
                    // Boxed apart, so that a connection does not keep the room of its handshake.
                    let establish = Box::pin(establish(Arc::clone(&node), incoming, handshake));
                    connections.spawn(serve(Arc::clone(&node), establish));
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
async fn serve(
    node: Arc<Node>,
    establish: impl Future<Output = Option<(Connection, Admitted)>> + Unpin,
) {
    if let Some((connection, admitted)) = establish.await {
        client::serve(node, connection, admitted).await;
    }
}

/// A handshake, until the connection counts.
async fn establish(
    node: Arc<Node>,
    incoming: Incoming,
    handshake: Handshake,
) -> Option<(Connection, Admitted)> {
    let patience = node.streams.handshake_patience();
    // [NODE-DEADLINE-1]
    let connected = match incoming.accept() {
        Ok(connecting) => timeout(patience, connecting)
            .await
            .ok()
            .and_then(Result::ok),
        Err(_) => None,
    };
    let Some(connection) = connected else {
        node.meters.handshakes_failed.increment(1);
        return None;
    };
    match handshake.complete(connection.remote_address()) {
        Ok(admitted) => Some((connection, admitted)),
        Err(_) => {
            node.meters.connections_refused.increment(1);
            connection.close(close::TOO_MANY_CONNECTIONS, b"too many connections");
            None
        }
    }
}
