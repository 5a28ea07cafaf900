//! The few shapes that MLS structures are made of.

use tls_codec::{Serialize, VLByteSlice};

/// Reads from the front.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_be_bytes)
    }

    /// `opaque <V>`.
    pub(super) fn vector(&mut self) -> Option<Vec<u8>> {
        let first = *self.0.first()?;
        let bytes = 1_usize << (first >> 6);
        let prefix = self.take(bytes.min(4))?;
        let length = prefix
            .iter()
            .fold(0, |sum, byte| (sum << 8) | usize::from(*byte));
        let mask = (1_usize << (8 * prefix.len() - 2)) - 1;
        self.take(length & mask).map(<[u8]>::to_vec)
    }
}

pub(super) fn put_u32(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_be_bytes());
}

pub(super) fn put_u64(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_be_bytes());
}

/// `opaque <V>`.
#[expect(clippy::expect_used, reason = "memory takes what is written to it")]
pub(super) fn put_vector(out: &mut Vec<u8>, bytes: &[u8]) {
    VLByteSlice(bytes)
        .tls_serialize(out)
        .expect("a length that MLS has");
}
