//! One connection of a client: accepts streams, and knows whose it is and how the peer behaves.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use protocol::crypto::label;
use protocol::crypto::signed::Binding;
use quinn::{Connection, VarInt};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::accounts::Seat;
use crate::admission::Admitted;
use crate::behaviour::{Behaviour, Counters};
use crate::buffers::Buffers;
use crate::close;
use crate::conduct::{Conduct, Offence, Verdict};
use crate::cpu;
use crate::identity::Identity;
use crate::ledger::Pressure;
use crate::listen::Listening;
use crate::node::Node;
use crate::standing::Standing;
use crate::stream;
use crate::tally::Ended;

/// What everybody may send ahead, and is kept for them, while memory is short.
const SHORT_WINDOW_BYTES: u32 = 16 << 10;

/// A connection and what its streams share.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) node: Arc<Node>,
    pub(crate) binding: Binding,
    pub(crate) conduct: Conduct,
    pub(crate) standing: Standing,
    pub(crate) buffers: Arc<Buffers>,
    connection: Connection,
    admitted: Admitted,
    seat: OnceLock<Seat>,
    behaviour: Mutex<Behaviour>,
    since: Duration,
    /// Milliseconds of the node's watch at the last request.
    active_at: AtomicU64,
    /// Bytes that were handed to the transport.
    written: AtomicU64,
}

impl Client {
    /// Begin with a connection whose handshake is complete. Without what binds requests to it, which
    /// TLS has to give, it is closed.
    pub(crate) fn begin(
        node: Arc<Node>,
        connection: Connection,
        admitted: Admitted,
    ) -> Option<Arc<Self>> {
        let mut exporter = [0; 32];
        let label = label::EXPORTER.as_bytes();
        if connection
            .export_keying_material(&mut exporter, label, b"")
            .is_err()
        {
            connection.close(close::FAILED, b"no exporter");
            return None;
        }
        let binding = Binding {
            domain: node.domain.clone(),
            exporter,
        };
        let bytes = node.streams.unfinished_bytes_per_connection;
        let buffers = Arc::new(Buffers::new(bytes, Arc::clone(&node.frame_bytes)));
        let (since, address) = (node.watch.elapsed(), connection.remote_address());
        Some(Arc::new(Self {
            node,
            binding,
            conduct: Conduct::default(),
            standing: Standing::default(),
            buffers,
            admitted,
            seat: OnceLock::new(),
            behaviour: Mutex::new(Behaviour::new(address, since)),
            since,
            active_at: AtomicU64::new(millis(since)),
            written: AtomicU64::new(0),
            connection,
        }))
    }

    /// Charge the peer for a mistake; the one too many closes the connection. [NODE-BUDGET-1]
    pub(crate) fn charge(&self, offence: Offence) {
        if self.conduct.charge(&self.node.quotas, offence) == Verdict::UsedUp {
            self.end(Ended::Misbehaviour);
        }
    }

    /// Close the connection with the code that says why. [NODE-CLOSE-1]
    pub(crate) fn end(&self, why: Ended) {
        if self.connection.close_reason().is_none() {
            self.node.tally.ended(why);
            let (code, reason) = close::code(why);
            self.connection.close(code, reason);
        }
    }

    /// A request under the key of a pseudonym has succeeded: the connection counts for that and no
    /// longer for its address, and may do more. [NODE-ADMIT-5] [NODE-ADMIT-6]
    pub(crate) fn recognise(&self, account: u64) {
        if !self.standing.recognise(account) {
            return;
        }
        self.node.tally.recognised.increment(1);
        self.admitted.recognise();
        let entered = self.node.accounts.enter(account, &self.connection);
        if entered.has_displaced {
            self.node.tally.ended(Ended::Displaced);
        }
        // Only whoever was the first to recognise the connection comes here.
        drop(self.seat.set(entered.seat));
        let streams = VarInt::from_u32(self.node.streams.concurrent);
        self.connection.set_max_concurrent_bi_streams(streams);
        self.fit_windows(self.node.ledger.pressure());
    }

