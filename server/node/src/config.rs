//! The configuration file: its schema is the one place that decides defaults. An unknown key is an
//! error. [NODE-CONFIG-1]

mod check;
mod policy;
mod protection;
mod transport;

use std::fs;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::id::Domain;
use serde::{Deserialize, Deserializer};

use crate::Error;

pub use policy::{Accounts, Groups, Queues, Work};
pub use protection::{Handshakes, Memory, Strangers, Watch};
pub use transport::{FrontDoor, Transport};

/// Everything that an operator decides.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The domain that is served.
    #[serde(deserialize_with = "domain")]
    pub domain: Domain,
    /// Addresses (UDP) to listen on. Port 0 takes any free port.
    pub listen: Vec<SocketAddr>,
    /// Where metrics and health are served over HTTP; nowhere if it is missing.
    pub metrics: Option<SocketAddr>,
    /// Files and directories.
    pub files: Files,
    /// Which connections may begin.
    #[serde(default)]
    pub connections: Connections,
    /// How many handshakes peers may make.
    #[serde(default)]
    pub handshakes: Handshakes,
    /// What connections may do that have not shown whose they are.
    #[serde(default)]
    pub strangers: Strangers,
    /// How datagrams reach connections.
    #[serde(default)]
    pub transport: Transport,
    /// What a connection's streams may take.
    #[serde(default)]
    pub streams: Streams,
    /// What a connection may do.
    #[serde(default)]
    pub budget: Budget,
    /// What the supervisor of connections lets pass.
    #[serde(default)]
    pub watch: Watch,
    /// Memory that peers may hold.
    #[serde(default)]
    pub memory: Memory,
    /// The threads that serve requests.
    #[serde(default)]
    pub workers: Workers,
    /// Memory of the database.
    #[serde(default)]
    pub database: Database,
    /// Policy of the authentication service.
    #[serde(default)]
    pub accounts: Accounts,
    /// Policy of the delivery service.
    #[serde(default)]
    pub groups: Groups,
    /// Policy of the queueing service.
    #[serde(default)]
    pub queues: Queues,
}

/// Files and directories. Relative paths begin where the configuration file is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// Directory of the database.
    pub database: PathBuf,
    /// The storage key.
    pub storage_key: PathBuf,
    /// The seed of the intermediate's key.
    pub intermediate_key: PathBuf,
    /// The domain's credentials.
    pub server_keys: PathBuf,
    /// The certificate chain, PEM.
    pub tls_certificate: PathBuf,
    /// Its private key, PEM.
    pub tls_key: PathBuf,
}

/// When a peer must show that it receives at its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Retry {
    /// Before each first handshake.
    Always,
    /// Once many handshakes are in progress.
    Adaptive,
    /// Never.
    Never,
}

/// Which connections may begin, and how long they stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Connections {
    /// Connections and handshakes in all.
    pub total: usize,
    /// Connections from one IPv4 address or IPv6 /64 that have not shown whose they are.
    pub per_address: u32,
    /// Such connections from one IPv4 /24 or IPv6 /48.
    pub per_network: u32,
    /// Connections of one pseudonym; the oldest goes when there is one more.
    pub per_identity: usize,
    /// Handshakes in progress on one shard.
    pub handshakes: usize,
    /// When addresses are validated before the handshake.
    pub retry: Retry,
    /// Handshakes in progress from which on `adaptive` validates.
    pub retry_threshold: usize,
    /// Seconds of silence after which a connection is gone.
    pub idle_seconds: u32,
}

/// What a connection's streams may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Streams {
    /// Streams open at a time on a connection that has shown whose it is. The transport has a row for
    /// each that may be, in two tables that double with the fifteenth.
    pub concurrent: u32,
    /// Milliseconds for a handshake.
    pub handshake_millis: u64,
    /// The same for one that begins while half of the places for handshakes are taken.
    pub crowded_handshake_millis: u64,
    /// Milliseconds until a connection must have shown whose it is.
    pub first_request_millis: u64,
    /// Milliseconds for a frame to arrive whole, and for a request to be answered.
    pub frame_millis: u64,
    /// Bytes per second at which a frame must arrive once two seconds have passed.
    pub frame_bytes_per_second: u32,
    /// Milliseconds for a peer to take a frame.
    pub write_millis: u64,
    /// Milliseconds for requests to finish when the server stops.
    pub grace_millis: u64,
    /// Bytes of unfinished frames on one connection.
    pub unfinished_bytes_per_connection: usize,
    /// Bytes of unfinished frames in all.
    pub unfinished_bytes: usize,
    /// Bytes that a peer may send ahead on one stream.
    pub receive_window: u32,
    /// Bytes that a peer may send ahead on one connection.
    pub connection_receive_window: u32,
    /// Bytes kept for a peer that has not confirmed them.
    pub send_window: u32,
}

/// What a connection may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// Requests per second in the long run.
    pub requests_per_second: u64,
    /// Requests at once.
    pub requests_burst: u64,
    /// Bytes of requests per second in the long run.
    pub bytes_per_second: u64,
    /// Bytes of requests at once.
    pub bytes_burst: u64,
    /// Points for mistakes in ten minutes: a bad frame or request takes 10, a refused request 4,
    /// one too fast or taken back 1.
    pub misbehaviour: u32,
}

