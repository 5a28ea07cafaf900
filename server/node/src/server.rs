//! A server from its files to its end.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::{Engine, EngineConfig};
use protocol::id::Domain;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, ServerConfig};
use store::{Backend, Entropy, Store};
use store_rocksdb::{RocksBackend, RocksOptions};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::admission::Admission;
use crate::buffers::Account;
use crate::clock::SystemEntropy;
use crate::conduct::Quotas;
use crate::config::{Config, Files};
use crate::courier::{Courier, Planner};
use crate::hub::Hub;
use crate::keys::{self, Keys};
use crate::metrics::{self, Meters};
use crate::node::Node;
use crate::shutdown::Shutdown;
use crate::tls::TransportKeys;
use crate::worker::Pool;
use crate::{Error, clock, endpoint, tls};

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
    endpoints: Vec<Endpoint>,
    addresses: Vec<SocketAddr>,
    settings: Mutex<ServerConfig>,
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
        let settings = tls::server(crypto, &keys, &config.connections, &config.streams);
        let mut endpoints = Vec::with_capacity(config.listen.len());
        let mut addresses = Vec::with_capacity(config.listen.len());
        for address in &config.listen {
            let endpoint = endpoint::open(*address, keys.endpoint(), settings.clone())?;
            addresses.push(endpoint.local_addr()?);
            endpoints.push(endpoint);
        }
        let mut listeners = JoinSet::new();
        for endpoint in &endpoints {
            listeners.spawn(endpoint::run(Arc::clone(&node), endpoint.clone()));
        }
        let mut background = JoinSet::new();
        background.spawn(planner.run(Arc::clone(&node.pool)));
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
            endpoints,
            addresses,
            settings: Mutex::new(settings),
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
        *settings = tls::with_certificate(&settings, crypto);
        for endpoint in &self.endpoints {
            endpoint.set_server_config(Some(settings.clone()));
        }
        Ok(())
    }

    /// Take nothing more, finish what has begun within the grace period, and close. [NODE-DRAIN-1]
    pub async fn shutdown(self) {
        let Self {
            node,
            endpoints,
            mut listeners,
            mut background,
            directory,
            ..
        } = self;
        node.shutdown.begin();
        while listeners.join_next().await.is_some() {}
        background.shutdown().await;
        node.courier.stop();
        for endpoint in &endpoints {
            drop(timeout(CLOSING, endpoint.wait_idle()).await);
        }
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
    let waits = meters.worker_wait.clone();
    let observe_wait = Box::new(move |wait: Duration| waits.record(wait.as_secs_f64()));
    let pool = Pool::start(config.workers.threads, config.workers.waiting, observe_wait)?;
    let (courier, planner) = Courier::new(Arc::clone(&engine), Arc::clone(&hub));
    let node = Node {
        domain: config.domain.clone(),
        engine,
        backend,
        pool: Arc::new(pool),
        hub,
        courier,
        meters,
        quotas: Quotas::new(&config.budget),
        streams: config.streams,
        admission: Arc::new(Admission::new(config.connections)),
        frame_bytes: Arc::new(Account::new(config.streams.unfinished_bytes)),
        shutdown: Shutdown::new(),
    };
    Ok((Arc::new(node), planner))
}
