//! One stream: one request in, one reply out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use engine::{Listener, Outcome, Served};
use protocol::error::{ErrorCode, ErrorReply};
use protocol::frame;
use protocol::pseudonym::pseudonym;
use protocol::queue::Listen;
use protocol::request::{AccessMode, Operation, OperationEntry, encode_reply, peek};
use quinn::{RecvStream, SendStream};
use tokio::sync::oneshot;
use tokio::time::{timeout, timeout_at};

use crate::client::Client;
use crate::clock;
use crate::close;
use crate::conduct::Offence;
use crate::frames::{FrameReader, Pace, ReadError};
use crate::hub::Subscription;
use crate::identity;
use crate::ledger::Held;
use crate::listen::Listening;
use crate::metrics::Ending;
use crate::tally::Ended;

/// What a peer is told to wait when its class has too many requests waiting, and how much of it
/// is left to chance.
const BUSY_WAIT: Duration = Duration::from_millis(200);
const BUSY_SPREAD: Duration = Duration::from_millis(800);

/// The peer does not read, or is gone.
#[derive(Debug)]
pub(crate) struct Unwritten;

/// Send one frame, giving the peer `patience` to take it. [NODE-DEADLINE-4]
pub(crate) async fn write(
    send: &mut SendStream,
    framed: Vec<u8>,
    patience: Duration,
) -> Result<(), Unwritten> {
    match timeout(patience, send.write_chunk(Bytes::from(framed))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Unwritten),
        Err(_) => {
            // A stream that is closed already needs no reset.
            drop(send.reset(close::STALLED));
            Err(Unwritten)
        }
    }
}

/// The frame of an error.
pub(crate) fn error_frame(error: ErrorReply) -> Vec<u8> {
    // An error is shorter than any limit.
    frame::encode(&encode_reply::<()>(&Err(error))).unwrap_or_default()
}

/// The frame of a payload of ours; an error in its place if we made it too long.
fn reply_frame(payload: &[u8]) -> Vec<u8> {
    frame::encode(payload).unwrap_or_else(|_| error_frame(ErrorCode::Internal.into()))
}

/// What a worker thread hands back: frames that are ready to be sent.
enum Answer {
    Reply {
        framed: Vec<u8>,
        outcome: Outcome,
        is_success: bool,
    },
    Listen {
        framed: Vec<u8>,
        listener: Listener,
    },
}

/// A request that was read whole.
struct Request {
    entry: OperationEntry,
    payload: Vec<u8>,
    /// Until when it is worth an answer.
    deadline: tokio::time::Instant,
    held: Held,
}

/// What is known of a request while it is served.
#[derive(Clone, Copy)]
struct Asked {
    code: u16,
    mode: AccessMode,
    bytes: usize,
    /// Whose the connection is if the request succeeds.
    account: Option<u64>,
}

impl Asked {
    fn new(client: &Client, request: &Request) -> Self {
        let (entry, payload) = (&request.entry, &request.payload);
        let account = match client.standing.account() {
            Some(_) => None,
            None => pseudonym(entry, payload).map(|name| identity::account(&name)),
        };
        Self {
            code: entry.code,
            mode: entry.mode,
            bytes: payload.len(),
            account,
        }
    }
}

/// Serve one stream. Gives what is left to do if the request was to listen.
pub(crate) async fn serve(
    client: Arc<Client>,
    mut send: SendStream,
    recv: RecvStream,
) -> Option<Listening> {
    let pace = Pace::from(&client.node.streams);
    let mut reader = FrameReader::new(recv, &client.buffers, pace);
    let request = match receive(&client, &mut reader).await {
        Ok(request) => request,
        Err(refusal) => {
            refuse(&client, &mut send, reader.stream_mut(), refusal).await;
            return None;
        }
    };
    let asked = Asked::new(&client, &request);
    let Some(answer) = ask(&client, request).await else {
        client.node.meters.request(asked.code, Ending::Busy);
        let wait = BUSY_WAIT + clock::jitter(BUSY_SPREAD);
        reply(
            &client,
            &mut send,
            error_frame(waiting(ErrorCode::Busy, wait)),
        )
        .await;
        return None;
    };
    match answer {
        Answer::Reply {
            framed,
            outcome,
            is_success,
        } => {
            note(&client, &asked, outcome, is_success);
            reply(&client, &mut send, framed).await;
            None
        }
        Answer::Listen { framed, listener } => {
            note(&client, &asked, Outcome::Fine, true);
            let Some(subscription) = subscribe(&client, &listener) else {
                reply(
                    &client,
                    &mut send,
                    error_frame(ErrorCode::QuotaExceeded.into()),
                )
                .await;
                return None;
            };
            Some(Listening {
                client,
                listener: Arc::new(listener),
                subscription,
                framed,
                send,
                reader,
            })
        }
    }
}

fn subscribe(client: &Client, listener: &Listener) -> Option<Subscription> {
    client.node.hub.subscribe(listener.queue()).ok()
}

/// Why a request is not served.
struct Refusal {
    reply: Option<ErrorReply>,
    offence: Option<Offence>,
}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Self {
        Self {
            reply: error.reply(),
            offence: error.offence(),
        }
    }
}

