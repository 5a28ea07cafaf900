//! The way to the server: QUIC connections, one per isolation context. Spec: wire.md#transport.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use client_core::{Isolation, Outgoing};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::address::ServerAddress;
use crate::error::Error;

mod backoff;
mod connection;
mod context;
mod framing;
mod trust;

#[cfg(test)]
mod tests;

pub(crate) use backoff::Backoff;
pub(crate) use connection::{Dialer, Lifespan};
pub(crate) use context::{Context, turned_away};
pub(crate) use framing::{read_frame, write_frame};
pub(crate) use trust::{Judge, Pin};

/// Contexts that are kept; past it the one that has waited longest for use makes room.
const CONTEXTS_MAX: usize = 64;

/// All connections to one server.
#[derive(Debug)]
pub(crate) struct Transport {
    server: ServerAddress,
    judge: Judge,
    contexts: Mutex<BTreeMap<Isolation, Slot>>,
    /// Counts lost connections: whoever waits on a silent one had better look.
    losses: watch::Sender<u64>,
}

#[derive(Debug)]
struct Slot {
    context: Arc<Context>,
    /// Grows with every use.
    used: u64,
}

impl Transport {
    /// To a server whose certificate this judges.
    pub(crate) fn new(server: ServerAddress, judge: Judge) -> Self {
        Self {
            server,
            judge,
            contexts: Mutex::new(BTreeMap::new()),
            losses: watch::Sender::new(0),
        }
    }

    /// The server.
    pub(crate) fn server(&self) -> &ServerAddress {
        &self.server
    }

    /// How the server's certificate is judged.
    pub(crate) fn judge(&self) -> &Judge {
        &self.judge
    }

    /// Hears of lost connections.
    pub(crate) fn losses(&self) -> watch::Receiver<u64> {
        self.losses.subscribe()
    }

    /// Send a request over its own context and return the payload of its reply.
    ///
    /// # Errors
    /// As for [`Context::exchange`]; `OtherDomain` for a request to another server.
    pub(crate) async fn exchange(
        &self,
        request: &Outgoing,
        patience: Duration,
    ) -> Result<Vec<u8>, Error> {
        let context = self.context(request)?;
        let sign = |binding: &_| request.payload(binding);
        context.exchange(sign, patience).await
    }

    /// The context that may carry a request.
    ///
    /// # Errors
    /// `OtherDomain` for a request to another server.
    pub(crate) fn context(&self, request: &Outgoing) -> Result<Arc<Context>, Error> {
        if request.domain() != self.server.domain() {
            return Err(Error::OtherDomain(request.domain().to_string()));
        }
        let isolation = request.isolation();
        let mut contexts = self.contexts.lock().unwrap_or_else(PoisonError::into_inner);
        let used = contexts.values().map(|slot| slot.used).max().unwrap_or(0) + 1;
        if let Some(slot) = contexts.get_mut(&isolation) {
            slot.used = used;
            return Ok(Arc::clone(&slot.context));
        }
        if contexts.len() >= CONTEXTS_MAX {
            let oldest = contexts.iter().min_by_key(|(_, slot)| slot.used);
            if let Some(oldest) = oldest.map(|(isolation, _)| *isolation) {
                contexts.remove(&oldest);
            }
        }
        let lifespan = match isolation {
            Isolation::Queue => Lifespan::KeptAlive,
            Isolation::Account
            | Isolation::Anonymous
            | Isolation::Username(_)
            | Isolation::Group(_) => Lifespan::UntilIdle,
        };
        let dialer = Dialer::new(self.server.clone(), self.judge.clone(), lifespan)?;
        let context = Arc::new(Context::new(dialer, self.losses.clone()));
        let slot = Slot {
            context: Arc::clone(&context),
            used,
        };
        contexts.insert(isolation, slot);
        Ok(context)
    }

    /// Close every connection and tell the server.
    pub(crate) async fn close(&self) {
        let contexts = {
            let mut contexts = self.contexts.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *contexts)
        };
        let mut closing = JoinSet::new();
        for slot in contexts.into_values() {
            closing.spawn(async move { slot.context.close().await });
        }
        closing.join_all().await;
    }
}
