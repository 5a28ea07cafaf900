//! The listen stream: reads the queue, acknowledges what is stored, comes back by itself.

use std::sync::Arc;
use std::time::Duration;

use client_core::Outgoing;
use quinn::{RecvStream, SendStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::client::{Client, Listening};
use crate::clock::now;
use crate::error::Error;
use crate::transport::{Backoff, read_frame, turned_away, write_frame};

/// How long the server may take to open the stream.
const OPENING: Duration = Duration::from_secs(15);

/// What ended a stream without a fault.
enum Pause {
    /// The server asked to come back later.
    GoAway(Duration),
    /// The queue does not exist yet.
    NoQueue,
    /// Somebody wants to be caught up with what is in the queue by now.
    Asked,
    /// Another connection was lost: this one is probably dead too and does not know.
    Suspect,
}

/// Listen, once somebody wants it, until the client stops.
pub(crate) async fn keep_listening(client: Arc<Client>) {
    tokio::select! {
        () = client.stopped() => {}
        () = listen_for_ever(&client) => {}
    }
}

async fn listen_for_ever(client: &Arc<Client>) {
    let mut wanted = client.listening.subscribe();
    if wanted.wait_for(|listening| listening.wanted).await.is_err() {
        return;
    }
    let mut backoff = Backoff::new();
    loop {
        let mut changes = client.changes();
        let ended = listen_once(client, &mut backoff).await;
        let failure = ended.as_ref().err().cloned();
        client.listening.send_modify(|listening| {
            listening.failure = failure;
        });
        match ended {
            Ok(Pause::NoQueue) => {
                drop(changes.changed().await);
            }
            Ok(Pause::Asked) => {}
            Ok(Pause::GoAway(pause)) => sleep(pause.max(backoff.after_failure())).await,
            Ok(Pause::Suspect) => sleep(backoff.after_failure()).await,
            Err(Error::Closed) => return,
            Err(Error::Refused(refusal)) => sleep(Backoff::asked_for(refusal.detail)).await,
            Err(error) => {
                tracing::debug!(%error, "the listen stream ended");
                sleep(backoff.after_failure()).await;
            }
        }
    }
}

/// One stream from its opening to its end.
async fn listen_once(client: &Arc<Client>, backoff: &mut Backoff) -> Result<Pause, Error> {
    let mut losses = client.transport.losses();
    let mut listening = client.listening.subscribe();
    let asked = listening.borrow_and_update().asked;
    let Some(request) = client.core(|core| core.listen()).await? else {
        return Ok(Pause::NoQueue);
    };
    let opened = timeout(OPENING, open(client, &request)).await;
    let opened =
        opened.unwrap_or_else(|_| Err(Error::Unreachable("the server does not answer".to_owned())));
    let (mut send, mut receive) = match opened {
        Ok(streams) => streams,
        Err(error) => {
            client.transport.context(&request)?.close().await;
            return Err(error);
        }
    };
    tracing::debug!("listening");
    loop {
        let payload = tokio::select! {
            payload = read_frame(&mut receive) => payload?,
            Ok(()) = losses.changed() => return Ok(suspect(client, &request).await),
            () = asked_again(&mut listening, asked) => return Ok(Pause::Asked),
        };
        *backoff = Backoff::new();
        let received = client
            .core(move |core| core.receive(&payload, now()))
            .await?;
        if let Some(ack) = received.ack {
            write_frame(&mut send, &ack).await?;
        }
        if received.caught_up {
            client.listening.send_modify(|listening| {
                listening.reached = asked;
                listening.failure = None;
            });
        }
        client.changed();
        client.wake.notify_one();
        if let Some(pause) = received.go_away {
            client.transport.context(&request)?.close().await;
            return Ok(Pause::GoAway(pause));
        }
    }
}

/// Wait until somebody asks to be caught up after the `asked`-th time.
async fn asked_again(listening: &mut watch::Receiver<Listening>, asked: u64) {
    // It fails when the client is gone, and then nobody polls this any more.
    drop(
        listening
            .wait_for(|listening| listening.asked > asked)
            .await,
    );
}

/// Open the stream and take the first frame of the answer.
async fn open(client: &Arc<Client>, request: &Outgoing) -> Result<(SendStream, RecvStream), Error> {
    let connection = client.transport.context(request)?.connection().await?;
    let opened = connection.quic.open_bi().await;
    let (mut send, mut receive) = opened.map_err(|error| Error::Unreachable(error.to_string()))?;
    write_frame(&mut send, &request.payload(&connection.binding)).await?;
    let reply = read_frame(&mut receive).await?;
    if let Some(refusal) = turned_away(&reply) {
        return Err(Error::Refused(refusal));
    }
    client.store_pin().await?;
    client.core(move |core| core.listening(&reply)).await?;
    Ok((send, receive))
}

/// Give the connection up.
async fn suspect(client: &Arc<Client>, request: &Outgoing) -> Pause {
    if let Ok(context) = client.transport.context(request) {
        context.close().await;
    }
    Pause::Suspect
}

/// Wait until everything that is in the queue now has been received. Only a stream that is opened
/// from now on can say so: one that is open has said it about an earlier moment. [SDK-SYNC-1]
///
/// # Errors
/// Why the stream does not come to it, once that is known to be more than a passing fault, or
/// after `patience`.
pub(crate) async fn caught_up(client: &Arc<Client>, patience: Duration) -> Result<(), Error> {
    let mut listening = client.listening.subscribe();
    client.listen();
    let mut asked = 0;
    client.listening.send_modify(|listening| {
        listening.asked += 1;
        asked = listening.asked;
    });
    let settled = listening.wait_for(|listening| {
        let failed = listening.failure.as_ref();
        listening.reached >= asked || failed.is_some_and(|error| !error.is_transient())
    });
    let settled = timeout(patience, settled).await;
    let last = client.listening.borrow().clone();
    match (settled, last.failure) {
        (Ok(Ok(_)), None) => Ok(()),
        (Ok(Err(_)), _) => Err(Error::Closed),
        (_, Some(error)) => Err(error),
        (Err(_), None) => Err(Error::Unreachable(
            "the queue takes long to read".to_owned(),
        )),
    }
}
