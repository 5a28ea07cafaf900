//! A UDP socket that sends from any address of this machine, many packets at a time.

use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};

use crate::connection::Failure;

/// Bytes that one call hands over at most: what one UDP length field can say.
const BATCH_BYTES: usize = 60_000;
/// What one call takes in at most: merged datagrams are no longer than one.
const BUFFER_BYTES: usize = 1 << 16;
/// Receive buffer: answers to a flood arrive while the flood goes on.
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;

/// A socket on all addresses of this machine, and what went through it.
#[derive(Debug)]
pub struct Socket {
    socket: UdpSocket,
    state: UdpSocketState,
    server: SocketAddr,
    /// What was sent and received so far.
    pub traffic: Traffic,
}

/// Packets and bytes of UDP payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Datagrams sent.
    pub packets_out: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Datagrams received.
    pub packets_in: u64,
    /// Bytes received.
    pub bytes_in: u64,
}

impl Traffic {
    /// What went through a connection of quinn's.
    #[must_use]
    pub fn of(connection: &quinn::Connection) -> Self {
        let stats = connection.stats();
        Self {
            packets_out: stats.udp_tx.datagrams,
            bytes_out: stats.udp_tx.bytes,
            packets_in: stats.udp_rx.datagrams,
            bytes_in: stats.udp_rx.bytes,
        }
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            packets_out: self.packets_out + other.packets_out,
            bytes_out: self.bytes_out + other.bytes_out,
            packets_in: self.packets_in + other.packets_in,
            bytes_in: self.bytes_in + other.bytes_in,
        }
    }
}

impl Socket {
    /// A socket of its own port.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn new(server: SocketAddr) -> Result<Self, Failure> {
        let any: IpAddr = match server {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0))?;
        let state = UdpSocketState::new((&socket).into())?;
        state.set_recv_buffer_size((&socket).into(), RECEIVE_BUFFER_BYTES)?;
        socket.set_nonblocking(false)?;
        Ok(Self {
            socket,
            state,
            server,
            traffic: Traffic::default(),
        })
    }

    /// Its port.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn port(&self) -> Result<u16, Failure> {
        Ok(self.socket.local_addr()?.port())
    }

    /// Send one datagram.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn send(&mut self, source: IpAddr, datagram: &[u8]) -> Result<(), Failure> {
        self.transmit(source, datagram, datagram.len())
    }

    /// Send many datagrams of equal length, which lie one after the other.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn send_many(
        &mut self,
        source: IpAddr,
        datagrams: &[u8],
        length: usize,
    ) -> Result<(), Failure> {
        let at_once = (BATCH_BYTES / length.max(1)).clamp(1, self.state.max_gso_segments());
        for batch in datagrams.chunks(at_once * length) {
            self.transmit(source, batch, length)?;
        }
        Ok(())
    }

    fn transmit(&mut self, source: IpAddr, contents: &[u8], length: usize) -> Result<(), Failure> {
        let transmit = Transmit {
            destination: self.server,
            ecn: None,
            contents,
            segment_size: (contents.len() > length).then_some(length),
            src_ip: Some(source),
        };
        self.state.try_send((&self.socket).into(), &transmit)?;
        self.traffic.packets_out += contents.len().div_ceil(length.max(1)) as u64;
        self.traffic.bytes_out += contents.len() as u64;
        Ok(())
    }

    /// Wait for datagrams; gives the address that they were sent to and each of them. Nothing
    /// arrived in time if there are none. Without patience only what is there is taken.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn receive(&mut self, patience: Duration) -> Result<Vec<(IpAddr, Vec<u8>)>, Failure> {
        self.socket.set_nonblocking(patience.is_zero())?;
        if !patience.is_zero() {
            self.socket.set_read_timeout(Some(patience))?;
        }
        let mut meta = [RecvMeta::default()];
        // Of its own for each call: thousands of sockets wait at the same time.
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut buffers = [IoSliceMut::new(&mut buffer)];
        let received = self
            .state
            .recv((&self.socket).into(), &mut buffers, &mut meta);
        if patience.is_zero() {
            self.socket.set_nonblocking(false)?;
        }
        match received {
            Ok(_) => {}
            Err(error) if is_silence(&error) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        }
        let [meta] = meta;
        let to = meta.dst_ip.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let bytes = buffer.get(..meta.len).unwrap_or_default();
        let datagrams: Vec<_> = bytes
            .chunks(meta.stride.max(1))
            .map(|datagram| (to, datagram.to_vec()))
            .collect();
        self.traffic.packets_in += datagrams.len() as u64;
        self.traffic.bytes_in += bytes.len() as u64;
        Ok(datagrams)
    }

    /// Take in what has arrived, without looking at it.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn drain(&mut self) -> Result<(), Failure> {
        while !self.receive(Duration::ZERO)?.is_empty() {}
        Ok(())
    }
}

fn is_silence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

/// The address number `index` of the network 127.`network`.0.0/16.
#[must_use]
pub fn source(network: u8, index: usize) -> IpAddr {
    let [.., high, low] = (index + 1).to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, network, high, low))
}

/// An address of the /64 number `subnet` of the /48 number `network`, each /48 in a /32 of its own,
/// where the namespace of [`crate::siege::namespace`] has them.
#[must_use]
pub fn source6(network: usize, subnet: usize) -> IpAddr {
    let [.., high, low] = network.to_be_bytes();
    let [.., subnet_high, subnet_low] = subnet.to_be_bytes();
    let network = u16::from_be_bytes([high, low]);
    let subnet = u16::from_be_bytes([subnet_high, subnet_low]);
    IpAddr::V6(Ipv6Addr::new(0xfd00, network, 1, subnet, 0, 0, 0, 1))
}