    /// Have windows that fit what the connection has shown and what memory there is. [NODE-MEMORY-2]
    pub(crate) fn fit_windows(&self, pressure: Pressure) {
        let streams = &self.node.streams;
        let (receive, send) = match (pressure, self.standing.account()) {
            (Pressure::Yellow | Pressure::Red, _) => (SHORT_WINDOW_BYTES, SHORT_WINDOW_BYTES),
            (Pressure::Calm, Some(_)) => (streams.connection_receive_window, streams.send_window),
            (Pressure::Calm, None) => self.node.first_windows,
        };
        self.connection
            .set_receive_window(VarInt::from_u32(receive));
        self.connection.set_send_window(u64::from(send));
    }

    /// Look at how the peer behaves, and close the connection if that is what it has earned. Gives
    /// the bytes that it was sent and has not confirmed. [NODE-WATCH-1]
    pub(crate) fn look(&self, now: Duration) -> usize {
        let stats = self.connection.stats();
        let sample = Counters::from(&stats);
        let written = self.written.load(Ordering::Relaxed);
        let address = self.connection.remote_address();
        let node = &self.node;
        let mut behaviour = self
            .behaviour
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let received = behaviour.received(&sample);
        let judgement = behaviour.judge(&node.watch_limits, sample, address, written, now);
        drop(behaviour);
        if received > 0 {
            let packets = u32::try_from(received).unwrap_or(u32::MAX);
            node.used
                .charge(&self.identity(), cpu::PACKET.saturating_mul(packets), now);
        }
        node.tally.glitches.increment(judgement.glitches);
        if let Some(why) = judgement.ends {
            self.end(why);
        }
        let unconfirmed = judgement
            .unconfirmed
            .min(u64::from(node.streams.send_window));
        usize::try_from(unconfirmed).unwrap_or(usize::MAX)
    }

    /// A request has come.
    pub(crate) fn note_activity(&self) {
        let now = millis(self.node.watch.elapsed());
        self.active_at.store(now, Ordering::Relaxed);
    }

    /// Bytes were handed to the transport.
    pub(crate) fn note_written(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.written.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Whom the connection's work is charged to.
    pub(crate) fn identity(&self) -> Identity {
        let stranger = Identity::stranger(self.admitted.address());
        let account = self.standing.account();
        account.map_or(stranger, |account| stranger.known(account))
    }

    /// When the connection began.
    pub(crate) fn since(&self) -> Duration {
        self.since
    }

    /// When the last request came.
    pub(crate) fn active_at(&self) -> Duration {
        Duration::from_millis(self.active_at.load(Ordering::Relaxed))
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Serve a connection until either side closes it.
pub(crate) async fn serve(client: Arc<Client>) {
    let watched = client.node.supervisor.watch(&client, &client.node.ledger);
    let mut streams = JoinSet::new();
    accept(&client, &mut streams).await;
    if client.node.shutdown.is_draining() {
        drain(&client, &mut streams).await;
    }
    // The streams of a connection that is gone end by themselves.
    while streams.join_next().await.is_some() {}
    drop(watched);
}

/// The tasks of a connection's streams; one that is to listen gives what it needs to go on.
type Streams = JoinSet<Option<Listening>>;

/// Accept streams until the connection or the server ends. QUIC bounds how many are open.
async fn accept(client: &Arc<Client>, streams: &mut Streams) {
    let mut shutdown = client.node.shutdown.watch();
    let first_proof = tokio::time::sleep(client.node.streams.first_request_patience());
    let mut first_proof = Some(Box::pin(first_proof));
    loop {
        if client.standing.account().is_some() {
            // The timer takes room, and has nothing left to say.
            first_proof = None;
        }
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
                if client.standing.account().is_none() {
                    client.end(Ended::IdleStranger);
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
            streams.spawn(listening.run());
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
