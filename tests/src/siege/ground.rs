//! The besieged server: its defaults, but for what an attack is about.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rustls::ClientConfig;
use toml::Value;

use super::metrics::Metrics;
use crate::clock::now;
use crate::configuration;
use crate::connection::{Failure, tls};
use crate::process::Server;

/// One value of the server's configuration that differs from the default.
#[derive(Clone, Debug)]
pub struct Setting {
    section: &'static str,
    key: &'static str,
    value: Value,
}

/// Set `key` in `section`.
pub fn setting(section: &'static str, key: &'static str, value: impl Into<Value>) -> Setting {
    Setting {
        section,
        key,
        value: value.into(),
    }
}

/// Have the server listen on IPv6 loopback as well, on the same port.
#[must_use]
pub fn on_ipv6() -> Setting {
    setting("", LISTEN_IPV6, true)
}

/// The setting of that, which is no section's.
const LISTEN_IPV6: &str = "ipv6";

/// Processor time of the server's from a moment on.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    since: Instant,
    cpu_ms: f64,
}

/// A server and what attackers need to know of it.
#[derive(Debug)]
pub struct Ground {
    /// The server.
    pub server: Server,
    /// TLS that trusts it.
    pub tls: Arc<ClientConfig>,
    metrics: SocketAddr,
}

impl Ground {
    /// Start a server with its default limits and these changes.
    ///
    /// # Errors
    /// It does not start.
    pub fn new(program: &Path, scratch: &Path, settings: &[Setting]) -> Result<Self, Failure> {
        let metrics = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let server = Server::start_with(program, scratch, |directory, address| {
            let mut config = configuration::init(program, directory, address)?;
            config.insert("metrics".to_owned(), metrics.to_string().into());
            for Setting {
                section,
                key,
                value,
            } in settings
            {
                if *key == LISTEN_IPV6 {
                    let second = SocketAddr::from((Ipv6Addr::LOCALHOST, address.port()));
                    let both = [address, second].map(|address| address.to_string().into());
                    config.insert("listen".to_owned(), Value::Array(both.to_vec()));
                    continue;
                }
                configuration::set(&mut config, section, key, value.clone())?;
            }
            fs::write(configuration::path(directory), config.to_string())?;
            Ok(())
        })?;
        Ok(Self {
            tls: Arc::new(tls(server.certificate()?)?),
            server,
            metrics,
        })
    }

    /// Begin to look at the server's processor time.
    ///
    /// # Errors
    /// It has ended.
    pub fn effort(&self) -> Result<Effort, Failure> {
        Ok(Effort {
            since: now(),
            cpu_ms: self.server.usage()?.cpu_ms,
        })
    }

    /// How many processors it has kept busy since.
    ///
    /// # Errors
    /// It has ended.
    pub fn processors(&self, effort: &Effort) -> Result<f64, Failure> {
        let used = self.server.usage()?.cpu_ms - effort.cpu_ms;
        Ok(used / 1_000.0 / effort.since.elapsed().as_secs_f64())
    }

    /// What the server has counted.
    ///
    /// # Errors
    /// It does not answer.
    pub fn metrics(&self) -> Result<Metrics, Failure> {
        Metrics::fetch(self.metrics)
    }
}