/// The threads that serve requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Workers {
    /// Threads. They wait for the disk most of the time, and what waits is written together.
    pub threads: NonZeroUsize,
    /// Requests of one class that may wait for a thread.
    pub waiting: usize,
    /// Whether requests take turns by who has had how much, rather than as they come.
    pub fair: bool,
    /// Milliseconds that requests of who had more than a share wait before they are turned away.
    pub shed_millis: u64,
}

/// Memory of the database, in MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// For what is read from the disk.
    pub cache_mib: usize,
    /// For what is not yet in a sorted file.
    pub write_buffer_mib: usize,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            total: 20_000,
            per_address: 32,
            per_network: 1_024,
            per_identity: 8,
            handshakes: 256,
            retry: Retry::Always,
            retry_threshold: 100,
            idle_seconds: 90,
        }
    }
}

impl Default for Streams {
    fn default() -> Self {
        Self {
            concurrent: 14,
            handshake_millis: 5_000,
            crowded_handshake_millis: 2_000,
            first_request_millis: 10_000,
            frame_millis: 10_000,
            frame_bytes_per_second: 1_024,
            write_millis: 60_000,
            grace_millis: 10_000,
            unfinished_bytes_per_connection: 4 << 20,
            unfinished_bytes: 256 << 20,
            receive_window: 64 << 10,
            connection_receive_window: 256 << 10,
            send_window: 256 << 10,
        }
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            requests_per_second: 50,
            requests_burst: 200,
            bytes_per_second: 512 << 10,
            bytes_burst: 4 << 20,
            misbehaviour: 100,
        }
    }
}

impl Default for Workers {
    fn default() -> Self {
        let threads = const { NonZeroUsize::new(32).unwrap() };
        Self {
            threads,
            waiting: 2_048,
            fair: true,
            shed_millis: 250,
        }
    }
}

impl Default for Database {
    fn default() -> Self {
        Self {
            cache_mib: 64,
            write_buffer_mib: 64,
        }
    }
}

impl Config {
    /// Defaults for everything but where things are.
    #[must_use]
    pub fn new(domain: Domain, listen: Vec<SocketAddr>, files: Files) -> Self {
        Self {
            domain,
            listen,
            metrics: None,
            files,
            connections: Connections::default(),
            handshakes: Handshakes::default(),
            strangers: Strangers::default(),
            transport: Transport::default(),
            streams: Streams::default(),
            budget: Budget::default(),
            watch: Watch::default(),
            memory: Memory::default(),
            workers: Workers::default(),
            database: Database::default(),
            accounts: Accounts::default(),
            groups: Groups::default(),
            queues: Queues::default(),
        }
    }

    /// Read and check a file.
    ///
    /// # Errors
    /// The operator's fault: no such file, no TOML, an unknown key, a value out of bounds.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path).map_err(|error| Error::File {
            path: path.to_owned(),
            what: format!("cannot be read: {error}; hearthd init writes one"),
        })?;
        let mut config: Self = toml::from_str(&text).map_err(|error| Error::Configuration {
            path: path.to_owned(),
            what: error.to_string(),
        })?;
        let directory = path.parent().unwrap_or_else(|| Path::new("."));
        config.files = config.files.within(directory);
        config.check()?;
        Ok(config)
    }
}

impl Files {
    /// The same files, relative paths beginning in `directory`.
    fn within(self, directory: &Path) -> Self {
        let from = |path: PathBuf| directory.join(path);
        Self {
            database: from(self.database),
            storage_key: from(self.storage_key),
            intermediate_key: from(self.intermediate_key),
            server_keys: from(self.server_keys),
            tls_certificate: from(self.tls_certificate),
            tls_key: from(self.tls_key),
        }
    }
}

impl Workers {
    pub(crate) fn shed_patience(&self) -> Duration {
        Duration::from_millis(self.shed_millis)
    }
}

impl Streams {
    pub(crate) fn handshake_patience(&self, is_crowded: bool) -> Duration {
        Duration::from_millis(if is_crowded {
            self.crowded_handshake_millis
        } else {
            self.handshake_millis
        })
    }

    pub(crate) fn first_request_patience(&self) -> Duration {
        Duration::from_millis(self.first_request_millis)
    }

    pub(crate) fn frame_patience(&self) -> Duration {
        Duration::from_millis(self.frame_millis)
    }

    pub(crate) fn write_patience(&self) -> Duration {
        Duration::from_millis(self.write_millis)
    }

    pub(crate) fn grace(&self) -> Duration {
        Duration::from_millis(self.grace_millis)
    }

    /// For last replies to arrive before the connection is closed.
    pub(crate) fn linger(&self) -> Duration {
        Duration::from_millis(self.grace_millis.min(300))
    }
}

fn domain<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Domain, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|error| {
        serde::de::Error::custom(format!("{error}: a domain is lower-case, as example.org"))
    })
}

#[cfg(test)]
mod tests;
