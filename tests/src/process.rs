//! A `hearthd` in a process of its own: started, killed, restarted, measured from outside.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use protocol::id::Domain;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tempfile::TempDir;

use crate::configuration;
use crate::connection::Failure;

/// A running server, killed when dropped.
#[derive(Debug)]
pub struct Server {
    program: PathBuf,
    child: Child,
    address: SocketAddr,
    directory: TempDir,
}

/// What the operating system has counted for the server's process.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// User and system time, in milliseconds; the kernel counts in steps of ten.
    pub cpu_ms: f64,
    /// Bytes that it caused to be written to storage.
    pub written: u64,
    /// Resident memory, in bytes.
    pub resident: u64,
}

/// The `hearthd` of the build that this program belongs to.
#[must_use]
pub fn program() -> PathBuf {
    let this = std::env::current_exe().unwrap_or_default();
    let directories = this.ancestors().skip(1).take(2);
    let candidates: Vec<_> = directories
        .map(|directory| directory.join("hearthd"))
        .collect();
    let built = candidates.iter().find(|candidate| candidate.exists());
    built
        .or_else(|| candidates.first())
        .cloned()
        .unwrap_or_default()
}

impl Server {
    /// Start `program` on a free port with a fresh database below `scratch`, every sync to disk on.
    ///
    /// # Errors
    /// The program is not there, or does not start; its log is in the message.
    pub fn start(program: &Path, scratch: &Path) -> Result<Self, Failure> {
        Self::start_with(program, scratch, |directory, address| {
            configuration::write(program, directory, address)
        })
    }

    /// The same with a configuration of the caller's: it is told the directory and the address.
    ///
    /// # Errors
    /// The program is not there, or does not start; its log is in the message.
    pub fn start_with(
        program: &Path,
        scratch: &Path,
        configure: impl FnOnce(&Path, SocketAddr) -> Result<(), Failure>,
    ) -> Result<Self, Failure> {
        if !program.exists() {
            return Err(format!(
                "{} is not there: build it with `cargo build --release -p node`",
                program.display()
            )
            .into());
        }
        let directory = tempfile::tempdir_in(scratch)?;
        // A port that was free a moment ago, kept over restarts so that clients find the server.
        let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        configure(directory.path(), address)?;
        let child = spawn(program, directory.path())?;
        Ok(Self {
            program: program.to_owned(),
            child,
            address,
            directory,
        })
    }

    /// SIGKILL: the process gets no chance to do anything.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn kill(&mut self) -> Result<(), Failure> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Start again on the same data, after [`Self::kill`].
    ///
    /// # Errors
    /// The server does not start.
    pub fn restart(&mut self) -> Result<(), Failure> {
        self.child = spawn(&self.program, self.directory.path())?;
        Ok(())
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where clients with such an address find it, if it listens on IPv6 as well.
    #[must_use]
    pub fn address_for(&self, client: IpAddr) -> SocketAddr {
        match client {
            IpAddr::V4(_) => self.address,
            IpAddr::V6(_) => (Ipv6Addr::LOCALHOST, self.address.port()).into(),
        }
    }

    /// What it serves.
    ///
    /// # Errors
    /// None: the name is valid.
    pub fn domain() -> Result<Domain, Failure> {
        Ok("localhost".parse()?)
    }

    /// What to trust.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn certificate(&self) -> Result<CertificateDer<'static>, Failure> {
        Ok(CertificateDer::from_pem_file(configuration::certificate(
            self.directory.path(),
        ))?)
    }

    /// The directory that holds everything of the server: configuration, keys, database, log.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// What it has written to its log so far, over all restarts.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn log(&self) -> Result<String, Failure> {
        Ok(fs::read_to_string(log_path(self.directory.path()))?)
    }

    /// What it has used so far, since its last start.
    ///
    /// # Errors
    /// The process has ended.
    pub fn usage(&self) -> Result<Usage, Failure> {
        let process = format!("/proc/{}", self.child.id());
        let stat = fs::read_to_string(format!("{process}/stat"))?;
        let after_name = stat.rsplit_once(')').ok_or("no process name")?.1;
        let ticks: f64 = after_name
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(str::parse::<f64>)
            .sum::<Result<f64, _>>()?;
        let written = field(
            &fs::read_to_string(format!("{process}/io"))?,
            "write_bytes:",
        )?;
        let status = fs::read_to_string(format!("{process}/status"))?;
        Ok(Usage {
            cpu_ms: ticks * 10.0,
            written,
            resident: field(&status, "VmRSS:")? * 1_024,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The server is the test's own and its data is thrown away: how it ends does not matter,
        // and that it may have ended already neither.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn log_path(directory: &Path) -> PathBuf {
    directory.join("log")
}

/// Start the server and wait until it says that it is ready.
fn spawn(program: &Path, directory: &Path) -> Result<Child, Failure> {
    let log: File = OpenOptions::new()
        .create(true)
        .append(true)
        .open(log_path(directory))?;
    let mut child = Command::new(program)
        .args(["serve", "--json", "--config"])
        .arg(configuration::path(directory))
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()?;
    let stdout = child
        .stdout
        .take()
        .ok_or("the server has no standard output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let ready: Result<serde_json::Value, _> = serde_json::from_str(&line);
    if ready.is_ok_and(|ready| ready.get("ready") == Some(&true.into())) {
        return Ok(child);
    }
    child.kill()?;
    child.wait()?;
    let log = fs::read_to_string(log_path(directory))?;
    Err(format!("the server did not start. Output: {line}\nLog: {log}").into())
}

fn field(text: &str, name: &str) -> Result<u64, Failure> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number
        .ok_or_else(|| format!("the kernel tells no {name}"))?
        .parse()?)
}
