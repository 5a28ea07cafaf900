//! Why a server cannot start. Each message says what is wrong and what to do.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a server cannot start, be configured, or be given its files.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The configuration is no TOML, or has keys or values that do not belong there.
    Configuration {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        what: String,
    },
    /// A value of the configuration is out of bounds.
    Value {
        /// Section and key.
        key: &'static str,
        /// What is wrong, and what to do.
        what: String,
    },
    /// A file cannot be read or written, or does not hold what it should.
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        what: String,
    },
    /// A file is there already and is not overwritten.
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The address to listen on cannot be used.
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// The address for metrics cannot be used.
    Metrics(String),
    /// TLS settings that do not work together.
    Tls(String),
    /// The database cannot be opened.
    Store(store::StoreError),
    /// The engine does not start.
    Engine(engine::Error),
    /// The operating system refuses threads, signals or a temporary directory.
    System(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration { path, what } => {
                write!(f, "{} is not a valid configuration: {what}", path.display())
            }
            Self::Value { key, what } => write!(f, "configuration value {key}: {what}"),
            Self::File { path, what } => write!(f, "{}: {what}", path.display()),
            Self::Exists { path } => write!(
                f,
                "{} exists already and is not overwritten; choose another directory or move it away",
                path.display()
            ),
            Self::Listen { address, error } => write!(
                f,
                "cannot listen on {address} (UDP): {error}; is another server running there?"
            ),
            Self::Metrics(what) => write!(f, "cannot serve metrics: {what}"),
            Self::Tls(what) => write!(f, "TLS settings: {what}"),
            Self::Store(error) => write!(f, "the database cannot be opened: {error}"),
            Self::Engine(error) => write!(f, "the engine does not start: {error}"),
            Self::System(error) => write!(f, "the operating system refuses: {error}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listen { error, .. } | Self::System(error) => Some(error),
            Self::Store(error) => Some(error),
            Self::Engine(error) => Some(error),
            Self::Configuration { .. }
            | Self::Value { .. }
            | Self::File { .. }
            | Self::Exists { .. }
            | Self::Metrics(_)
            | Self::Tls(_) => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl From<store::StoreError> for Error {
    fn from(error: store::StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<engine::Error> for Error {
    fn from(error: engine::Error) -> Self {
        Self::Engine(error)
    }
}
