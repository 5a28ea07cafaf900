//! All that listens on one address: a worker for each shard, and the front door.

use std::net::SocketAddr;
use std::num::NonZeroU8;
use std::sync::Arc;

use quinn::{Endpoint, TokioRuntime};
use tokio::sync::mpsc;

use crate::Error;
use crate::config::Transport;
use crate::front_door::{Doorman, FrontDoor};
use crate::gate::Gate;
use crate::quic::cid::{Kind, Place, Shard};
use crate::quic::{Settings, TransportKeys};
use crate::socket::Sockets;
use crate::socket::inbox::Inbox;
use crate::socket::shim::Shim;

/// What listens on one address.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    /// One for each shard.
    pub(crate) endpoints: Vec<Endpoint>,
    /// Closed after the endpoints.
    pub(crate) _door: Option<FrontDoor>,
}

/// What all listeners of a server are made with.
pub(crate) struct Plan<'a> {
    pub(crate) transport: &'a Transport,
    pub(crate) keys: &'a TransportKeys,
    pub(crate) settings: &'a Settings,
    pub(crate) gate: &'a Arc<Gate>,
    /// Every socket holds a clone.
    pub(crate) alive: &'a mpsc::Sender<()>,
}

impl Plan<'_> {
    /// Listen on an address. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The address cannot be used.
    pub(crate) fn listen(&self, address: SocketAddr) -> Result<Listener, Error> {
        let Sockets { workers, door } = Sockets::open(address, self.transport)?;
        let count = u8::try_from(workers.len()).ok().and_then(NonZeroU8::new);
        let count = count.unwrap_or(NonZeroU8::MIN);
        let mut endpoints = Vec::with_capacity(workers.len());
        let mut inboxes = Vec::with_capacity(workers.len());
        for (index, worker) in (0_u8..).zip(workers) {
            let inbox = Arc::new(Inbox::new(self.transport.front_door_queue));
            inboxes.push(Arc::clone(&inbox));
            let gate = Arc::clone(self.gate);
            let alive = self.alive.clone();
            let shim = Shim::new(worker, inbox, (self.transport, door.is_some()), gate, alive)?;
            let place = Place::One(Shard::new(index, count));
            endpoints.push(Endpoint::new_with_abstract_socket(
                self.keys.endpoint(Kind::Connection, place),
                Some(self.settings.workers()),
                Arc::new(shim),
                Arc::new(TokioRuntime),
            )?);
        }
        let bound = endpoints.first().map(Endpoint::local_addr).transpose()?;
        let open = |socket| {
            let (settings, gate) = (self.settings.door(), Arc::clone(self.gate));
            let doorman = Doorman::new(
                settings,
                self.keys,
                self.transport,
                inboxes,
                Arc::clone(&gate),
            );
            FrontDoor::open(socket, doorman, self.transport.front_door_nice, gate)
        };
        Ok(Listener {
            address: bound.unwrap_or(address),
            _door: door.map(open).transpose()?,
            endpoints,
        })
    }
}
