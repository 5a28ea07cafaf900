//! What the server counts, read from its metrics endpoint.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::connection::Failure;

/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The server's counters at one moment.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    text: String,
}

impl Metrics {
    /// Ask for them.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn fetch(address: SocketAddr) -> Result<Self, Failure> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(Self { text })
    }

    /// The sum over all labels of what has this name; zero if nothing was counted yet.
    #[must_use]
    pub fn sum(&self, name: &str) -> f64 {
        self.values(name, "").sum()
    }

    /// The same of the lines that contain `label`.
    #[must_use]
    pub fn labelled(&self, name: &str, label: &str) -> f64 {
        self.values(name, label).sum()
    }

    fn values(&self, name: &str, label: &str) -> impl Iterator<Item = f64> {
        self.text.lines().filter_map(move |line| {
            let rest = line.strip_prefix(name)?;
            let is_whole_name = rest.starts_with([' ', '{']);
            let (_, value) = rest.rsplit_once(' ')?;
            (is_whole_name && rest.contains(label)).then(|| value.parse().ok())?
        })
    }
}
