//! The long-lived stream of a listener: entries go, acknowledgements come.
//!
//! ```text
//! push:  reply ─► read entries ──some──► send ─► read …
//!                     └──none──► caught up (once) ─► wait for a wake ─► read …
//! acks:  wait for a frame ─► take the last that has arrived ─► engine ─► wait …
//! ```
//!
//! Most listeners wait most of the time, so whatever they do besides waiting is boxed and takes no
//! memory meanwhile.

use std::fmt;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use engine::Listener;
use protocol::codec::encode;
use protocol::error::{ErrorCode, ErrorReply};
use protocol::frame;
use protocol::id::Seq;
use protocol::queue::ListenEvent;
use protocol::request::Class;
use quinn::{RecvStream, SendStream, VarInt};

use crate::client::Client;
use crate::clock;
use crate::close;
use crate::conduct::Offence;
use crate::frames::{FrameReader, ReadError, Received};
use crate::hub::Subscription;
use crate::shutdown::{RETURN_AFTER, RETURN_SPREAD};
use crate::stream::write;

/// How long a listener waits when the pool is full, and how much of it is left to chance.
const BUSY_WAIT: Duration = Duration::from_millis(50);
const BUSY_SPREAD: Duration = Duration::from_millis(200);
/// Acknowledgements that one takes the place of.
const ACKS_COALESCED_MAX: usize = 1_024;

/// Everything that a listening stream needs.
pub(crate) struct Listening {
    pub(crate) client: Arc<Client>,
    pub(crate) listener: Arc<Listener>,
    pub(crate) subscription: Subscription,
    /// The first frame.
    pub(crate) framed: Vec<u8>,
    pub(crate) send: SendStream,
    pub(crate) reader: FrameReader<RecvStream>,
}

/// Why a listening stream ends.
enum End {
    /// Finish our side: the client or the server goes.
    Finish,
    /// Reset it with a code.
    Reset(VarInt),
    /// Nothing is left to be said.
    Gone,
}

impl Listening {
    /// Listen until either side ends it; nothing is left to do then.
    #[expect(
        clippy::manual_async_fn,
        reason = "an async fn keeps the place of its argument besides what it moves out of it"
    )]
    pub(crate) fn run(mut self) -> impl Future<Output = Option<Self>> {
        async move {
            let first = std::mem::take(&mut self.framed);
            let end = tokio::select! {
                end = push(
                    &self.client,
                    &self.listener,
                    &self.subscription,
                    first,
                    &mut self.send,
                ) => end,
                end = take_acks(&self.client, &self.listener, &mut self.reader) => end,
            };
            // A stream that is closed already needs no end.
            match end {
                End::Finish => drop(self.send.finish()),
                End::Reset(code) => {
                    drop(self.send.reset(code));
                    drop(self.reader.stream_mut().stop(code));
                }
                End::Gone => {}
            }
            None
        }
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listening")
    }
}

/// A frame of entries, made on a worker thread.
struct Pushed {
    framed: Option<Vec<u8>>,
    next: Seq,
}

/// Send entries as they come. No more than one batch is held. [NODE-LISTEN-2]
async fn push(
    client: &Client,
    listener: &Arc<Listener>,
    subscription: &Subscription,
    first: Vec<u8>,
    send: &mut SendStream,
) -> End {
    // The engine begins with the first entry that is there: all before it are acknowledged.
    let mut next = Seq::default();
    let mut framed = Some(first);
    let mut is_caught_up = false;
    loop {
        if let Some(framed) = framed.take() {
            client.node.meters.bytes_sent.increment(framed.len() as u64);
            let _held = client.node.ledger.hold(framed.len());
            client.note_written(framed.len());
            let written = write(send, framed, client.node.streams.write_patience());
            if Box::pin(written).await.is_err() {
                return End::Gone;
            }
        }
        if client.node.shutdown.is_draining() {
            return Box::pin(go_away(client, send)).await;
        }
        if subscription.take_stock_low() {
            framed = Box::pin(key_packages_low(client, listener)).await;
            continue;
        }
        let pushed = match Box::pin(entries(client, listener, next)).await {
            Ok(pushed) => pushed,
            Err(End::Gone) => continue,
            Err(end) => return end,
        };
        next = pushed.next;
        if pushed.framed.is_some() {
            framed = pushed.framed;
        } else if !is_caught_up {
            is_caught_up = true;
            framed = frame::encode(&encode(&ListenEvent::CaughtUp(next))).ok();
        } else {
            subscription.woken().await;
        }
    }
}

