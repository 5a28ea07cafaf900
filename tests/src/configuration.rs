//! The server's configuration for a run: what `hearthd init` writes, on a given port, and with the
//! limits per address and connection lifted, because all clients of a test share one address and
//! load is what a load generator makes.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use toml::{Table, Value};

use crate::connection::Failure;

/// Lifted limits: section, key, value. `misbehaviour` stays: tests look at it.
const LIFTED: &[(&str, &str, i64)] = &[
    ("connections", "per_address", 60_000),
    ("connections", "per_network", 60_000),
    ("handshakes", "per_minute", 1_000_000),
    ("handshakes", "burst", 1_000_000),
    ("handshakes", "in_progress_per_address", 60_000),
    ("budget", "requests_per_second", 1_000_000),
    ("budget", "requests_burst", 1_000_000),
    ("budget", "bytes_per_second", 1 << 34),
    ("budget", "bytes_burst", 1 << 34),
    ("transport", "packets_per_second", 1_000_000),
    ("transport", "packets_burst", 1_000_000),
    ("watch", "datagrams_per_second", 1_000_000),
    ("watch", "stream_frames_per_second", 1_000_000),
    ("watch", "window_frames_per_second", 1_000_000),
    ("groups", "undelivered_messages", 1_000_000),
    ("queues", "entries", 1_000_000),
    ("queues", "mib", 4_096),
];

/// Write a configuration and keys below `directory`.
///
/// # Errors
/// The server program does not run, or its configuration has changed its shape.
pub fn write(program: &Path, directory: &Path, address: SocketAddr) -> Result<(), Failure> {
    let mut config = init(program, directory, address)?;
    config.remove("metrics");
    for (section, key, value) in LIFTED {
        set(&mut config, section, key, (*value).into())?;
    }
    easy_work(&mut config)?;
    fs::write(path(directory), config.to_string())?;
    Ok(())
}

/// Keys below `directory`, and the configuration that a new server has but for its address.
///
/// # Errors
/// The server program does not run.
pub fn init(program: &Path, directory: &Path, address: SocketAddr) -> Result<Table, Failure> {
    let output = Command::new(program)
        .args(["init", "--domain", "localhost", "--dir"])
        .arg(directory)
        .output()?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        return Err(format!("hearthd init failed: {reason}").into());
    }
    let mut config: Table = fs::read_to_string(path(directory))?.parse()?;
    config.insert(
        "listen".to_owned(),
        Value::Array(vec![address.to_string().into()]),
    );
    Ok(config)
}

/// Set one value of a section.
///
/// # Errors
/// The section is none.
pub fn set(config: &mut Table, section: &str, key: &str, value: Value) -> Result<(), Failure> {
    let section = config.entry(section).or_insert_with(|| Table::new().into());
    let section = section
        .as_table_mut()
        .ok_or("the configuration has another shape")?;
    section.insert(key.to_owned(), value);
    Ok(())
}

/// Proof of work that a test can afford a hundred times.
fn easy_work(config: &mut Table) -> Result<(), Failure> {
    let accounts = config
        .entry("accounts")
        .or_insert_with(|| Table::new().into());
    let accounts = accounts
        .as_table_mut()
        .ok_or("the configuration has another shape")?;
    for work in ["account_work", "username_work"] {
        let easy = [("memory_kib", 64), ("target_bits", 2), ("stamp_bits", 4)];
        let easy = easy.map(|(key, value)| (key.to_owned(), Value::Integer(value)));
        accounts.insert(work.to_owned(), Value::Table(Table::from_iter(easy)));
    }
    Ok(())
}

/// Where the configuration is.
#[must_use]
pub fn path(directory: &Path) -> PathBuf {
    directory.join("hearthd.toml")
}

/// Where the certificate is.
#[must_use]
pub fn certificate(directory: &Path) -> PathBuf {
    directory.join("tls.crt")
}

/// Where the database is.
#[must_use]
pub fn database(directory: &Path) -> PathBuf {
    directory.join("db")
}
