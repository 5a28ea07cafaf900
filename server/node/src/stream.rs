//! One stream: one request in, one reply out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use engine::{Listener, Outcome, Served};
use protocol::error::{ErrorCode, ErrorReply};
use protocol::frame;
use protocol::queue::Listen;
use protocol::request::{Operation, OperationEntry, encode_reply, peek};
use quinn::{RecvStream, SendStream};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::client::Client;
use crate::clock;
use crate::close;
use crate::conduct::Offence;
use crate::frames::{FrameReader, ReadError};
use crate::hub::Subscription;
use crate::listen::Listening;
use crate::metrics::Ending;

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
    Reply { framed: Vec<u8>, outcome: Outcome },
    Listen { framed: Vec<u8>, listener: Listener },
}

/// A request that was read whole.
struct Request {
    entry: OperationEntry,
    payload: Vec<u8>,
}

/// Serve one stream. Gives what is left to do if the request was to listen.
pub(crate) async fn serve(
    client: Arc<Client>,
    mut send: SendStream,
    recv: RecvStream,
) -> Option<Listening> {
    let patience = client.node.streams.frame_patience();
    let mut reader = FrameReader::new(recv, &client.buffers, patience);
    let request = match receive(&client, &mut reader).await {
        Ok(request) => request,
        Err(refusal) => {
            refuse(&client, &mut send, reader.stream_mut(), refusal).await;
            return None;
        }
    };
    let code = request.entry.code;
    let Some(answer) = ask(&client, request).await else {
        client.node.meters.request(code, Ending::Busy);
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
        Answer::Reply { framed, outcome } => {
            reply(&client, &mut send, framed).await;
            note(&client, code, outcome);
            None
        }
        Answer::Listen { framed, listener } => {
            note(&client, code, Outcome::Fine);
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
    client
        .conduct
        .admit_request(&client.node.quotas, received.wire_bytes)
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
        payload: received.payload,
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

/// Have a worker thread serve the request; `None` if too many wait. The reply is handed over before
/// anything that the request caused is done. [NODE-EFFECT-1]
async fn ask(client: &Arc<Client>, request: Request) -> Option<Answer> {
    let (sender, receiver) = oneshot::channel();
    let Request { entry, payload } = request;
    let asker = Arc::clone(client);
    let job = move || {
        // A peer that has taken its request back gets no work done.
        if sender.is_closed() {
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
    client.node.pool.submit(entry.class, job).ok()?;
    receiver.await.ok()
}

/// Send the only frame of an answer, and end the stream.
async fn reply(client: &Client, send: &mut SendStream, framed: Vec<u8>) {
    client.node.meters.bytes_sent.increment(framed.len() as u64);
    if write(send, framed, client.node.streams.write_patience())
        .await
        .is_ok()
    {
        // A stream that the peer has stopped needs no end.
        drop(send.finish());
    }
}

fn note(client: &Client, code: u16, outcome: Outcome) {
    let ending = match outcome {
        Outcome::Fine => {
            client.conduct.prove();
            Ending::Fine
        }
        Outcome::Refused => {
            client.charge(Offence::Refused);
            Ending::Refused
        }
        Outcome::Failed => Ending::Failed,
    };
    client.node.meters.request(code, ending);
}
