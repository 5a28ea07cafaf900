//! Length-bounded frames, padded to size buckets. Spec: wire.md#frames.
//!
//! ```text
//! struct {
//!     uint16 version;                 // 1
//!     uint32 payload_length;
//!     opaque payload[payload_length];
//!     opaque padding[bucket(6 + payload_length) - 6 - payload_length];   // zeros
//! } Frame;
//! ```

use std::fmt;

use crate::limit::{FRAME_BYTES_MAX, FRAME_BYTES_MIN};

/// The protocol version that every frame states.
pub const VERSION: u16 = 1;
/// Bytes before the payload.
pub const HEADER_BYTES: usize = 6;

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// A version that this implementation does not speak.
    UnsupportedVersion,
    /// A payload longer than [`FRAME_BYTES_MAX`].
    TooLarge,
    /// Fewer or more bytes than the header announces.
    Length,
    /// Padding that is not zero.
    Padding,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnsupportedVersion => "the frame states an unsupported protocol version",
            Self::TooLarge => "the frame is longer than allowed",
            Self::Length => "the frame's length is not the one its header announces",
            Self::Padding => "the frame's padding is not zero",
        })
    }
}

impl std::error::Error for FrameError {}

/// The bucket that `length` bytes are padded to: 256 bytes, then Padmé (Nikitin et al.,
/// "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs", 2019), which
/// reveals O(log log n) bits and costs at most 12 %. [WIRE-FRAME-2]
#[must_use]
pub fn bucket(length: usize) -> usize {
    if length <= FRAME_BYTES_MIN {
        return FRAME_BYTES_MIN;
    }
    let exponent = length.ilog2();
    let significant = exponent.ilog2() + 1;
    let mask = (1_usize << (exponent - significant)) - 1;
    (length + mask) & !mask
}

/// Frame a payload.
///
/// # Errors
/// Our own fault: the payload is longer than [`FRAME_BYTES_MAX`].
pub fn encode(payload: &[u8]) -> Result<Vec<u8>, FrameError> {
    if payload.len() > FRAME_BYTES_MAX {
        return Err(FrameError::TooLarge);
    }
    let length = u32::try_from(payload.len()).map_err(|_| FrameError::TooLarge)?;
    let total = bucket(HEADER_BYTES + payload.len());
    let mut frame = Vec::with_capacity(total);
    frame.extend_from_slice(&VERSION.to_be_bytes());
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(payload);
    frame.resize(total, 0);
    Ok(frame)
}

/// A frame's header: what must follow is known before it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    payload_bytes: usize,
}

impl Header {
    /// Decode the first [`HEADER_BYTES`] of a frame. [WIRE-FRAME-1]
    ///
    /// # Errors
    /// The sender's fault: another version, or a length past the limit.
    pub fn decode(bytes: [u8; HEADER_BYTES]) -> Result<Self, FrameError> {
        let [v0, v1, l0, l1, l2, l3] = bytes;
        if u16::from_be_bytes([v0, v1]) != VERSION {
            return Err(FrameError::UnsupportedVersion);
        }
        let payload_bytes = usize::try_from(u32::from_be_bytes([l0, l1, l2, l3]))
            .map_err(|_| FrameError::TooLarge)?;
        if payload_bytes > FRAME_BYTES_MAX {
            return Err(FrameError::TooLarge);
        }
        Ok(Self { payload_bytes })
    }

    /// Bytes that follow the header: payload and padding.
    #[must_use]
    pub fn body_bytes(&self) -> usize {
        bucket(HEADER_BYTES + self.payload_bytes) - HEADER_BYTES
    }

    /// Cut the payload out of the body, after a check of the padding. [WIRE-FRAME-3]
    ///
    /// # Errors
    /// The sender's fault: another length than announced, or padding that is not zero.
    pub fn payload(&self, mut body: Vec<u8>) -> Result<Vec<u8>, FrameError> {
        if body.len() != self.body_bytes() {
            return Err(FrameError::Length);
        }
        let padding = body.get(self.payload_bytes..).ok_or(FrameError::Length)?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(FrameError::Padding);
        }
        body.truncate(self.payload_bytes);
        Ok(body)
    }
}

/// Decode one frame that is all of `bytes`.
///
/// # Errors
/// The sender's fault, as for [`Header::decode`] and [`Header::payload`].
pub fn decode_exact(bytes: &[u8]) -> Result<Vec<u8>, FrameError> {
    let (header, body) = bytes.split_first_chunk().ok_or(FrameError::Length)?;
    Header::decode(*header)?.payload(body.to_vec())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn buckets_are_the_ones_of_the_specification() {
        for (length, padded) in [
            (0, 256),
            (256, 256),
            (257, 272),
            (300, 304),
            (1_000, 1_024),
            (70_000, 71_680),
        ] {
            assert_eq!(bucket(length), padded, "bucket of {length}");
        }
    }

    #[test]
    fn every_kind_of_bad_frame_is_refused() {
        let good = encode(b"payload").unwrap();
        assert_eq!(decode_exact(&good).unwrap(), b"payload");
        let mut version = good.clone();
        version[1] = 9;
        assert_eq!(decode_exact(&version), Err(FrameError::UnsupportedVersion));
        let mut long = good.clone();
        long[2] = 0xff;
        assert_eq!(decode_exact(&long), Err(FrameError::TooLarge));
        assert_eq!(decode_exact(&good[..255]), Err(FrameError::Length));
        assert_eq!(decode_exact(&good[..3]), Err(FrameError::Length));
        let mut padding = good;
        padding[255] = 1;
        assert_eq!(decode_exact(&padding), Err(FrameError::Padding));
    }

    proptest! {
        #[test]
        fn a_frame_decodes_to_its_payload(payload in proptest::collection::vec(any::<u8>(), 0..5_000)) {
            let frame = encode(&payload).unwrap();
            prop_assert_eq!(frame.len(), bucket(frame.len()), "a frame fills its bucket");
            prop_assert_eq!(decode_exact(&frame).unwrap(), payload);
        }

        #[test]
        fn decoding_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            drop(decode_exact(&bytes));
        }

        #[test]
        fn a_bucket_is_at_most_an_eighth_longer(length in 257_usize..100_000_000) {
            let padded = bucket(length);
            prop_assert!(padded >= length && (padded - length) * 8 <= length);
        }
    }
}
