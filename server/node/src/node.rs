//! What all connections of a server share.

use std::sync::Arc;

use engine::{Effects, Engine};
use protocol::id::Domain;
use store::Backend;

use crate::accounts::Accounts;
use crate::admission::Admission;
use crate::buffers::Account;
use crate::clock::Stopwatch;
use crate::conduct::Quotas;
use crate::config::{Strangers, Streams, Watch};
use crate::courier::Courier;
use crate::cpu::Use;
use crate::hub::Hub;
use crate::ledger::Ledger;
use crate::metrics::Meters;
use crate::shutdown::Shutdown;
use crate::supervisor::Supervisor;
use crate::tally::Tally;
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
    pub(crate) tally: Tally,
    pub(crate) watch: Stopwatch,
    pub(crate) quotas: Quotas,
    pub(crate) streams: Streams,
    pub(crate) strangers: Strangers,
    /// Bytes of windows before a connection has shown whose it is: to receive, to send.
    pub(crate) first_windows: (u32, u32),
    pub(crate) watch_limits: Watch,
    pub(crate) admission: Arc<Admission>,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) supervisor: Arc<Supervisor>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) used: Arc<Use>,
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
