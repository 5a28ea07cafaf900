//! One connection of a client: accepts streams, and knows how the peer behaves.

use std::sync::Arc;

use protocol::crypto::label;
use protocol::crypto::signed::Binding;
use quinn::Connection;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::admission::Admitted;
use crate::buffers::Buffers;
use crate::close;
use crate::conduct::{Conduct, Offence, Verdict};
use crate::listen::Listening;
use crate::node::Node;
use crate::stream;

/// A connection and what its streams share.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) node: Arc<Node>,
    pub(crate) binding: Binding,
    pub(crate) conduct: Conduct,
    pub(crate) buffers: Arc<Buffers>,
    connection: Connection,
}

impl Client {
    /// A connection whose handshake is complete; `None` if TLS does not let us bind requests to it.
    fn new(node: Arc<Node>, connection: Connection) -> Option<Self> {
        let mut exporter = [0; 32];
        connection
            .export_keying_material(&mut exporter, label::EXPORTER.as_bytes(), b"")
            .ok()?;
        let binding = Binding {
            domain: node.domain.clone(),
            exporter,
        };
        let bytes = node.streams.unfinished_bytes_per_connection;
        let buffers = Arc::new(Buffers::new(bytes, Arc::clone(&node.frame_bytes)));
        Some(Self {
            node,
            binding,
            conduct: Conduct::default(),
            buffers,
            connection,
        })
    }

    /// Charge the peer for a mistake; the one too many closes the connection. [NODE-BUDGET-1]
    pub(crate) fn charge(&self, offence: Offence) {
        if self.conduct.charge(&self.node.quotas, offence) == Verdict::UsedUp
            && self.connection.close_reason().is_none()
        {
            self.node.meters.misbehaviour_closes.increment(1);
            self.connection
                .close(close::MISBEHAVIOUR, b"too many mistakes");
        }
    }
}

/// Serve a connection until either side closes it.
pub(crate) async fn serve(node: Arc<Node>, connection: Connection, admitted: Admitted) {
    let Some(client) = Client::new(node, connection.clone()) else {
        connection.close(close::FAILED, b"no exporter");
        return;
    };
    let client = Arc::new(client);
    let mut streams = JoinSet::new();
    accept(&client, &mut streams).await;
    if client.node.shutdown.watch().is_draining() {
        drain(&client, &mut streams).await;
    }
    // The streams of a connection that is gone end by themselves.
    while streams.join_next().await.is_some() {}
    drop(admitted);
}

/// The tasks of a connection's streams; one that is to listen gives what it needs to go on.
type Streams = JoinSet<Option<Listening>>;

/// Accept streams until the connection or the server ends. QUIC bounds how many are open.
async fn accept(client: &Arc<Client>, streams: &mut Streams) {
    let mut shutdown = client.node.shutdown.watch();
    let first_proof = tokio::time::sleep(client.node.streams.first_request_patience());
    let mut first_proof = Some(Box::pin(first_proof));
    loop {
        tokio::select! {
            stream = client.connection.accept_bi() => {
                let Ok((send, recv)) = stream else { return };
                streams.spawn(stream::serve(Arc::clone(client), send, recv));
            }
            Some(ended) = streams.join_next() => listen(streams, ended),
            () = async { if let Some(wait) = &mut first_proof { wait.await } },
                if first_proof.is_some() =>
            {
                first_proof = None;
                // [NODE-DEADLINE-3]
                if !client.conduct.is_proven() {
                    client.connection.close(close::IDLE_STRANGER, b"no request succeeded in time");
                }
            }
            () = shutdown.draining() => return,
        }
    }
}

/// Go on with a stream whose request was to listen, in a task that holds no more than it needs.
fn listen(streams: &mut Streams, ended: Result<Option<Listening>, tokio::task::JoinError>) {
    match ended {
        Ok(Some(listening)) => {
            streams.spawn(async move {
                listening.run().await;
                None
            });
        }
        Ok(None) => {}
        Err(_) => tracing::error!("a stream's task panicked"),
    }
}

/// Let what has begun finish, then close. [NODE-DRAIN-1]
async fn drain(client: &Client, streams: &mut Streams) {
    let finish = async {
        while let Some(ended) = streams.join_next().await {
            listen(streams, ended);
        }
        // The last replies are on their way; a client that has them closes the connection itself.
        drop(timeout(client.node.streams.linger(), client.connection.closed()).await);
    };
    drop(timeout(client.node.streams.grace(), finish).await);
    client
        .connection
        .close(close::SHUTDOWN, b"the server stops");
}
