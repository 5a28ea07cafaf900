//! What a handshake costs the server, by how it asks for tokens and by who takes first packets.
//!
//! ```text
//! cargo run --release -p node --example handshakes -- [HANDSHAKES [IN-FLIGHT [NICE]]] [--json]
//! ```
//!
//! For each combination it starts itself again as a server, makes that many connections from new
//! clients without tokens (`first`) and then from one that remembers its tokens (`again`), closes
//! each after one empty request, and divides the processor time that the system has counted for
//! the server. That time is counted in steps of ten milliseconds. `NICE` is how far the front door
//! stands back. Everything is on loopback, so client and server share the machine, and rates by the
//! clock mean nothing.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement ends when something is wrong, and prints"
)]

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use node::config::{FrontDoor, Retry, Transport};
use node::{Options, Server};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Endpoint, NoneTokenStore, TokenMemoryCache, TokenStore, VarInt};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::task::JoinSet;

/// Microseconds of one step in which the system counts processor time.
const TICK_MICROS: u64 = 10_000;
const HANDSHAKES: u64 = 2_000;
const IN_FLIGHT: u64 = 8;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [mode, door, retry, nice] = arguments.as_slice()
        && mode == "--serve"
    {
        return serve(door, retry, nice).await;
    }
    let is_json = arguments.iter().any(|argument| argument == "--json");
    let mut numbers = arguments
        .iter()
        .filter_map(|argument| argument.parse().ok());
    let handshakes = numbers.next().unwrap_or(HANDSHAKES);
    let in_flight = numbers.next().unwrap_or(IN_FLIGHT);
    let nice = numbers
        .next()
        .unwrap_or_else(|| u64::from(Transport::default().front_door_nice));
    if !is_json {
        println!(
            "{:>10} {:>8} {:>7} {:>22}",
            "front door", "retry", "client", "server us/handshake"
        );
    }
    for (door, retry) in [
        ("false", "never"),
        ("false", "always"),
        ("true", "never"),
        ("true", "always"),
    ] {
        let server = Serving::start(door, retry, nice);
        for client in ["first", "again"] {
            let micros = server.measure(client, handshakes, in_flight).await;
            if is_json {
                println!(
                    r#"{{"scenario":"handshakes","front_door":{door},"retry":"{retry}","client":"{client}","handshakes":{handshakes},"server_us_per_handshake":{micros}}}"#
                );
            } else {
                println!("{door:>10} {retry:>8} {client:>7} {micros:>22}");
            }
        }
    }
}

/// Be the server until the pipe to standard input is closed.
async fn serve(door: &str, retry: &str, nice: &str) {
    let listen = vec!["127.0.0.1:0".parse().unwrap()];
    let mut options = Options::dev("localhost".parse().unwrap(), listen, None).unwrap();
    let config = &mut options.config;
    config.transport.front_door = if door == "true" {
        FrontDoor::On
    } else {
        FrontDoor::Off
    };
    config.transport.front_door_nice = nice.parse().unwrap();
    config.connections.retry = if retry == "always" {
        Retry::Always
    } else {
        Retry::Never
    };
    config.connections.per_address = u32::MAX;
    config.connections.per_network = u32::MAX;
    let server = Server::start(options).await.unwrap();
    println!(
        "{} {}",
        server.local_addr().unwrap(),
        server.certificate().display()
    );
    tokio::task::spawn_blocking(|| std::io::stdin().lines().for_each(drop))
        .await
        .unwrap();
    server.shutdown().await;
}

/// A server in a process of its own.
struct Serving {
    child: Child,
    address: SocketAddr,
    certificate: PathBuf,
}

impl Serving {
    fn start(door: &str, retry: &str, nice: u64) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--serve", door, retry, &nice.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let (address, certificate) = line.trim().split_once(' ').unwrap();
        Self {
            child,
            address: address.parse().unwrap(),
            certificate: certificate.into(),
        }
    }

    /// Microseconds of the server's processor time for one handshake.
    async fn measure(&self, client: &str, handshakes: u64, in_flight: u64) -> u64 {
        let tokens: Arc<dyn TokenStore> = if client == "again" {
            Arc::new(TokenMemoryCache::default())
        } else {
            Arc::new(NoneTokenStore)
        };
        let mut config = self.client();
        config.token_store(tokens);
        let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        // The first ones are not counted: nothing is warm, and a client has no token.
        connect(&endpoint, &config, self.address, in_flight, in_flight).await;
        let before = self.cpu_micros();
        connect(&endpoint, &config, self.address, handshakes, in_flight).await;
        (self.cpu_micros() - before) / handshakes
    }

    fn client(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(&self.certificate).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![node::ALPN.to_vec()];
        ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).unwrap()))
    }

    /// User and system time of the server, of all its threads.
    fn cpu_micros(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.map(|ticks| ticks.parse::<u64>().unwrap()).sum();
        ticks * TICK_MICROS
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

/// Make so many connections, so many at a time, and close each once its token has arrived.
async fn connect(
    endpoint: &Endpoint,
    config: &ClientConfig,
    address: SocketAddr,
    handshakes: u64,
    in_flight: u64,
) {
    let mut running = JoinSet::new();
    for _ in 0..handshakes {
        if running.len() as u64 >= in_flight {
            running.join_next().await.unwrap().unwrap();
        }
        let connecting = endpoint.connect_with(config.clone(), address, "localhost");
        let connecting = connecting.unwrap();
        running.spawn(async move {
            let connection = connecting.await.unwrap();
            // An empty request, which is refused: by its answer the token has arrived.
            let (mut send, mut recv) = connection.open_bi().await.unwrap();
            send.finish().unwrap();
            assert!(!recv.read_to_end(4_096).await.unwrap().is_empty());
            connection.close(VarInt::from_u32(0), b"");
        });
    }
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
}