/// Read a request whole and decide whether to look at it, cheapest question first.
async fn receive(
    client: &Client,
    reader: &mut FrameReader<RecvStream>,
) -> Result<Request, Refusal> {
    let received = reader.first().await?;
    let entry = peek(&received.payload).map_err(|code| Refusal {
        reply: Some(code.into()),
        offence: Some(Offence::BadRequest),
    })?;
    if entry.code != Listen::CODE {
        reader.end().await?;
    }
    client
        .node
        .meters
        .bytes_received
        .increment(received.wire_bytes as u64);
    client.note_activity();
    let node = &client.node;
    let admitted = client
        .standing
        .admit(&node.strangers, entry.mode, received.wire_bytes);
    // [NODE-STRANGER-1]
    admitted.map_err(|_| {
        client.end(Ended::SpentStranger);
        Refusal {
            reply: None,
            offence: None,
        }
    })?;
    client
        .conduct
        .admit_request(&node.quotas, received.wire_bytes)
        .map_err(|wait| {
            client.node.meters.request(entry.code, Ending::RateLimited);
            let reply = Some(waiting(ErrorCode::RateLimited, wait));
            Refusal {
                reply,
                offence: Some(Offence::TooFast),
            }
        })?;
    Ok(Request {
        entry,
        held: node.ledger.hold(received.payload.len()),
        payload: received.payload,
        deadline: reader.deadline(),
    })
}

/// An error with the time to wait.
fn waiting(code: ErrorCode, wait: Duration) -> ErrorReply {
    let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    ErrorReply {
        code,
        detail: millis.max(1),
    }
}

async fn refuse(client: &Client, send: &mut SendStream, recv: &mut RecvStream, refusal: Refusal) {
    if let Some(error) = refusal.reply {
        client.node.meters.bad_frames.increment(1);
        reply(client, send, error_frame(error)).await;
        // A stream that has ended needs no stopping.
        drop(recv.stop(close::UNREAD));
    }
    if let Some(offence) = refusal.offence {
        client.charge(offence);
    }
}

/// Have a worker thread serve the request; `None` if too many wait, or it was not begun in time. The
/// reply is handed over before anything that the request caused is done. [NODE-EFFECT-1]
async fn ask(client: &Arc<Client>, request: Request) -> Option<Answer> {
    let (sender, mut receiver) = oneshot::channel();
    let Request {
        entry,
        payload,
        deadline,
        held,
    } = request;
    let asker = Arc::clone(client);
    let begun = Arc::new(AtomicBool::new(false));
    let begins = Arc::clone(&begun);
    let job = move || {
        let _held = held;
        // A peer that has taken its request back, or was told to come back, gets no work done.
        if sender.is_closed() || begins.swap(true, Ordering::AcqRel) {
            return;
        }
        let node = &asker.node;
        let (answer, effects) = match node.engine.serve(&payload, &asker.binding, clock::now()) {
            Served::Reply {
                payload,
                effects,
                outcome,
            } => (
                Answer::Reply {
                    framed: reply_frame(&payload),
                    outcome,
                    is_success: payload.first() == Some(&0),
                },
                effects,
            ),
            Served::Listen {
                listener,
                payload,
                effects,
            } => (
                Answer::Listen {
                    framed: reply_frame(&payload),
                    listener,
                },
                effects,
            ),
        };
        // The peer may have gone; what it asked for is done all the same.
        drop(sender.send(answer));
        node.apply(effects);
    };
    let pool = &client.node.pool;
    pool.submit(entry.class, &client.identity(), job).ok()?;
    match timeout_at(deadline, &mut receiver).await {
        Ok(answer) => answer.ok(),
        // What has not begun by now need not begin. [NODE-DEADLINE-5]
        Err(_) if !begun.swap(true, Ordering::AcqRel) => None,
        Err(_) => receiver.await.ok(),
    }
}

/// Send the only frame of an answer, and end the stream.
async fn reply(client: &Client, send: &mut SendStream, framed: Vec<u8>) {
    client.node.meters.bytes_sent.increment(framed.len() as u64);
    client.note_written(framed.len());
    client.standing.sent(framed.len());
    let _held = client.node.ledger.hold(framed.len());
    if write(send, framed, client.node.streams.write_patience())
        .await
        .is_ok()
    {
        // A stream that the peer has stopped needs no end.
        drop(send.finish());
    }
}

/// Draw conclusions from how a request ended.
fn note(client: &Client, asked: &Asked, outcome: Outcome, is_success: bool) {
    match asked.account {
        Some(account) if is_success => client.recognise(account),
        _ if asked.mode == AccessMode::Pseudonymous && !is_success => {
            client.standing.failed(asked.bytes);
        }
        _ => {}
    }
    let ending = match outcome {
        Outcome::Fine => Ending::Fine,
        Outcome::Refused => {
            client.charge(Offence::Refused);
            Ending::Refused
        }
        Outcome::Failed => Ending::Failed,
    };
    client.node.meters.request(asked.code, ending);
}
