//! A server from its files to its end.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::{Engine, EngineConfig};
use protocol::id::Domain;
use quinn::crypto::rustls::QuicServerConfig;
use store::{Backend, Entropy, Store};
use store_rocksdb::{RocksBackend, RocksOptions};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::accounts::Accounts;
use crate::admission::Admission;
use crate::buffers::Account;
use crate::clock::{Stopwatch, SystemEntropy};
use crate::conduct::Quotas;
use crate::config::{Config, Files};
use crate::courier::{Courier, Planner};
use crate::cpu::Use;
use crate::gate::Gate;
use crate::hub::Hub;
use crate::keys::{self, Keys};
use crate::ledger::Ledger;
use crate::listener::{Listener, Plan};
use crate::metrics::{self, Meters};
use crate::node::Node;
use crate::quic::{Settings, TransportKeys};
use crate::shutdown::Shutdown;
use crate::supervisor::{self, Supervisor};
use crate::worker::Pool;
use crate::{Error, clock, endpoint, sweep, tls};

/// How long closing the sockets may take: the last packets are sent a few times.
const CLOSING: Duration = Duration::from_secs(1);

/// What a server is started with.
#[derive(Debug)]
pub struct Options {
    /// What the operator decided.
    pub config: Config,
    /// A directory that lives as long as the server.
    directory: Option<TempDir>,
}

impl Options {
    /// A server by its configuration file.
    #[must_use]
    pub const fn new(config: Config) -> Self {
        Self {
            config,
            directory: None,
        }
    }

    /// A server for trying and for tests, that makes its own keys and certificate. Everything is in
    /// `directory` and stays there, or in a temporary one that goes with the server.
    ///
    /// # Errors
    /// The directory cannot be made or written, or holds what is no server's.
    pub fn dev(
        domain: Domain,
        listen: Vec<SocketAddr>,
        directory: Option<&Path>,
    ) -> Result<Self, Error> {
        let (files, temporary) = match directory {
            Some(directory) => {
                keys::create_directory(directory)?;
                (Files::inside(directory), None)
            }
            None => {
                let temporary = TempDir::with_prefix("hearthd-")?;
                (Files::inside(temporary.path()), Some(temporary))
            }
        };
        if !files.server_keys.exists() {
            keys::create(&files, &domain, clock::now())?;
        }
        if !files.tls_certificate.exists() {
            keys::create_certificate(&files, &domain)?;
        }
        Ok(Self {
            config: Config::new(domain, listen, files).for_development(),
            directory: temporary,
        })
    }
}

/// A running server. Dropping it ends everything at once, as a crash would; see [`Self::shutdown`].
pub struct Server {
    node: Arc<Node>,
    listening: Vec<Listener>,
    addresses: Vec<SocketAddr>,
    settings: Mutex<Settings>,
    /// Closed when no socket is left.
    sockets: mpsc::Receiver<()>,
    files: Files,
    listeners: JoinSet<()>,
    background: JoinSet<()>,
    directory: Option<TempDir>,
}

/// What is opened before any socket.
struct Opened {
    keys: TransportKeys,
    engine: Engine,
    backend: Arc<dyn Backend>,
    crypto: Arc<QuicServerConfig>,
}

