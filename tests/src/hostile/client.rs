//! One hostile connection without its socket: what arrived goes in, what is to be sent comes out.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::quic::{ClientConnection, Connection, KeyChange, Keys, PacketKeySet, Secrets, Version};
use rustls::{ClientConfig, Side};

use super::frame::{self, Close, Received};
use super::initial::suite;
use super::packet::{self, INITIAL_BYTES, Ids, Kind, Space, Unmasked};
use super::wire::{Reader, put_bytes, put_varint};
use crate::connection::Failure;

/// Bytes of the names that we go by.
const ID_BYTES: usize = 8;
/// What we let the server send, on a stream and in all: more than it ever will.
const WINDOW: u64 = 1 << 40;
/// Transport parameters (RFC 9000, 18.2): id and value.
const PARAMETERS: &[(u64, u64)] = &[
    (0x01, 120_000),
    (0x04, WINDOW),
    (0x05, WINDOW),
    (0x06, WINDOW),
    (0x07, WINDOW),
    (0x08, 1_000),
    (0x09, 1_000),
];
/// A transport parameter that nobody knows, for making a first message long.
const UNKNOWN_PARAMETER: u64 = 31 * 7 + 27;

/// Keys and numbers of one packet number space.
#[derive(Default)]
struct Numbers {
    keys: Option<Keys>,
    next: u64,
    /// One more than the largest that was received.
    expected: u64,
    owes_ack: bool,
    crypto_sent: u64,
    crypto_read: u64,
    crypto: BTreeMap<u64, Vec<u8>>,
}

/// Which keys 1-RTT packets have, of those that follow each other (RFC 9001, 6). The server changes
/// them after a few hundred packets.
struct Phase {
    is_odd: bool,
    next: PacketKeySet,
    secrets: Secrets,
}

/// When packets of the server's are acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledge {
    /// When they have come.
    Honestly,
    /// Never, once the handshake is over.
    Never,
    /// With every number up to the largest, whether or not there was such a packet.
    Blindly,
}

/// A connection, from its first packet on.
pub struct Client {
    tls: Connection,
    spaces: [Numbers; 3],
    phase: Option<Phase>,
    own: Vec<u8>,
    /// The server's name.
    pub destination: Vec<u8>,
    /// What is shown with first packets.
    pub token: Vec<u8>,
    /// When to acknowledge.
    pub acknowledge: Acknowledge,
    /// How the server closed the connection.
    pub closed: Option<Close>,
    /// Whether the server has confirmed the handshake.
    pub is_done: bool,
    /// Frames of 1-RTT packets that nobody has looked at.
    pub inbox: Vec<Received>,
    was_retried: bool,
    hello: Vec<u8>,
    finished: Vec<u8>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

fn parameters(own: &[u8], padding: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for (id, value) in PARAMETERS {
        let mut encoded = Vec::new();
        put_varint(&mut encoded, *value);
        put_varint(&mut out, *id);
        put_bytes(&mut out, &encoded);
    }
    put_varint(&mut out, 0x0f);
    put_bytes(&mut out, own);
    if padding > 0 {
        put_varint(&mut out, UNKNOWN_PARAMETER);
        put_bytes(&mut out, &vec![0; padding]);
    }
    out
}

impl Client {
    /// A client that has sent nothing. `padding` makes its first message longer.
    ///
    /// # Errors
    /// TLS refuses.
    pub fn new(tls: &Arc<ClientConfig>, domain: &str, padding: usize) -> Result<Self, Failure> {
        let own = rand::random::<[u8; ID_BYTES]>().to_vec();
        let name = ServerName::try_from(domain.to_owned())?;
        let mut tls = Connection::from(ClientConnection::new(
            Arc::clone(tls),
            Version::V1,
            name,
            parameters(&own, padding),
        )?);
        let mut hello = Vec::new();
        if tls.write_hs(&mut hello).is_some() {
            return Err("TLS has keys before it has an answer".into());
        }
        let mut client = Self {
            tls,
            spaces: Default::default(),
            phase: None,
            own,
            destination: Vec::new(),
            token: Vec::new(),
            acknowledge: Acknowledge::Honestly,
            closed: None,
            is_done: false,
            inbox: Vec::new(),
            was_retried: false,
            hello,
            finished: Vec::new(),
        };
        client.rename(rand::random::<[u8; ID_BYTES]>().to_vec())?;
        Ok(client)
    }

    /// Address the first packet to another name, which its keys come from.
    fn rename(&mut self, destination: Vec<u8>) -> Result<(), Failure> {
        let suite = suite()?;
        let keys = Keys::initial(
            Version::V1,
            suite.suite,
            suite.quic,
            &destination,
            Side::Client,
        );
        self.destination = destination;
        self.space(Space::Initial).keys = Some(keys);
        Ok(())
    }

