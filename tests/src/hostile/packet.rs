//! Packets: headers and their protection (RFC 9000, 17; RFC 9001, 5).

use rustls::quic::{DirectionalKeys, HeaderProtectionKey, PacketKey};

use super::wire::{Reader, put_bytes};
use crate::connection::Failure;

/// Bytes of a packet number that we send: always the longest form.
const NUMBER_BYTES: usize = 4;
/// Bytes that are sampled to protect a header, in every cipher suite of TLS 1.3.
const SAMPLE_BYTES: usize = 16;
/// Bytes of an authentication tag.
const TAG_BYTES: usize = 16;
/// The version that is spoken.
pub const VERSION: [u8; 4] = [0, 0, 0, 1];
/// The bit of a short header that is another with each change of keys.
const PHASE: u8 = 0x04;
/// Bytes of a datagram that carries an Initial packet, at least.
pub const INITIAL_BYTES: usize = 1_200;

/// Packet number spaces, each with keys of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// Before TLS has said anything secret.
    Initial,
    /// While the handshake goes on.
    Handshake,
    /// Everything else.
    Application,
}

/// The two sides' names for a connection.
#[derive(Clone, Copy, Debug)]
pub struct Ids<'a> {
    /// What the peer listens to.
    pub destination: &'a [u8],
    /// What we listen to.
    pub source: &'a [u8],
}

/// A long header up to the length, with `kind` as in RFC 9000, table 5.
#[must_use]
pub fn long_header(kind: u8, version: [u8; 4], ids: Ids<'_>) -> Vec<u8> {
    let mut header = vec![0xc0 | kind << 4 | 0x03];
    header.extend_from_slice(&version);
    put_bytes(&mut header, ids.destination);
    put_bytes(&mut header, ids.source);
    header
}

/// A protected packet with a long header.
///
/// # Errors
/// The payload is longer than a packet may be.
pub fn seal_long(
    keys: &DirectionalKeys,
    space: Space,
    ids: Ids<'_>,
    token: &[u8],
    (number, payload): (u64, &[u8]),
) -> Result<Vec<u8>, Failure> {
    let kind = if space == Space::Initial { 0 } else { 2 };
    let mut header = long_header(kind, VERSION, ids);
    if space == Space::Initial {
        put_bytes(&mut header, token);
    }
    let length = u16::try_from(NUMBER_BYTES + payload.len() + TAG_BYTES)?;
    header.extend_from_slice(&(0x4000 | length).to_be_bytes());
    seal(keys, header, number, payload)
}

/// A protected packet with a short header, which says whether its keys are those of an odd phase.
///
/// # Errors
/// The payload is longer than a packet may be.
pub fn seal_short(
    keys: &DirectionalKeys,
    is_odd: bool,
    destination: &[u8],
    number: u64,
    payload: &[u8],
) -> Result<Vec<u8>, Failure> {
    let phase = if is_odd { PHASE } else { 0 };
    let mut header = vec![0x43 | phase];
    header.extend_from_slice(destination);
    seal(keys, header, number, payload)
}

fn seal(
    keys: &DirectionalKeys,
    header: Vec<u8>,
    number: u64,
    payload: &[u8],
) -> Result<Vec<u8>, Failure> {
    let number_at = header.len();
    let mut packet = header;
    packet.extend(number.to_be_bytes().iter().skip(8 - NUMBER_BYTES));
    let mut body = payload.to_vec();
    // Header protection samples the fourth byte on, whatever the payload.
    body.resize(body.len().max(NUMBER_BYTES), 0);
    let tag = keys.packet.encrypt_in_place(number, &packet, &mut body)?;
    packet.extend_from_slice(&body);
    packet.extend_from_slice(tag.as_ref());
    let sample_at = number_at + NUMBER_BYTES;
    let (head, tail) = packet.split_at_mut(sample_at);
    let sample = tail.get(..SAMPLE_BYTES).ok_or("a packet without sample")?;
    let (first, rest) = head.split_first_mut().ok_or("a packet without header")?;
    let number = rest.get_mut(number_at - 1..).ok_or("no packet number")?;
    keys.header.encrypt_in_place(sample, first, number)?;
    Ok(packet)
}

