//! Exact decoding and bounded byte strings. Spec: wire.md#encoding.

use std::fmt;
use std::io::Write;

use tls_codec::{DeserializeBytes, Error, Serialize, Size, TlsVarInt, VLByteSlice};

/// Encode a structure of the protocol.
///
/// # Panics
/// Never for values that this crate can decode: writing to memory does not fail and every length
/// of the protocol is far below the codec's 2^30.
#[must_use]
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(value.tls_serialized_len());
    #[expect(
        clippy::expect_used,
        reason = "memory accepts every write; lengths are bounded"
    )]
    value
        .tls_serialize(&mut bytes)
        .expect("encoding into memory succeeds");
    bytes
}

/// Decode a structure from all of `bytes`; anything left over is an error. [WIRE-ENCODING-1]
///
/// # Errors
/// The sender's fault: not an encoding of `T`.
pub fn decode_exact<T: DeserializeBytes>(bytes: &[u8]) -> Result<T, Error> {
    T::tls_deserialize_exact_bytes(bytes)
}

/// `opaque<0..MAX>`: bytes with a length prefix and a bound that decoding enforces. [WIRE-ENCODING-2]
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Opaque<const MAX: usize>(Vec<u8>);

impl<const MAX: usize> Opaque<MAX> {
    /// Wrap bytes that the caller knows to be within the bound.
    ///
    /// # Errors
    /// The bytes are longer than `MAX`.
    pub fn new(bytes: Vec<u8>) -> Result<Self, Error> {
        if bytes.len() > MAX {
            Err(Error::InvalidVectorLength)
        } else {
            Ok(Self(bytes))
        }
    }

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, owned.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }
}

impl<const MAX: usize> fmt::Debug for Opaque<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opaque({} bytes)", self.0.len())
    }
}

impl<const MAX: usize> Size for Opaque<MAX> {
    fn tls_serialized_len(&self) -> usize {
        VLByteSlice(&self.0).tls_serialized_len()
    }
}

impl<const MAX: usize> Serialize for Opaque<MAX> {
    fn tls_serialize<W: Write>(&self, writer: &mut W) -> Result<usize, Error> {
        VLByteSlice(&self.0).tls_serialize(writer)
    }
}

impl<const MAX: usize> DeserializeBytes for Opaque<MAX> {
    fn tls_deserialize_bytes(bytes: &[u8]) -> Result<(Self, &[u8]), Error> {
        let (content, rest) = length_prefixed(bytes)?;
        if content.len() > MAX {
            return Err(Error::InvalidVectorLength);
        }
        Ok((Self(content.to_vec()), rest))
    }
}

/// `opaque label<V>`: what precedes everything that is signed, hashed or derived under a label.
pub(crate) fn encode_label(label: &str) -> Vec<u8> {
    encode(&VLByteSlice(label.as_bytes()))
}

/// Split `bytes` into the content of a leading length-prefixed string and the rest. The length
/// must be in its shortest form (RFC 9420 section 2.1.2).
pub(crate) fn length_prefixed(bytes: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    let (prefix, rest) = TlsVarInt::tls_deserialize_bytes(bytes)?;
    if prefix.tls_serialized_len() + rest.len() != bytes.len() {
        return Err(Error::InvalidVectorLength);
    }
    let length = usize::try_from(prefix.value()).map_err(|_| Error::InvalidVectorLength)?;
    rest.split_at_checked(length).ok_or(Error::EndOfStream)
}
