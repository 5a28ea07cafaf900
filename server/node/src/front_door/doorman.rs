//! Decides about first packets: who is let in, who is answered, and who is not.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use quinn::ServerConfig;
use quinn::udp::RecvMeta;
use quinn_proto::{DatagramEvent, EcnCodepoint, Endpoint};

use crate::clock;
use crate::config::Transport;
use crate::front_door::guests::Guests;
use crate::front_door::header::{LongHeader, MIN_FIRST_BYTES, PacketType, version_of_long};
use crate::front_door::ports::{Standing, standing};
use crate::gate::{Answer, Gate, Lost, Right};
use crate::gcra::{Bucket, Quota};
use crate::lag::Level;
use crate::quic::cid::{Kind, Place, Shard};
use crate::quic::{QUIC_V1, TransportKeys};
use crate::socket::governor::network;
use crate::socket::inbox::{Datagram, Inbox};
use crate::socket::policer::Policer;

/// Datagrams per second of one flight, or from a port that few clients have: a handshake takes two
/// or three of them, and those that are sent again.
const FLIGHT_PER_SECOND: u64 = 100;
/// Such datagrams at once.
const FLIGHT_BURST: u64 = 32;

/// Decides about first packets. What is kept of them has a fixed size, and nothing is kept of an
/// address that nobody has validated, unless the policy is not to ask. [NODE-DOOR-1]
pub(crate) struct Doorman {
    /// Reads tokens and writes Retry packets, and never has a connection.
    endpoint: Endpoint,
    guests: Guests,
    flights: Policer,
    addresses: Policer,
    versions: (Bucket, Quota),
    inboxes: Vec<Arc<Inbox>>,
    shards: NonZeroU8,
    gate: Arc<Gate>,
    answer: Vec<u8>,
}

/// What is sent back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply<'a> {
    pub(crate) destination: SocketAddr,
    pub(crate) bytes: &'a [u8],
}

/// What becomes of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    LetIn(Right),
    Answer(Answer, SocketAddr),
    Drop(Lost),
}

impl Doorman {
    /// For workers with these inboxes, in the order of shards.
    pub(crate) fn new(
        settings: ServerConfig,
        keys: &TransportKeys,
        transport: &Transport,
        inboxes: Vec<Arc<Inbox>>,
        gate: Arc<Gate>,
    ) -> Self {
        let shards = u8::try_from(inboxes.len()).ok().and_then(NonZeroU8::new);
        let shards = shards.unwrap_or(NonZeroU8::MIN);
        let config = keys.endpoint(Kind::Retry, Place::Any(shards));
        let per_second = transport.version_answers_per_second;
        Self {
            endpoint: Endpoint::new(Arc::new(config), Some(Arc::new(settings)), false, None),
            guests: Guests::new(),
            flights: Policer::new(FLIGHT_PER_SECOND, FLIGHT_BURST),
            addresses: Policer::new(
                transport.first_packets_per_second,
                transport.first_packets_burst,
            ),
            versions: (
                Bucket::default(),
                Quota::new(per_second, Duration::from_secs(1), per_second),
            ),
            inboxes,
            shards,
            gate,
            answer: Vec::new(),
        }
    }