    fn space(&mut self, space: Space) -> &mut Numbers {
        let [initial, handshake, application] = &mut self.spaces;
        match space {
            Space::Initial => initial,
            Space::Handshake => handshake,
            Space::Application => application,
        }
    }

    /// The TLS session.
    #[must_use]
    pub fn tls(&self) -> &Connection {
        &self.tls
    }

    /// Whether the server asked for a token.
    #[must_use]
    pub fn was_retried(&self) -> bool {
        self.was_retried
    }

    /// Whether there are keys for 1-RTT packets.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let [.., application] = &self.spaces;
        application.keys.is_some()
    }

    /// One more than the largest number that was received in a space.
    #[must_use]
    pub fn expected(&self, space: Space) -> u64 {
        let [initial, handshake, application] = &self.spaces;
        match space {
            Space::Initial => initial.expected,
            Space::Handshake => handshake.expected,
            Space::Application => application.expected,
        }
    }

    /// The first flight, in as many datagrams as it needs.
    ///
    /// # Errors
    /// None: what is sent fits.
    pub fn first_flight(&mut self) -> Result<Vec<Vec<u8>>, Failure> {
        const PIECE: usize = 1_000;
        let hello = self.hello.clone();
        let mut datagrams = Vec::new();
        let mut offset = 0;
        for piece in hello.chunks(PIECE) {
            let frames = frame::crypto(offset, piece);
            offset += piece.len() as u64;
            datagrams.push(self.initial(frames)?);
        }
        Ok(datagrams)
    }

    /// An Initial packet in a datagram of its own.
    ///
    /// # Errors
    /// The frames do not fit.
    pub fn initial(&mut self, mut frames: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let length = self.seal(Space::Initial, &frames)?.len();
        self.space(Space::Initial).next -= 1;
        frames.resize(frames.len() + INITIAL_BYTES.saturating_sub(length), 0);
        self.seal(Space::Initial, &frames)
    }

    /// Protect frames with a space's keys and its next number.
    ///
    /// # Errors
    /// There are no keys for it.
    pub fn seal(&mut self, space: Space, frames: &[u8]) -> Result<Vec<u8>, Failure> {
        let number = self.space(space).next;
        self.space(space).next += 1;
        self.seal_as(space, number, frames)
    }

    /// The same with any number.
    ///
    /// # Errors
    /// There are no keys for it.
    pub fn seal_as(
        &mut self,
        space: Space,
        number: u64,
        frames: &[u8],
    ) -> Result<Vec<u8>, Failure> {
        let (destination, own) = (self.destination.clone(), self.own.clone());
        let (token, is_odd) = (self.token.clone(), self.is_odd());
        let keys = self.space(space).keys.as_ref().ok_or("no keys yet")?;
        if space == Space::Application {
            return packet::seal_short(&keys.local, is_odd, &destination, number, frames);
        }
        let ids = Ids {
            destination: &destination,
            source: &own,
        };
        packet::seal_long(&keys.local, space, ids, &token, (number, frames))
    }

    /// Take in a datagram; gives what answers it: acknowledgements and the rest of the handshake.
    ///
    /// # Errors
    /// TLS refuses what the server said.
    pub fn take(&mut self, mut datagram: Vec<u8>) -> Result<Vec<Vec<u8>>, Failure> {
        let mut answers = Vec::new();
        while !datagram.is_empty() {
            match packet::next(&mut datagram, ID_BYTES) {
                Some(Kind::Retry { source, token }) if !self.was_retried && !self.is_ready() => {
                    self.was_retried = true;
                    self.token = token;
                    self.rename(source)?;
                    answers.extend(self.first_flight()?);
                }
                Some(Kind::Protected {
                    space,
                    source,
                    packet,
                    number_at,
                }) => self.take_packet(space, source, packet, number_at)?,
                Some(Kind::Retry { .. } | Kind::VersionNegotiation) => {}
                None => break,
            }
        }
        answers.extend(self.answer()?);
        Ok(answers)
    }

    fn take_packet(
        &mut self,
        space: Space,
        source: Option<Vec<u8>>,
        packet: Vec<u8>,
        number_at: usize,
    ) -> Result<(), Failure> {
        let numbers = self.space(space);
        let Some(keys) = &numbers.keys else {
            return Ok(());
        };
        let header = keys.remote.header.as_ref();
        let Some(unmasked) = packet::unmask(header, packet, number_at, numbers.expected) else {
            return Ok(());
        };
        let number = unmasked.number;
        let Some(frames) = self.open(space, unmasked) else {
            return Ok(());
        };
        let numbers = self.space(space);
        numbers.expected = numbers.expected.max(number + 1);
        if let (Some(source), false) = (source, self.is_ready()) {
            self.destination = source;
        }
        let mut reader = Reader::new(&frames);
        while let Some(received) = frame::read(&mut reader) {
            self.take_frame(space, received)?;
        }
        Ok(())
    }