impl Server {
    /// Open the store and the sockets, and serve. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The operator's fault: files, addresses or values that cannot be used.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let Options { config, directory } = options;
        let config = Arc::new(config);
        let opened = {
            let config = Arc::clone(&config);
            tokio::task::spawn_blocking(move || open(&config)).await
        };
        let Opened {
            keys,
            engine,
            backend,
            crypto,
        } = opened.map_err(|error| Error::System(error.into()))??;
        let (meters, exporter) = Meters::new(config.metrics)?;
        let (node, planner) = assemble(&config, engine, backend, meters)?;
        let gate = Arc::new(Gate::new(&config, &keys, node.meters.transport.clone()));
        let settings = Settings::new(crypto, &keys, &config);
        let (alive, sockets) = mpsc::channel(1);
        let plan = Plan {
            transport: &config.transport,
            keys: &keys,
            settings: &settings,
            gate: &gate,
            alive: &alive,
        };
        let listening = config.listen.iter().map(|address| plan.listen(*address));
        let listening = listening.collect::<Result<Vec<_>, _>>()?;
        let mut listeners = JoinSet::new();
        for endpoint in listening.iter().flat_map(|listener| &listener.endpoints) {
            let (node, gate) = (Arc::clone(&node), Arc::clone(&gate));
            listeners.spawn(endpoint::run(node, gate, endpoint.clone()));
        }
        let mut background = JoinSet::new();
        background.spawn(planner.run(Arc::clone(&node.pool)));
        background.spawn(sweep::run(Arc::clone(&node)));
        background.spawn(supervisor::run(Arc::clone(&node)));
        background.spawn(async move { gate.lag.watch(&gate.meters.lag).await });
        if let Some(exporter) = exporter {
            background.spawn(metrics::sample(Arc::clone(&node)));
            background.spawn(async move {
                if exporter.await.is_err() {
                    tracing::error!("metrics are no longer served");
                }
            });
        }
        Ok(Self {
            node,
            addresses: listening.iter().map(|listener| listener.address).collect(),
            listening,
            settings: Mutex::new(settings),
            sockets,
            files: config.files.clone(),
            listeners,
            background,
            directory,
        })
    }

    /// The addresses that the server listens on, at least one, with their real ports.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The first address that the server listens on, with its real port.
    ///
    /// # Errors
    /// The server was configured to listen nowhere.
    pub fn local_addr(&self) -> Result<SocketAddr, Error> {
        let what = || "name at least one address".to_owned();
        self.addresses.first().copied().ok_or_else(|| Error::Value {
            key: "listen",
            what: what(),
        })
    }

    /// The domain that is served.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.node.domain
    }

    /// The certificate chain that is served, PEM.
    #[must_use]
    pub fn certificate(&self) -> &Path {
        &self.files.tls_certificate
    }

    /// Read the certificate again, for connections from now on. [NODE-RELOAD-1]
    ///
    /// # Errors
    /// The files are not usable; the server goes on with those it has.
    pub fn reload_certificate(&self) -> Result<(), Error> {
        let crypto = tls::load(&self.files.tls_certificate, &self.files.tls_key)?;
        let mut settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        settings.set_certificate(crypto);
        for endpoint in self
            .listening
            .iter()
            .flat_map(|listener| &listener.endpoints)
        {
            endpoint.set_server_config(Some(settings.workers()));
        }
        Ok(())
    }

    /// Take nothing more, finish what has begun within the grace period, and close. [NODE-DRAIN-1]
    pub async fn shutdown(self) {
        let Self {
            node,
            listening,
            mut sockets,
            mut listeners,
            mut background,
            directory,
            ..
        } = self;
        node.shutdown.begin();
        node.hub.wake_all();
        while listeners.join_next().await.is_some() {}
        background.shutdown().await;
        node.courier.stop();
        for endpoint in listening.iter().flat_map(|listener| &listener.endpoints) {
            drop(timeout(CLOSING, endpoint.wait_idle()).await);
        }
        // Another server may have the address at once.
        drop(listening);
        drop(timeout(CLOSING, sockets.recv()).await);
        let closed = tokio::task::spawn_blocking(move || {
            node.pool.close();
            drop(node);
            drop(directory);
        });
        if closed.await.is_err() {
            tracing::error!("the store was not closed cleanly");
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

/// Read the keys and open the store. Blocks.
fn open(config: &Config) -> Result<Opened, Error> {
    let keys = Keys::load(&config.files, &config.domain, clock::now())?;
    let crypto = tls::load(&config.files.tls_certificate, &config.files.tls_key)?;
    keys::create_directory(&config.files.database)?;
    let options = RocksOptions {
        block_cache_bytes: config.database.cache_mib << 20,
        write_buffer_bytes: config.database.write_buffer_mib << 20,
        ..RocksOptions::default()
    };
    let backend = RocksBackend::open(&config.files.database, &engine::spaces(), options)?;
    let backend: Arc<dyn Backend> = Arc::new(backend);
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let store = Store::new(Arc::clone(&backend), &keys.storage, Arc::clone(&entropy));
    let engine = EngineConfig {
        domain: config.domain.clone(),
        policies: config.policies(),
        secrets: keys.secrets,
    };
    let engine = Engine::new(&store, engine, entropy, clock::now())?;
    Ok(Opened {
        keys: keys.transport,
        engine,
        backend,
        crypto,
    })
}

fn assemble(
    config: &Config,
    engine: Engine,
    backend: Arc<dyn Backend>,
    meters: Meters,
) -> Result<(Arc<Node>, Planner), Error> {
    let engine = Arc::new(engine);
    let hub = Arc::new(Hub::default());
    let (watch, used) = (Stopwatch::start(), Arc::new(Use::new()));
    let pool = Pool::start(
        config.workers,
        Arc::clone(&used),
        watch,
        meters.work.clone(),
    )?;
    let frame_bytes = Arc::new(Account::new(config.streams.unfinished_bytes));
    let ledger = Arc::new(Ledger::new(&config.memory, Arc::clone(&frame_bytes)));
    let admission = Admission::new(
        config.connections,
        &config.handshakes,
        Arc::clone(&ledger),
        Arc::clone(&used),
        watch,
    );
    let (courier, planner) = Courier::new(Arc::clone(&engine), Arc::clone(&hub));
    let node = Node {
        domain: config.domain.clone(),
        engine,
        backend,
        pool: Arc::new(pool),
        hub,
        courier,
        tally: meters.tally.clone(),
        meters,
        watch,
        quotas: Quotas::new(&config.budget),
        streams: config.streams,
        strangers: config.strangers,
        first_windows: (
            config.transport.first_receive_window,
            config.transport.first_send_window,
        ),
        watch_limits: config.watch,
        admission: Arc::new(admission),
        accounts: Arc::new(Accounts::new(config.connections.per_identity)),
        supervisor: Arc::new(Supervisor::default()),
        ledger,
        used,
        frame_bytes,
        shutdown: Shutdown::new(),
    };
    Ok((Arc::new(node), planner))
}
