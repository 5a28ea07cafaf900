//! What members say to each other inside an MLS application message. Spec: client.md#messages.
//!
//! ```text
//! enum { text(1), group_name(2) } ContentKind;
//! struct {
//!     uint8 version;              // 1
//!     opaque tag[16];             // random, once per message: sent twice, it is taken once
//!     uint64 sent_at;             // seconds since 1970, by the sender's clock
//!     ContentKind kind;
//!     select (kind) { case text: opaque text<V>; case group_name: opaque name<0..128>; };
//!     opaque extensions<V>;       // empty; others are ignored
//! } Content;
//! ```
//!
//! MLS pads it.

use protocol::codec::{Opaque, decode_exact};
use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

/// Bytes of a text: the message with everything around it stays below `MESSAGE_BYTES_MAX`.
pub const TEXT_BYTES_MAX: usize = 60 * 1_024;
/// Bytes of a group's name.
pub const GROUP_NAME_BYTES_MAX: usize = 128;
const VERSION: u8 = 1;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct Content {
    version: u8,
    pub(crate) tag: [u8; 16],
    pub(crate) sent_at: u64,
    pub(crate) body: Body,
    extensions: Opaque<4_096>,
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
#[repr(u8)]
pub(crate) enum Body {
    #[tls_codec(discriminant = 1)]
    Text(Opaque<TEXT_BYTES_MAX>),
    #[tls_codec(discriminant = 2)]
    GroupName(Opaque<GROUP_NAME_BYTES_MAX>),
}

impl Content {
    pub(crate) fn new(tag: [u8; 16], sent_at: u64, body: Body) -> Self {
        Self {
            version: VERSION,
            tag,
            sent_at,
            body,
            extensions: Opaque::default(),
        }
    }

    /// Decode what a member sent.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        decode_exact::<Self>(bytes)
            .ok()
            .filter(|content| content.version == VERSION)
    }
}

impl Body {
    /// The number in the database.
    pub(crate) fn kind(&self) -> u8 {
        match self {
            Self::Text(_) => 0,
            Self::GroupName(_) => 1,
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_slice(),
            Self::GroupName(name) => name.as_slice(),
        }
    }

    /// From the database.
    pub(crate) fn of(kind: u8, bytes: Vec<u8>) -> Option<Self> {
        match kind {
            0 => Opaque::new(bytes).ok().map(Self::Text),
            1 => Opaque::new(bytes).ok().map(Self::GroupName),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use protocol::codec::encode;

    use super::*;

    proptest! {
        #[test]
        fn content_survives_encoding(text in proptest::collection::vec(any::<u8>(), 0..2_000), sent_at: u64) {
            let content = Content::new([7; 16], sent_at, Body::Text(Opaque::new(text).unwrap()));
            prop_assert_eq!(Content::decode(&encode(&content)), Some(content));
        }

        #[test]
        fn decoding_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            drop(Content::decode(&bytes));
        }
    }

    #[test]
    fn another_version_is_not_taken_for_ours() {
        let name = Body::GroupName(Opaque::new(b"walk".to_vec()).unwrap());
        let mut bytes = encode(&Content::new([7; 16], 1, name));
        bytes[0] = 2;
        assert_eq!(Content::decode(&bytes), None);
    }
}
