//! What all connections of a server share.

use std::sync::Arc;

use engine::{Effects, Engine};
use protocol::id::Domain;
use store::Backend;

use crate::admission::Admission;
use crate::buffers::Account;
use crate::conduct::Quotas;
use crate::config::Streams;
use crate::courier::Courier;
use crate::hub::Hub;
use crate::metrics::Meters;
use crate::shutdown::Shutdown;
use crate::worker::Pool;

/// A running server, without its sockets.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) domain: Domain,
    pub(crate) engine: Arc<Engine>,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) courier: Arc<Courier>,
    pub(crate) meters: Meters,
    pub(crate) quotas: Quotas,
    pub(crate) streams: Streams,
    pub(crate) admission: Arc<Admission>,
    pub(crate) frame_bytes: Arc<Account>,
    pub(crate) shutdown: Shutdown,
}

impl Node {
    /// Do what a request caused, on the thread that served it and after its reply was handed over.
    /// All of it may be lost. [NODE-EFFECT-1]
    pub(crate) fn apply(&self, effects: Effects) {
        effects.wake.iter().for_each(|queue| self.hub.wake(queue));
        effects
            .stock_low
            .iter()
            .for_each(|queue| self.hub.stock_low(queue));
        effects
            .ship
            .into_iter()
            .for_each(|outbox| self.courier.ship(outbox));
    }
}
