//! As much of a QUIC packet's header as is needed to decide where a datagram goes (RFC 8999,
//! RFC 9000 section 17.2).

use crate::quic::cid::CID_BYTES;

/// Datagrams with a client's Initial packet are at least this long (RFC 9000 section 14.1).
pub(crate) const MIN_FIRST_BYTES: usize = 1_200;
/// The longest connection id of version 1.
const ID_BYTES_MAX: usize = 20;
/// The shortest datagram with a short header that can be opened: first byte, id, packet number,
/// and the 16 bytes that header protection samples, four after the number's beginning.
const SHORT_BYTES_MIN: usize = 1 + CID_BYTES + 4 + 16;

/// The packet type of a long header of version 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PacketType {
    Initial,
    ZeroRtt,
    Handshake,
    Retry,
}

/// What a long header of version 1 says about where its datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LongHeader<'a> {
    pub(crate) packet: PacketType,
    /// The destination connection id; of a first packet the client's choice.
    pub(crate) destination: &'a [u8],
    /// Whether an Initial packet carries a token.
    pub(crate) has_token: bool,
}

impl<'a> LongHeader<'a> {
    /// Decode the header of a datagram's first packet, which is of version 1.
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (first, rest) = bytes.split_first()?;
        let (_, rest) = rest.split_first_chunk::<4>()?;
        let (destination, rest) = id(rest)?;
        let (_, rest) = id(rest)?;
        let packet = match first & 0x30 {
            0x00 => PacketType::Initial,
            0x10 => PacketType::ZeroRtt,
            0x20 => PacketType::Handshake,
            _ => PacketType::Retry,
        };
        // The token's length is a number of one to eight bytes, and zero is zero in all of them.
        let has_token = packet == PacketType::Initial && {
            let (length, _) = rest.split_first()?;
            let more = (1_usize << (length >> 6)) - 1;
            let further = rest.get(1..=more)?;
            length & 0x3f != 0 || further.iter().any(|byte| *byte != 0)
        };
        Some(Self {
            packet,
            destination,
            has_token,
        })
    }
}

fn id(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first()?;
    let length = usize::from(*length);
    if length > ID_BYTES_MAX {
        return None;
    }
    rest.split_at_checked(length)
}

/// Whether a datagram begins with a long header.
pub(crate) fn is_long(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| first & 0x80 != 0)
}

/// The version of a long header.
pub(crate) fn version_of_long(bytes: &[u8]) -> Option<u32> {
    let (_, rest) = bytes.split_first()?;
    rest.first_chunk().copied().map(u32::from_be_bytes)
}

/// The connection id of a short header.
pub(crate) fn id_of_short(bytes: &[u8]) -> Option<&[u8]> {
    if bytes.len() < SHORT_BYTES_MIN {
        return None;
    }
    bytes.get(1..=CID_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An Initial packet: first byte, version, both ids, the token's length and what follows.
    fn initial(token: &[u8]) -> Vec<u8> {
        let head = [0xc0, 0, 0, 0, 1, 3, 1, 2, 3, 2, 8, 9];
        [&head, token, &[0; 4]].concat()
    }

    #[test]
    fn the_destination_and_the_token_are_found() {
        for (token, has_token) in [
            (&[0][..], false),
            (&[0x40, 0], false),
            (&[0x80, 0, 0, 0], false),
            (&[1, 7], true),
            (&[0x40, 1, 7], true),
            (&[0xc0, 0, 0, 0, 0, 0, 0, 1, 7], true),
        ] {
            let bytes = initial(token);
            let header = LongHeader::decode(&bytes).unwrap();
            assert_eq!(header.packet, PacketType::Initial);
            assert_eq!(header.destination, [1, 2, 3]);
            assert_eq!(header.has_token, has_token, "{token:?}");
            assert_eq!(version_of_long(&bytes), Some(1));
        }
    }

    #[test]
    fn what_is_cut_short_is_no_header() {
        let whole = initial(&[0x40, 0]);
        let shortest = whole.len() - 4;
        for length in 0..shortest {
            assert_eq!(LongHeader::decode(&whole[..length]), None, "{length} bytes");
        }
        assert!(LongHeader::decode(&whole[..shortest]).is_some());
    }

    #[test]
    fn ids_that_version_1_does_not_have_are_refused() {
        let mut bytes = initial(&[0]);
        bytes[5] = 21;
        bytes.extend([0; 64]);
        assert_eq!(LongHeader::decode(&bytes), None);
    }

    #[test]
    fn packet_types_are_told_apart_whatever_the_fixed_bit() {
        for (first, packet) in [
            (0xcf, PacketType::Initial),
            (0x80, PacketType::Initial),
            (0xd0, PacketType::ZeroRtt),
            (0xa3, PacketType::Handshake),
            (0xf0, PacketType::Retry),
        ] {
            let mut bytes = initial(&[0]);
            bytes[0] = first;
            assert!(is_long(&bytes));
            assert_eq!(LongHeader::decode(&bytes).unwrap().packet, packet);
        }
        assert!(!is_long(&[0x40]));
        assert!(!is_long(&[]));
    }

    #[test]
    fn a_short_header_that_cannot_be_opened_has_no_id() {
        assert_eq!(id_of_short(&[0x40; SHORT_BYTES_MIN - 1]), None);
        let bytes: Vec<u8> = (0..40).collect();
        assert_eq!(id_of_short(&bytes).unwrap(), &bytes[1..11]);
    }
}