    /// Take a datagram; what is to be sent back, if anything.
    pub(crate) fn receive(&mut self, bytes: &[u8], meta: &RecvMeta) -> Option<Reply<'_>> {
        let now = self.gate.watch.elapsed();
        self.answer.clear();
        match self.judge(bytes, meta, now) {
            Verdict::LetIn(right) => {
                self.let_in(bytes, meta, right);
                None
            }
            Verdict::Drop(why) => {
                self.gate.meters.lost(why, 1);
                None
            }
            Verdict::Answer(what, destination) => {
                self.gate.meters.answered(what);
                Some(Reply {
                    destination,
                    bytes: &self.answer,
                })
            }
        }
    }

    fn judge(&mut self, bytes: &[u8], meta: &RecvMeta, now: Duration) -> Verdict {
        match standing(meta.addr.port()) {
            Standing::Ordinary => {}
            Standing::Suspect => {
                let port = meta.addr.port();
                if !self.flights.admits(&port, 1, Level::CALM, now) {
                    return Verdict::Drop(Lost::Port);
                }
            }
            Standing::Blocked => return Verdict::Drop(Lost::Port),
        }
        let Some(version) = version_of_long(bytes) else {
            return Verdict::Drop(Lost::Malformed);
        };
        if version != QUIC_V1 {
            return self.negotiate(version, bytes, meta, now);
        }
        let Some(header) = LongHeader::decode(bytes) else {
            return Verdict::Drop(Lost::Malformed);
        };
        let is_first = match header.packet {
            PacketType::Initial => true,
            PacketType::ZeroRtt => false,
            PacketType::Handshake | PacketType::Retry => return Verdict::Drop(Lost::Stray),
        };
        if header.destination.is_empty() || (is_first && bytes.len() < MIN_FIRST_BYTES) {
            return Verdict::Drop(Lost::Malformed);
        }
        let flight = (header.destination, meta.addr);
        if self.guests.knows(&flight, now) {
            // Its flight was let in.
            return match self
                .flights
                .admits(&header.destination, 1, Level::CALM, now)
            {
                true => Verdict::LetIn(Right::Earlier),
                false => Verdict::Drop(Lost::Flood),
            };
        }
        if is_first {
            self.judge_first(&header, bytes, meta, now)
        } else {
            Verdict::Drop(Lost::Stray)
        }
    }

    /// A packet that nothing is known of.
    fn judge_first(
        &mut self,
        header: &LongHeader<'_>,
        bytes: &[u8],
        meta: &RecvMeta,
        now: Duration,
    ) -> Verdict {
        let is_asked = self.gate.validation.is_asked(now);
        let verdict = if header.has_token || is_asked {
            self.ask(bytes, meta, is_asked)
        } else {
            Verdict::LetIn(Right::Policy)
        };
        if !header.has_token {
            self.gate.validation.note_first_packet(now);
        }
        let Verdict::LetIn(_) = verdict else {
            return verdict;
        };
        let address = meta.addr.ip();
        if !self
            .addresses
            .admits(&network(address), 1, Level::CALM, now)
        {
            return Verdict::Drop(Lost::Crowd);
        }
        if verdict == Verdict::LetIn(Right::Token) {
            self.gate.governor.prove(address);
        }
        self.guests.welcome(&(header.destination, meta.addr), now);
        verdict
    }

    /// Have quinn look at the token, and write a Retry packet if there is no good one.
    fn ask(&mut self, bytes: &[u8], meta: &RecvMeta, is_asked: bool) -> Verdict {
        let event = self.handle(bytes, meta);
        match event {
            Some(DatagramEvent::NewConnection(incoming)) => {
                if incoming.remote_address_validated() || !is_asked {
                    let right = if incoming.remote_address_validated() {
                        Right::Token
                    } else {
                        Right::Policy
                    };
                    self.endpoint.ignore(incoming);
                    return Verdict::LetIn(right);
                }
                match self.endpoint.retry(incoming, &mut self.answer) {
                    Ok(transmit) => Verdict::Answer(Answer::Retry, transmit.destination),
                    Err(error) => {
                        self.endpoint.ignore(error.into_incoming());
                        Verdict::Drop(Lost::Malformed)
                    }
                }
            }
            Some(DatagramEvent::Response(transmit)) => {
                Verdict::Answer(Answer::Refusal, transmit.destination)
            }
            Some(DatagramEvent::ConnectionEvent(..)) | None => Verdict::Drop(Lost::Malformed),
        }
    }

    /// Another version: say which one is spoken here, unless that was said often enough.
    fn negotiate(&mut self, version: u32, bytes: &[u8], meta: &RecvMeta, now: Duration) -> Verdict {
        let (bucket, quota) = &self.versions;
        let is_answered =
            version != 0 && bytes.len() >= MIN_FIRST_BYTES && bucket.take(*quota, 1, now).is_ok();
        if !is_answered {
            return Verdict::Drop(Lost::Version);
        }
        match self.handle(bytes, meta) {
            Some(DatagramEvent::Response(transmit)) => {
                Verdict::Answer(Answer::Version, transmit.destination)
            }
            Some(DatagramEvent::NewConnection(incoming)) => {
                self.endpoint.ignore(incoming);
                Verdict::Drop(Lost::Version)
            }
            Some(DatagramEvent::ConnectionEvent(..)) | None => Verdict::Drop(Lost::Malformed),
        }
    }

    fn handle(&mut self, bytes: &[u8], meta: &RecvMeta) -> Option<DatagramEvent> {
        let ecn = meta.ecn.and_then(|ecn| EcnCodepoint::from_bits(ecn as u8));
        self.endpoint.handle(
            clock::instant(),
            meta.addr,
            meta.dst_ip,
            ecn,
            BytesMut::from(bytes),
            &mut self.answer,
        )
    }

    /// Put a datagram into the inbox of the worker to which its destination id belongs.
    /// [NODE-SHARD-1]
    fn let_in(&self, bytes: &[u8], meta: &RecvMeta, right: Right) {
        let destination = LongHeader::decode(bytes).and_then(|header| header.destination.first());
        let shard = destination.map(|first| Shard::of(*first, self.shards).index());
        let Some(inbox) = shard.and_then(|shard| self.inboxes.get(shard)) else {
            return self.gate.meters.lost(Lost::Malformed, 1);
        };
        let datagram = Datagram {
            bytes: bytes.to_vec(),
            meta: *meta,
        };
        match inbox.put(datagram) {
            Ok(()) => self.gate.meters.let_in(right),
            Err(_) => self.gate.meters.lost(Lost::Full, 1),
        }
    }
}

impl fmt::Debug for Doorman {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doorman").finish_non_exhaustive()
    }
}
