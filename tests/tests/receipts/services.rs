//! The real services over a store in memory, and what a hostile operator does between them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use delivery::{Delivery, Parcel};
use engine::{Effects, Engine, EngineConfig, Outbox, Secrets, Served};
use protocol::codec::Opaque;
use protocol::crypto::credential::{IntermediateCredential, RootCredential, ServerKeys};
use protocol::crypto::delivery_credential::DeliveryCredential;
use protocol::crypto::label;
use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::signature::PrivateKey;
use protocol::crypto::signed::Binding;
use protocol::id::{Domain, Fingerprint, LinkId, Seq};
use protocol::queue::PostEntry;
use protocol::request::encode_request;
use protocol::time::{Lifetime, Timestamp};
use store::{Entropy, MemoryBackend, StorageKey, Store};
use tests::connection::Failure;
use tests::process::Server;
use tokio::sync::Notify;

use crate::policies::policies;

/// Parcels taken at a time.
const PARCELS_MAX: usize = 64;
const STORAGE_KEY: [u8; 32] = [9; 32];
/// When the domain's keys begin, so that every run and every fork has the same ones.
const BEGINNING: Timestamp = Timestamp(1_700_000_000);

struct System;

impl Entropy for System {
    fn fill(&self, out: &mut [u8]) {
        rand::fill(out);
    }
}

/// A server without its sockets.
pub(crate) struct Services {
    disk: Arc<MemoryBackend>,
    engine: Engine,
    /// A second way to the outboxes: what is taken here the engine does not find.
    delivery: Delivery,
    /// What was accepted and not delivered, once the operator holds things back.
    held: Mutex<Option<Vec<Parcel>>>,
    /// Wakes listeners.
    pub(crate) arrived: Notify,
    shipping: Mutex<()>,
}

impl Services {
    /// An empty server.
    pub(crate) fn new() -> Result<Arc<Self>, Failure> {
        Self::over(MemoryBackend::new())
    }

    /// Another server with all that this one has stored.
    pub(crate) fn fork(&self) -> Result<Arc<Self>, Failure> {
        Self::over(self.disk.after_crash())
    }

    fn over(disk: MemoryBackend) -> Result<Arc<Self>, Failure> {
        let disk = Arc::new(disk);
        let key = StorageKey::from_bytes([8; 32]);
        let store = Store::new(Arc::clone(&disk) as _, &key, Arc::new(System));
        let domain = Server::domain()?;
        let config = EngineConfig {
            domain: domain.clone(),
            policies: policies(),
            secrets: secrets(),
        };
        let engine = Engine::new(&store, config, Arc::new(System), now())?;
        Ok(Arc::new(Self {
            disk,
            engine,
            delivery: Delivery::new(store, domain, policies().delivery, delivery_keys()),
            held: Mutex::new(None),
            arrived: Notify::new(),
            shipping: Mutex::new(()),
        }))
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Answer a request, and deliver what it causes before its answer is given.
    pub(crate) fn serve(&self, payload: &[u8], binding: &Binding) -> Result<Served, Failure> {
        let mut served = self.engine.serve(payload, binding, now());
        let (Served::Reply { effects, .. } | Served::Listen { effects, .. }) = &mut served;
        let Effects { ship, .. } = std::mem::take(effects);
        for outbox in ship {
            self.ship(outbox)?;
        }
        self.arrived.notify_waiters();
        Ok(served)
    }

    fn ship(&self, outbox: Outbox) -> Result<(), Failure> {
        // One at a time for an outbox.
        let _alone = self.shipping.lock().unwrap_or_else(PoisonError::into_inner);
        let mut held = self.lock();
        let Some(held) = held.as_mut() else {
            self.engine.ship(outbox, now())?;
            return Ok(());
        };
        let parcels = self.delivery.parcels(outbox, None, PARCELS_MAX)?.parcels;
        let taken: Vec<_> = parcels.iter().map(|parcel| (parcel.key, vec![])).collect();
        self.delivery.settle(outbox, &taken, &System)?;
        held.extend(parcels);
        Ok(())
    }

    /// From here on keep what is accepted.
    pub(crate) fn hold(&self) {
        *self.lock() = Some(Vec::new());
    }

    /// What was accepted since the last time, in its order.
    pub(crate) fn held(&self) -> Vec<Parcel> {
        self.lock().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Put a parcel, of this server or another, into the queues that it is for.
    pub(crate) fn deliver(&self, parcel: &Parcel) -> Result<(), Failure> {
        for ticket in &parcel.tickets {
            let request = encode_request(&PostEntry {
                ticket: *ticket,
                link: LinkId(rand::random()),
                seq: Seq(0),
                payload: Opaque::new(parcel.payload.clone())?,
            });
            let binding = Binding {
                domain: Server::domain()?,
                exporter: [0; 32],
            };
            drop(self.serve(&request, &binding)?);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<Parcel>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// By what the domain is known to the public.
pub(crate) fn root() -> Fingerprint {
    let keys = secrets().server_keys;
    let domain: Domain = "localhost".parse().unwrap();
    keys.verify(&domain, now()).unwrap().root_fingerprint()
}

fn secrets() -> Secrets {
    let [root_key, key] = [1, 2].map(|seed| PrivateKey::from_seed(&[seed; 32]));
    let years = |years: u64| {
        let span = Duration::from_secs(years * 365 * 86_400);
        Lifetime::starting(BEGINNING, span)
    };
    let domain: Domain = "localhost".parse().unwrap();
    let root = RootCredential::new(domain, &root_key, years(40));
    let intermediate = IntermediateCredential::new(&root, &root_key, &key, years(30));
    Secrets {
        storage_key: SymmetricKey(STORAGE_KEY),
        server_keys: ServerKeys { root, intermediate },
        intermediate_key: key,
    }
}

/// As the engine derives them.
fn delivery_keys() -> delivery::Keys {
    let derive = |label| SymmetricKey(STORAGE_KEY).derive(label, &[]);
    let (secrets, signing) = (
        secrets(),
        PrivateKey::from_seed(&derive(label::DELIVERY_KEY).0),
    );
    let issuer = &secrets.server_keys.intermediate;
    delivery::Keys {
        link: derive(label::LINK_ID),
        credential: DeliveryCredential::new(issuer, &secrets.intermediate_key, &signing),
        signing,
    }
}

#[expect(clippy::disallowed_methods, reason = "clients live in the present")]
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp(since.unwrap_or_default().as_secs())
}
