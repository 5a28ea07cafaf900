//! Clients, paths and packets for the tests of the transport.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use node::Server;
use quinn::{Endpoint, TokenMemoryCache, TokenStore};
use tokio::time::timeout;

use crate::raw::{self, Raw};

/// Longer than a packet takes over loopback.
const LONG: Duration = Duration::from_secs(20);

/// A client that remembers address-validation tokens, on a socket that it can change.
pub(crate) struct Client {
    endpoint: Endpoint,
    config: quinn::ClientConfig,
    tokens: Arc<Watched>,
}

impl Client {
    pub(crate) fn new(server: &Server) -> Self {
        Self::with_tokens(server, Arc::new(TokenMemoryCache::default()))
    }

    pub(crate) fn with_tokens(server: &Server, tokens: Arc<dyn TokenStore>) -> Self {
        Self::with(raw::config(server, vec![node::ALPN.to_vec()]), tokens)
    }

    /// A client whose first message does not fit one datagram.
    pub(crate) fn with_long_hello(server: &Server) -> Self {
        let mut protocols = vec![node::ALPN.to_vec()];
        protocols.extend((0..16).map(|number| vec![b'a' + number; 100]));
        let tokens = Arc::new(TokenMemoryCache::default());
        Self::with(raw::config(server, protocols), tokens)
    }

    fn with(mut config: quinn::ClientConfig, tokens: Arc<dyn TokenStore>) -> Self {
        let tokens = Arc::new(Watched {
            tokens,
            arrived: tokio::sync::Notify::new(),
        });
        config.token_store(Arc::clone(&tokens) as Arc<dyn TokenStore>);
        Self {
            endpoint: Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap(),
            config,
            tokens,
        }
    }

    pub(crate) async fn connect(&self, server: &Server) -> Raw {
        self.connect_to(server.local_addr().unwrap()).await
    }

    pub(crate) async fn connect_to(&self, address: SocketAddr) -> Raw {
        let config = self.config.clone();
        let connecting = self.endpoint.connect_with(config, address, "localhost");
        let connected = timeout(LONG, connecting.unwrap()).await.unwrap();
        Raw::of(connected.unwrap(), self.endpoint.clone())
    }

    /// Connect, and wait for the token that comes with it.
    pub(crate) async fn connect_and_take_token(&self, server: &Server) {
        let connection = self.connect(server).await;
        let arrived = self.tokens.arrived.notified();
        timeout(LONG, arrived).await.expect("no token comes");
        drop(connection);
    }

    /// Go on from another port, as behind a router that forgot the old one.
    pub(crate) fn rebind(&self) {
        self.move_to([127, 0, 0, 1]);
    }

    /// Go on from another address.
    pub(crate) fn move_to(&self, address: [u8; 4]) {
        let socket = UdpSocket::bind(SocketAddr::from((address, 0))).unwrap();
        self.endpoint.rebind(socket).unwrap();
    }
}

/// Tells when a token arrives.
struct Watched {
    tokens: Arc<dyn TokenStore>,
    arrived: tokio::sync::Notify,
}

impl TokenStore for Watched {
    fn insert(&self, server: &str, token: bytes::Bytes) {
        self.tokens.insert(server, token);
        self.arrived.notify_one();
    }

    fn take(&self, server: &str) -> Option<bytes::Bytes> {
        self.tokens.take(server)
    }
}

/// Uses its first token again and again.
pub(crate) struct SameToken(Mutex<Option<bytes::Bytes>>);

impl SameToken {
    pub(crate) fn store() -> Arc<dyn TokenStore> {
        Arc::new(Self(Mutex::default()))
    }
}

impl TokenStore for SameToken {
    fn insert(&self, _: &str, token: bytes::Bytes) {
        self.0.lock().unwrap().get_or_insert(token);
    }

    fn take(&self, _: &str) -> Option<bytes::Bytes> {
        self.0.lock().unwrap().clone()
    }
}

/// A server's meters.
pub(crate) struct Meters {
    pub(crate) address: SocketAddr,
}

impl Meters {
    /// On a port that is free at the moment.
    pub(crate) fn somewhere() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        Self { address }
    }

    /// A counter's value, by its name and labels; zero if there is none.
    pub(crate) fn read(&self, name: &str) -> u64 {
        let mut stream = TcpStream::connect(self.address).unwrap();
        write!(
            stream,
            "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.map_or(0, |value| value.trim().parse().unwrap())
    }
}

