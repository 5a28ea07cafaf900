//! Forged first packets: whole ones, and ones that are only headers.

use rustls::Side;
use rustls::quic::{Keys, Suite, Version};

use super::frame;
use super::packet::{INITIAL_BYTES, Ids, Space, VERSION, long_header, seal_long};
use super::wire::{put_bytes, put_varint};
use crate::connection::Failure;

/// Bytes of the names that forged packets carry.
const ID_BYTES: usize = 8;
/// Bytes of the names that the server gives connections.
const SERVER_ID_BYTES: usize = 10;
/// What an Initial packet adds to its frames at most, without token.
const OVERHEAD_BYTES: usize = 60;

/// What is wrong with a forged first packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgery {
    /// Nothing: keys and frames are right, and TLS would take it for the beginning of a message.
    Whole,
    /// The same for a name as long as those that the server gives, which lead past the front door.
    Astray,
    /// A header with random bytes behind it.
    Garbage,
    /// The same with a token that nobody issued.
    GarbageToken,
    /// A version that the server does not speak.
    Version,
    /// A short header of no connection.
    ShortHeader,
}

/// The cipher suite that first packets are protected with.
///
/// # Errors
/// None: the suite is one for QUIC.
pub fn suite() -> Result<Suite, Failure> {
    let suite = rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
    suite
        .tls13()
        .and_then(rustls::Tls13CipherSuite::quic_suite)
        .ok_or_else(|| "the suite is not for QUIC".into())
}

/// One forged first packet of [`INITIAL_BYTES`].
///
/// # Errors
/// None: what is forged fits.
pub fn forge(forgery: Forgery) -> Result<Vec<u8>, Failure> {
    let (destination, own): ([u8; SERVER_ID_BYTES], [u8; ID_BYTES]) = rand::random();
    let (usual, _) = destination.split_at(ID_BYTES);
    let mut ids = Ids {
        destination: usual,
        source: &own,
    };
    if forgery == Forgery::Astray {
        ids.destination = &destination;
    }
    if matches!(forgery, Forgery::Whole | Forgery::Astray) {
        return whole(ids);
    }
    let version = if forgery == Forgery::Version {
        [0xba, 0xba, 0xba, 0xba]
    } else {
        VERSION
    };
    let mut packet = long_header(0, version, ids);
    if forgery == Forgery::GarbageToken {
        put_bytes(&mut packet, &rand::random::<[u8; 32]>());
        put_bytes_left(&mut packet);
    } else {
        put_varint(&mut packet, 0);
        put_bytes_left(&mut packet);
    }
    while packet.len() < INITIAL_BYTES {
        packet.extend_from_slice(&rand::random::<[u8; 32]>());
    }
    packet.truncate(INITIAL_BYTES);
    if let (Forgery::ShortHeader, Some(first)) = (forgery, packet.first_mut()) {
        *first &= 0x7f;
    }
    Ok(packet)
}

/// The length field for what is left of the datagram.
fn put_bytes_left(packet: &mut Vec<u8>) {
    let left = INITIAL_BYTES.saturating_sub(packet.len() + 2);
    let left = u16::try_from(left).unwrap_or_default();
    packet.extend_from_slice(&(0x4000 | left).to_be_bytes());
}

fn whole(ids: Ids<'_>) -> Result<Vec<u8>, Failure> {
    let keys = Keys::initial(
        Version::V1,
        suite()?.suite,
        suite()?.quic,
        ids.destination,
        Side::Client,
    );
    // The beginning of a ClientHello of 256 bytes: TLS waits for the rest.
    let hello = [[1, 0, 1, 0, 3, 3].as_slice(), &rand::random::<[u8; 32]>()].concat();
    let mut frames = frame::crypto(0, &hello);
    frames.resize(INITIAL_BYTES - OVERHEAD_BYTES, 0);
    let packet = seal_long(&keys.local, Space::Initial, ids, &[], (0, &frames))?;
    let missing = INITIAL_BYTES - packet.len();
    frames.resize(frames.len() + missing, 0);
    seal_long(&keys.local, Space::Initial, ids, &[], (0, &frames))
}