    fn is_odd(&self) -> bool {
        self.phase.as_ref().is_some_and(|phase| phase.is_odd)
    }

    /// What a packet holds. One of the next phase has us change keys, too.
    fn open(&mut self, space: Space, packet: Unmasked) -> Option<Vec<u8>> {
        let is_next = space == Space::Application && packet.is_odd != self.is_odd();
        let [initial, handshake, application] = &mut self.spaces;
        let keys = match space {
            Space::Initial => initial.keys.as_mut(),
            Space::Handshake => handshake.keys.as_mut(),
            Space::Application => application.keys.as_mut(),
        }?;
        if !is_next {
            return packet.open(keys.remote.packet.as_ref());
        }
        let phase = self.phase.as_mut()?;
        let frames = packet.open(phase.next.remote.as_ref())?;
        let PacketKeySet { local, remote } =
            std::mem::replace(&mut phase.next, phase.secrets.next_packet_keys());
        (keys.local.packet, keys.remote.packet) = (local, remote);
        phase.is_odd = !phase.is_odd;
        Some(frames)
    }

    fn take_frame(&mut self, space: Space, received: Received) -> Result<(), Failure> {
        if !matches!(
            received,
            Received::Padding | Received::Ack(_) | Received::Close(_)
        ) {
            self.space(space).owes_ack = true;
        }
        match received {
            Received::Padding => {}
            Received::Crypto(offset, bytes) => self.take_crypto(space, offset, bytes)?,
            Received::Close(close) => self.closed = Some(close),
            Received::Done => self.is_done = true,
            Received::Ack(_)
            | Received::Stream(..)
            | Received::Reset(..)
            | Received::Token(_)
            | Received::ConnectionId(..)
            | Received::Challenge(_)
            | Received::Other => {
                if space == Space::Application {
                    self.inbox.push(received);
                }
            }
        }
        Ok(())
    }

    fn take_crypto(&mut self, space: Space, offset: u64, bytes: Vec<u8>) -> Result<(), Failure> {
        let numbers = self.space(space);
        numbers.crypto.insert(offset, bytes);
        let mut ready = Vec::new();
        while let Some(bytes) = numbers.crypto.remove(&numbers.crypto_read) {
            numbers.crypto_read += bytes.len() as u64;
            ready.extend(bytes);
        }
        if ready.is_empty() {
            return Ok(());
        }
        self.tls.read_hs(&ready)?;
        loop {
            let mut out = Vec::new();
            let change = self.tls.write_hs(&mut out);
            if !out.is_empty() {
                self.finished = out;
            }
            match change {
                Some(KeyChange::Handshake { keys }) => {
                    self.space(Space::Handshake).keys = Some(keys);
                }
                Some(KeyChange::OneRtt {
                    keys,
                    next: mut secrets,
                }) => {
                    self.space(Space::Application).keys = Some(keys);
                    self.phase = Some(Phase {
                        is_odd: false,
                        next: secrets.next_packet_keys(),
                        secrets,
                    });
                }
                None => return Ok(()),
            }
        }
    }

    /// What is owed: acknowledgements, and the last message of the handshake.
    fn answer(&mut self) -> Result<Vec<Vec<u8>>, Failure> {
        let mut answers = Vec::new();
        for space in [Space::Initial, Space::Handshake, Space::Application] {
            let mut frames = Vec::new();
            let is_ours = space == Space::Application;
            let withheld = self.acknowledge == Acknowledge::Never && is_ours;
            let is_blind = self.acknowledge == Acknowledge::Blindly && is_ours;
            let numbers = self.space(space);
            if std::mem::take(&mut numbers.owes_ack) && !withheld && numbers.keys.is_some() {
                let largest = numbers.expected - 1;
                let more = if is_blind { largest } else { 0 };
                frames = frame::ack(largest, more);
            }
            if space == Space::Handshake && !self.finished.is_empty() {
                let finished = std::mem::take(&mut self.finished);
                let sent = self.space(space).crypto_sent;
                frames.extend(frame::crypto(sent, &finished));
                self.space(space).crypto_sent += finished.len() as u64;
            }
            if frames.is_empty() {
                continue;
            }
            answers.push(match space {
                Space::Initial => self.initial(frames)?,
                Space::Handshake | Space::Application => self.seal(space, &frames)?,
            });
        }
        Ok(answers)
    }
}