/// A path on which the first two datagrams of each first flight change places.
pub(crate) struct Reordering {
    pub(crate) address: SocketAddr,
    reordered: Arc<AtomicUsize>,
}

impl Reordering {
    pub(crate) fn to(server: SocketAddr) -> Self {
        let near = UdpSocket::bind("127.0.0.1:0").unwrap();
        let far = UdpSocket::bind("127.0.0.1:0").unwrap();
        far.connect(server).unwrap();
        let address = near.local_addr().unwrap();
        let reordered = Arc::new(AtomicUsize::new(0));
        let client = Arc::new(Mutex::new(None));
        for socket in [&near, &far] {
            // The threads end when nothing comes any more.
            socket.set_read_timeout(Some(LONG)).unwrap();
        }
        let (inwards, outwards) = (near.try_clone().unwrap(), far.try_clone().unwrap());
        let (to_client, count) = (Arc::clone(&client), Arc::clone(&reordered));
        thread::spawn(move || {
            let mut buffer = [0; 2_000];
            while let Ok(length) = outwards.recv(&mut buffer) {
                let client: Option<SocketAddr> = *to_client.lock().unwrap();
                inwards.send_to(&buffer[..length], client.unwrap()).unwrap();
            }
        });
        thread::spawn(move || {
            let mut held: Option<Vec<u8>> = None;
            let mut swapped: Vec<Vec<u8>> = Vec::new();
            let mut buffer = [0; 2_000];
            while let Ok((length, from)) = near.recv_from(&mut buffer) {
                *client.lock().unwrap() = Some(from);
                let datagram = buffer[..length].to_vec();
                let flight = first_flight(&datagram);
                let is_swapped = flight.as_ref().is_some_and(|id| swapped.contains(id));
                match (flight, held.take()) {
                    (Some(_), None) if !is_swapped => held = Some(datagram),
                    (Some(id), Some(earlier)) => {
                        swapped.push(id);
                        count.fetch_add(1, Ordering::Relaxed);
                        far.send(&datagram).unwrap();
                        far.send(&earlier).unwrap();
                    }
                    (_, earlier) => {
                        for datagram in [earlier, Some(datagram)].into_iter().flatten() {
                            far.send(&datagram).unwrap();
                        }
                    }
                }
            }
        });
        Self { address, reordered }
    }

    pub(crate) fn reordered(&self) -> usize {
        self.reordered.load(Ordering::Relaxed)
    }
}

/// The destination id of an Initial packet.
fn first_flight(datagram: &[u8]) -> Option<Vec<u8>> {
    if datagram[0] & 0xb0 != 0x80 {
        return None;
    }
    let length = usize::from(datagram[5]);
    Some(datagram[6..6 + length].to_vec())
}

/// A packet of some version of QUIC.
pub(crate) fn of_version(version: [u8; 4], length: usize) -> Vec<u8> {
    let mut packet = vec![0xc0];
    packet.extend(version);
    packet.extend([8, 1, 2, 3, 4, 5, 6, 7, 8, 0]);
    packet.resize(length, 0);
    packet
}

/// Something that looks like a packet of a connection until it is opened.
pub(crate) fn of_connection(number: u32) -> Vec<u8> {
    let mut packet = vec![0x41];
    packet.extend(number.to_be_bytes().repeat(20));
    packet
}

/// Something that looks like an Initial packet of version 1 until it is opened.
pub(crate) fn initial(number: u32, token: &[u8]) -> Vec<u8> {
    let mut packet = vec![0xc3, 0, 0, 0, 1, 8];
    packet.extend([number.to_be_bytes(), (!number).to_be_bytes()].concat());
    packet.extend([0, 0x40, u8::try_from(token.len()).unwrap()]);
    packet.extend(token);
    let rest = 1_200 - packet.len() - 2;
    packet.extend((0x4000 | u16::try_from(rest).unwrap()).to_be_bytes());
    packet.extend(
        (0..rest)
            .map(|place| u8::try_from(place % 251).unwrap() ^ packet[6])
            .collect::<Vec<_>>(),
    );
    packet
}
