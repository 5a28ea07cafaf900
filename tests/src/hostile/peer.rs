//! One hostile connection with its socket and its address.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::crypto::label;
use protocol::crypto::signature::PrivateKey;
use protocol::crypto::signed::{Binding, Signed};
use protocol::frame as request_frame;
use protocol::request::{Operation, encode_signed};
use rustls::ClientConfig;
use tls_codec::Serialize;

use super::client::Client;
use super::frame::{self, Received};
use super::packet::Space;
use super::socket::Socket;
use crate::clock::now;
use crate::connection::Failure;
use crate::process::Server;

/// How long the first flight waits for an answer before it is sent again.
const AGAIN: Duration = Duration::from_millis(200);
/// The same of a request.
const LOST: Duration = Duration::from_millis(50);

/// A connection of an attacker's.
#[derive(Debug)]
pub struct Peer {
    /// The connection.
    pub client: Client,
    /// The socket, which no other connection uses.
    pub socket: Socket,
    /// Where packets come from.
    pub source: IpAddr,
    next_stream: u64,
}

/// How a handshake ended that did not succeed.
#[derive(Debug)]
pub enum Unfinished {
    /// The server closed it, or answered nothing in time.
    Refused,
    /// Something here failed.
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for Unfinished {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Peer {
    /// A client that has sent nothing.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn new(
        server: &Server,
        tls: &Arc<ClientConfig>,
        source: IpAddr,
        padding: usize,
    ) -> Result<Self, Failure> {
        Ok(Self {
            client: Client::new(tls, Server::domain()?.as_str(), padding)?,
            socket: Socket::new(server.address_for(source))?,
            source,
            next_stream: 0,
        })
    }

    /// Complete a handshake within `patience`, answering Retry.
    ///
    /// # Errors
    /// The server lets it not, or something here failed.
    pub fn connect(
        server: &Server,
        tls: &Arc<ClientConfig>,
        source: IpAddr,
        patience: Duration,
    ) -> Result<Self, Unfinished> {
        let mut peer = Self::new(server, tls, source, 0)?;
        peer.finish(patience)?;
        Ok(peer)
    }

    /// Send the first flight and go on until the handshake is confirmed.
    ///
    /// # Errors
    /// The server lets it not, or something here failed.
    pub fn finish(&mut self, patience: Duration) -> Result<(), Unfinished> {
        let end = now() + patience;
        while now() < end {
            let flight = self.client.first_flight()?;
            self.send_all(&flight)?;
            // Only silence is answered by sending again: what the server has begun it finishes.
            let mut answered_at = now();
            while now() < end && (answered_at.elapsed() < AGAIN || self.client.is_ready()) {
                if self.receive(AGAIN)? > 0 {
                    answered_at = now();
                }
                if self.client.closed.is_some() {
                    return Err(Unfinished::Refused);
                }
                if self.client.is_done {
                    return Ok(());
                }
            }
        }
        Err(Unfinished::Refused)
    }

    /// Send datagrams.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn send_all(&mut self, datagrams: &[Vec<u8>]) -> Result<(), Failure> {
        datagrams
            .iter()
            .try_for_each(|datagram| self.socket.send(self.source, datagram))
    }

    /// Send one 1-RTT packet with these frames.
    ///
    /// # Errors
    /// There are no keys, or the operating system refuses.
    pub fn send(&mut self, frames: &[u8]) -> Result<(), Failure> {
        let datagram = self.client.seal(Space::Application, frames)?;
        self.socket.send(self.source, &datagram)
    }

    /// Send `count` 1-RTT packets with the same frames, in as few calls as the machine allows.
    ///
    /// # Errors
    /// There are no keys, or the operating system refuses.
    pub fn send_many(&mut self, frames: &[u8], count: u64) -> Result<(), Failure> {
        let mut datagrams = Vec::new();
        let mut length = 0;
        for _ in 0..count {
            let datagram = self.client.seal(Space::Application, frames)?;
            length = datagram.len();
            datagrams.extend(datagram);
        }
        self.socket.send_many(self.source, &datagrams, length)
    }

    /// Take in what has come, waiting at most `patience` for the first of it, and answer what the
    /// protocol wants answered. Gives how many datagrams came.
    ///
    /// # Errors
    /// TLS or the operating system refuses.
    pub fn receive(&mut self, patience: Duration) -> Result<usize, Failure> {
        let received = self.socket.receive(patience)?;
        let count = received.len();
        for (_, datagram) in received {
            let answers = self.client.take(datagram)?;
            self.send_all(&answers)?;
        }
        Ok(count)
    }

    /// Take in what comes until a moment, or until the connection is closed.
    ///
    /// # Errors
    /// TLS or the operating system refuses.
    pub fn linger(&mut self, until: Instant) -> Result<(), Failure> {
        while self.client.closed.is_none() && now() < until {
            self.receive(until.saturating_duration_since(now()))?;
        }
        Ok(())
    }

    /// The next bidirectional stream of ours.
    pub fn open_stream(&mut self) -> u64 {
        self.next_stream += 4;
        self.next_stream - 4
    }

    /// Send all of a stream.
    fn send_stream(&mut self, id: u64, bytes: &[u8]) -> Result<(), Failure> {
        const PIECE: usize = 1_000;
        let last = bytes.len().div_ceil(PIECE).saturating_sub(1);
        for (place, piece) in bytes.chunks(PIECE).enumerate() {
            let offset = u64::try_from(place * PIECE)?;
            self.send(&frame::stream(id, offset, piece, place == last))?;
        }
        Ok(())
    }

    /// Send a request on a stream of its own, and wait for the end of its reply.
    ///
    /// # Errors
    /// There is no whole reply in time.
    pub fn request(&mut self, bytes: &[u8], patience: Duration) -> Result<Vec<u8>, Failure> {
        let id = self.open_stream();
        let end = now() + patience;
        let mut reply = Vec::new();
        let mut again_at = now();
        while now() < end && self.client.closed.is_none() {
            // What was lost is sent again, as every client would.
            if now() >= again_at {
                self.send_stream(id, bytes)?;
                again_at = now() + LOST;
            }
            self.receive(again_at.min(end).saturating_duration_since(now()))?;
            let mut is_whole = false;
            self.client.inbox.retain(|received| {
                let Received::Stream(of, bytes, is_last) = received else {
                    return true;
                };
                if *of == id {
                    reply.extend(bytes);
                    is_whole |= is_last;
                }
                *of != id
            });
            if is_whole {
                return Ok(reply);
            }
        }
        Err("no reply".into())
    }

    /// Sign a request for this connection and frame it.
    ///
    /// # Errors
    /// The connection has no keys yet.
    pub fn signed<T: Operation + Serialize>(
        &self,
        body: T,
        key: &PrivateKey,
    ) -> Result<Vec<u8>, Failure> {
        let exporter = self.client.tls().export_keying_material(
            [0; 32],
            label::EXPORTER.as_bytes(),
            Some(&[]),
        )?;
        let binding = Binding {
            domain: Server::domain()?,
            exporter,
        };
        Ok(request_frame::encode(&encode_signed(&Signed::new(
            body, key, &binding,
        )))?)
    }
}
