//! One isolation context: at most one connection, opened when needed, opened again when lost.

use std::time::Duration;

use protocol::codec::decode_exact;
use protocol::crypto::signed::Binding;
use protocol::error::{ErrorCode, ErrorReply};
use tokio::sync::{Mutex, watch};
use tokio::time::{sleep, timeout};

use super::backoff::Backoff;
use super::connection::{Connection, Dialer};
use super::framing::{read_end, read_frame, write_frame};
use crate::clock::instant;
use crate::error::{Error, is_passing};

/// How long one attempt of a request may take; doubles with each.
const ATTEMPT: Duration = Duration::from_secs(8);
/// The longest that one attempt may take.
const ATTEMPT_LONGEST: Duration = Duration::from_secs(60);

/// A way to the server that shares nothing with any other context.
#[derive(Debug)]
pub(crate) struct Context {
    dialer: Dialer,
    live: Mutex<Option<Connection>>,
    losses: watch::Sender<u64>,
}

impl Context {
    /// A context without a connection; it reports lost ones to `losses`.
    pub(crate) fn new(dialer: Dialer, losses: watch::Sender<u64>) -> Self {
        Self {
            dialer,
            live: Mutex::new(None),
            losses,
        }
    }

    /// The open connection, or one that is opened now. Whoever asks meanwhile waits for it.
    ///
    /// # Errors
    /// As for [`Dialer::dial`].
    pub(crate) async fn connection(&self) -> Result<Connection, Error> {
        let mut live = self.live.lock().await;
        if let Some(connection) = live.as_ref().filter(|connection| connection.is_open()) {
            return Ok(connection.clone());
        }
        let connection = self.dialer.dial().await?;
        *live = Some(connection.clone());
        Ok(connection)
    }

    /// Close the connection, if there is one, and tell the server.
    pub(crate) async fn close(&self) {
        let live = self.live.lock().await.take();
        if let Some(connection) = live {
            connection.close_and_wait().await;
        }
    }

    /// Send a request and return the payload of its reply. While the server cannot be reached or
    /// asks to come back later, the same body is sent again, signed for the connection that it
    /// goes over, until `patience` is used up: every request of the protocol may be repeated.
    /// [SDK-RETRY-2]
    ///
    /// # Errors
    /// `Unreachable` or `Refused` when patience is used up; anything else at once.
    pub(crate) async fn exchange(
        &self,
        payload: impl Fn(&Binding) -> Vec<u8>,
        patience: Duration,
    ) -> Result<Vec<u8>, Error> {
        let give_up = instant() + patience;
        let mut backoff = Backoff::new();
        let mut attempt = ATTEMPT;
        loop {
            let left = give_up.saturating_duration_since(instant());
            let outcome = self.attempt(&payload, attempt.min(left)).await;
            let (failure, wait) = match outcome {
                Ok(reply) => match turned_away(&reply) {
                    None => return Ok(reply),
                    Some(refusal) if refusal.code == ErrorCode::Internal => {
                        (Error::Refused(refusal), backoff.after_failure())
                    }
                    Some(refusal) => (Error::Refused(refusal), Backoff::asked_for(refusal.detail)),
                },
                Err(error) if error.is_transient() => {
                    attempt = (attempt * 2).min(ATTEMPT_LONGEST);
                    (error, backoff.after_failure())
                }
                Err(error) => return Err(error),
            };
            if instant() + wait >= give_up {
                return Err(failure);
            }
            sleep(wait).await;
        }
    }

    async fn attempt(
        &self,
        payload: &impl Fn(&Binding) -> Vec<u8>,
        deadline: Duration,
    ) -> Result<Vec<u8>, Error> {
        let mut used = None;
        let exchange = async {
            let connection = used.insert(self.connection().await?);
            exchange_on(connection, &payload(&connection.binding)).await
        };
        let outcome = timeout(deadline, exchange).await;
        let outcome = outcome
            .unwrap_or_else(|_| Err(Error::Unreachable("the server does not answer".to_owned())));
        if outcome.is_err()
            && let Some(connection) = used
        {
            self.losses.send_modify(|losses| *losses += 1);
            connection.close();
        }
        outcome
    }
}

/// One frame out, one frame in, on a stream of its own.
async fn exchange_on(connection: &Connection, payload: &[u8]) -> Result<Vec<u8>, Error> {
    let opened = connection.quic.open_bi().await;
    let (mut send, mut receive) = opened.map_err(|error| Error::Unreachable(error.to_string()))?;
    write_frame(&mut send, payload).await?;
    // A stream that is already gone shows in the answer.
    drop(send.finish());
    let reply = read_frame(&mut receive).await?;
    read_end(&mut receive).await?;
    Ok(reply)
}

/// The refusal, where it only asks to come back later.
pub(crate) fn turned_away(reply: &[u8]) -> Option<ErrorReply> {
    let (1, error) = reply.split_first()? else {
        return None;
    };
    let refusal: ErrorReply = decode_exact(error).ok()?;
    is_passing(&refusal).then_some(refusal)
}