/// What a datagram's next packet is, before its protection is removed.
#[derive(Debug)]
pub enum Kind {
    /// Answer with this token, to this name.
    Retry {
        /// The name that the server chose.
        source: Vec<u8>,
        /// The token.
        token: Vec<u8>,
    },
    /// The server does not speak our version.
    VersionNegotiation,
    /// A packet with its space, the sender's name if it is told, and where its number is.
    Protected {
        /// Which keys.
        space: Space,
        /// The server's name, in long headers.
        source: Option<Vec<u8>>,
        /// The whole packet.
        packet: Vec<u8>,
        /// Where the number begins.
        number_at: usize,
    },
}

/// Split the next packet off a datagram; short headers carry `id_bytes` of our name.
pub fn next(datagram: &mut Vec<u8>, id_bytes: usize) -> Option<Kind> {
    let mut reader = Reader::new(datagram);
    let first = reader.byte()?;
    if first & 0x80 == 0 {
        return Some(Kind::Protected {
            space: Space::Application,
            source: None,
            packet: std::mem::take(datagram),
            number_at: 1 + id_bytes,
        });
    }
    let version = reader.take(4)?;
    let destination = reader.byte()?;
    reader.take(usize::from(destination))?;
    let source = reader.byte()?;
    let source = reader.take(usize::from(source))?.to_vec();
    if version == [0; 4] {
        datagram.clear();
        return Some(Kind::VersionNegotiation);
    }
    let space = match first >> 4 & 3 {
        0 => Space::Initial,
        2 => Space::Handshake,
        3 => {
            let rest = reader.rest();
            let token = rest.get(..rest.len().checked_sub(TAG_BYTES)?)?.to_vec();
            datagram.clear();
            return Some(Kind::Retry { source, token });
        }
        _ => return None,
    };
    if space == Space::Initial {
        reader.bytes()?;
    }
    let length = usize::try_from(reader.varint()?).ok()?;
    let number_at = datagram.len() - reader.left();
    let end = number_at.checked_add(length)?;
    if end > datagram.len() {
        return None;
    }
    let rest = datagram.split_off(end);
    let packet = std::mem::replace(datagram, rest);
    Some(Kind::Protected {
        space,
        source: Some(source),
        packet,
        number_at,
    })
}

/// A packet whose header can be read, and the rest not yet.
#[derive(Debug)]
pub struct Unmasked {
    /// Its number.
    pub number: u64,
    /// In a short header: whether its keys are those of an odd phase.
    pub is_odd: bool,
    header: Vec<u8>,
    body: Vec<u8>,
}

/// Remove the protection of a packet's header. `next_number` is one more than the largest number so
/// far.
#[must_use]
pub fn unmask(
    key: &dyn HeaderProtectionKey,
    mut packet: Vec<u8>,
    number_at: usize,
    next_number: u64,
) -> Option<Unmasked> {
    let (head, tail) = packet.split_at_mut_checked(number_at + NUMBER_BYTES)?;
    let sample = tail.get(..SAMPLE_BYTES)?;
    let (first, rest) = head.split_first_mut()?;
    let number = rest.get_mut(number_at - 1..)?;
    key.decrypt_in_place(sample, first, number).ok()?;
    let length = usize::from(*first & 3) + 1;
    let short = number
        .iter()
        .take(length)
        .fold(0, |value: u64, byte| value << 8 | u64::from(*byte));
    let is_odd = *first & PHASE != 0;
    let body = packet.split_off(number_at + length);
    Some(Unmasked {
        number: expand(short, length, next_number),
        is_odd,
        header: packet,
        body,
    })
}

impl Unmasked {
    /// The frames, if the key is the right one.
    #[must_use]
    pub fn open(mut self, key: &dyn PacketKey) -> Option<Vec<u8>> {
        let frames = key.decrypt_in_place(self.number, &self.header, &mut self.body);
        Some(frames.ok()?.to_vec())
    }
}

/// The number nearest to the expected one that ends like this (RFC 9000, A.3).
fn expand(short: u64, bytes: usize, expected: u64) -> u64 {
    let window = 1_u64 << (8 * bytes);
    let candidate = expected & !(window - 1) | short;
    if candidate + window / 2 <= expected {
        candidate + window
    } else if candidate > expected + window / 2 && candidate >= window {
        candidate - window
    } else {
        candidate
    }
}