/// The entries from `from` on. `Gone` after a wait if the pool is full.
async fn entries(client: &Client, listener: &Arc<Listener>, from: Seq) -> Result<Pushed, End> {
    let (engine, listener) = (Arc::clone(&client.node.engine), Arc::clone(listener));
    let identity = client.identity();
    let read = client.node.pool.run(Class::Listen, &identity, move || {
        let batch = engine.entries(&listener, from)?;
        let framed = if batch.is_empty {
            None
        } else {
            let framed = frame::encode(&batch.event);
            Some(framed.map_err(|_| ErrorReply::from(ErrorCode::Internal))?)
        };
        Ok::<_, ErrorReply>(Pushed {
            framed,
            next: batch.next,
        })
    });
    match read.await {
        Ok(Ok(pushed)) => Ok(pushed),
        Ok(Err(_)) => Err(End::Reset(close::LISTEN_AGAIN)),
        Err(_) => {
            tokio::time::sleep(BUSY_WAIT + clock::jitter(BUSY_SPREAD)).await;
            Err(End::Gone)
        }
    }
}

/// The event that tells how few KeyPackages are left; nothing if that cannot be found out.
async fn key_packages_low(client: &Client, listener: &Arc<Listener>) -> Option<Vec<u8>> {
    let (engine, listener) = (Arc::clone(&client.node.engine), Arc::clone(listener));
    let identity = client.identity();
    let count = client.node.pool.run(Class::Issue, &identity, move || {
        engine.key_packages_left(&listener)
    });
    let left = count.await.ok()?.ok()?;
    frame::encode(&encode(&ListenEvent::KeyPackagesLow(left))).ok()
}

/// Send the client away, to come back later. [NODE-DRAIN-2]
async fn go_away(client: &Client, send: &mut SendStream) -> End {
    let wait = RETURN_AFTER + clock::jitter(RETURN_SPREAD);
    let millis = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
    let Ok(framed) = frame::encode(&encode(&ListenEvent::GoAway(millis))) else {
        return End::Finish;
    };
    match write(send, framed, client.node.streams.write_patience()).await {
        Ok(()) => End::Finish,
        Err(_) => End::Gone,
    }
}

/// Take acknowledgements until the client ends its side.
async fn take_acks(
    client: &Client,
    listener: &Arc<Listener>,
    reader: &mut FrameReader<RecvStream>,
) -> End {
    loop {
        let ack = match last_ack(client, reader).await {
            Ok(Some(ack)) => ack,
            Ok(None) => return End::Finish,
            Err(error) => {
                error
                    .offence()
                    .into_iter()
                    .for_each(|offence| client.charge(offence));
                return End::Reset(close::ACK_REFUSED);
            }
        };
        if let Err(end) = Box::pin(take_ack(client, listener, ack)).await {
            return end;
        }
    }
}

async fn take_ack(client: &Client, listener: &Arc<Listener>, ack: Received) -> Result<(), End> {
    let paid = client
        .conduct
        .admit_bytes(&client.node.quotas, ack.wire_bytes);
    if let Err(wait) = paid {
        // Flow control makes the peer wait too.
        tokio::time::sleep(wait.min(client.node.streams.frame_patience())).await;
    }
    client.node.meters.acks.increment(1);
    client.note_activity();
    let (engine, listener) = (Arc::clone(&client.node.engine), Arc::clone(listener));
    let pool = &client.node.pool;
    let identity = client.identity();
    let taken = pool.run(Class::Listen, &identity, move || {
        engine.ack(&listener, &ack.payload)
    });
    let refusal = taken.await.ok().and_then(Result::err);
    // What failed on our side is made good by the next acknowledgement.
    let is_their_fault =
        |error: ErrorReply| matches!(error.code, ErrorCode::Malformed | ErrorCode::Rewound);
    if refusal.is_some_and(is_their_fault) {
        client.charge(Offence::BadRequest);
        return Err(End::Reset(close::ACK_REFUSED));
    }
    Ok(())
}

/// The last acknowledgement of those that have arrived: it stands for all before it.
async fn last_ack(
    client: &Client,
    reader: &mut FrameReader<RecvStream>,
) -> Result<Option<Received>, ReadError> {
    let Some(mut last) = reader.next().await? else {
        return Ok(None);
    };
    for _ in 0..ACKS_COALESCED_MAX {
        client
            .node
            .meters
            .bytes_received
            .increment(last.wire_bytes as u64);
        let next = std::pin::pin!(reader.next());
        match at_once(next).await {
            Some(Ok(Some(received))) => last = received,
            // The end is found again by the next call.
            Some(Ok(None)) | None => break,
            Some(Err(error)) => return Err(error),
        }
    }
    Ok(Some(last))
}

/// What a future gives without waiting.
async fn at_once<F: Future>(mut future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    std::future::poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
