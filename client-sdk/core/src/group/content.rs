//! What members say to each other inside an MLS application message. Spec: client.md#messages.
//!
//! ```text
//! enum { text(1), group_name(2), group_deleted(3), direct(4) } ContentKind;
//! struct {
//!     uint8 version;              // 1
//!     opaque tag[16];             // random, once per message: sent twice, it is taken once
//!     uint64 sent_at;             // seconds since 1970, by the sender's clock
//!     ContentKind kind;
//!     select (kind) {
//!         case text: opaque text<V>;
//!         case group_name: opaque name<0..128>;
//!         case group_deleted: ;
//!         case direct: Pseudonym to; opaque text<V>;   // for one member alone
//!     };
//!     ContentExtension extensions<V>;  // each kind at most once; unknown ones are ignored
//! } Content;
//!
//! enum { receipt(1) } ContentExtensionKind;
//! struct {
//!     ContentExtensionKind kind;  // uint16
//!     opaque content<V>;          // receipt: the newest Receipt that the sender knows
//! } ContentExtension;
//! ```
//!
//! MLS pads it.

use protocol::codec::{Opaque, decode_exact, encode};
use protocol::id::Pseudonym;
use protocol::receipt::Receipt;
use tls_codec::{DeserializeBytes, TlsDeserializeBytes, TlsSerialize, TlsSize};

/// Bytes of a text: the message with everything around it stays below `MESSAGE_BYTES_MAX`.
pub const TEXT_BYTES_MAX: usize = 60 * 1_024;
/// Bytes of a group's name.
pub const GROUP_NAME_BYTES_MAX: usize = 128;
const VERSION: u8 = 1;
/// Kinds in the database.
const TEXT: u8 = 0;
const GROUP_NAME: u8 = 1;
pub(crate) const DIRECT: u8 = 3;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct Content {
    version: u8,
    pub(crate) tag: [u8; 16],
    pub(crate) sent_at: u64,
    pub(crate) body: Body,
    extensions: Opaque<4_096>,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
struct ContentExtension {
    kind: u16,
    content: Opaque<4_096>,
}

/// The newest receipt that the sender knows. [SDK-RECEIPT-2]
const RECEIPT: u16 = 1;

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
#[repr(u8)]
pub(crate) enum Body {
    #[tls_codec(discriminant = 1)]
    Text(Opaque<TEXT_BYTES_MAX>),
    #[tls_codec(discriminant = 2)]
    GroupName(Opaque<GROUP_NAME_BYTES_MAX>),
    #[tls_codec(discriminant = 3)]
    GroupDeleted,
    #[tls_codec(discriminant = 4)]
    Direct(Direct),
}

/// A text for one member. The name inside keeps servers from showing it to another one.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct Direct {
    pub(crate) to: Pseudonym,
    pub(crate) text: Opaque<TEXT_BYTES_MAX>,
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

    /// With the newest receipt that we know, for others to compare with theirs. [SDK-RECEIPT-2]
    pub(crate) fn with_receipt(mut self, receipt: Option<Receipt>) -> Self {
        let Some(receipt) = receipt else { return self };
        let content = Opaque::new(encode(&receipt)).unwrap_or_default();
        let extension = ContentExtension {
            kind: RECEIPT,
            content,
        };
        self.extensions = Opaque::new(encode(&extension)).unwrap_or_default();
        self
    }

    /// The receipt that the sender carries. What cannot be read is as if it were not there.
    pub(crate) fn receipt(&self) -> Option<Receipt> {
        let mut rest = self.extensions.as_slice();
        while let Ok((extension, after)) = ContentExtension::tls_deserialize_bytes(rest) {
            if extension.kind == RECEIPT {
                return decode_exact(extension.content.as_slice()).ok();
            }
            rest = after;
        }
        None
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
            Self::Text(_) => TEXT,
            Self::GroupName(_) => GROUP_NAME,
            Self::GroupDeleted => 2,
            Self::Direct(_) => DIRECT,
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_slice(),
            Self::GroupName(name) => name.as_slice(),
            Self::GroupDeleted => &[],
            Self::Direct(direct) => direct.text.as_slice(),
        }
    }

    /// From the database: what is for all.
    pub(crate) fn of(kind: u8, bytes: Vec<u8>) -> Option<Self> {
        match kind {
            TEXT => Opaque::new(bytes).ok().map(Self::Text),
            GROUP_NAME => Opaque::new(bytes).ok().map(Self::GroupName),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use protocol::crypto::signature::PrivateKey;
    use protocol::id::{GroupId, Seq};
    use protocol::receipt::ChainHash;

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

    /// [SDK-RECEIPT-2]
    #[test]
    fn a_receipt_is_found_among_extensions_that_are_unknown() {
        let (group, key) = (GroupId([1; 16]), PrivateKey::from_seed(&[2; 32]));
        let receipt = Receipt::sign(&key, group, Seq(7), ChainHash::start(&group));
        let text = Body::Text(Opaque::default());
        let mut content = Content::new([7; 16], 1, text).with_receipt(Some(receipt));
        assert_eq!(content.receipt(), Some(receipt));
        let unknown = ContentExtension {
            kind: 9,
            content: Opaque::new(vec![1, 2, 3]).unwrap(),
        };
        let both = [encode(&unknown), content.extensions.as_slice().to_vec()].concat();
        content.extensions = Opaque::new(both).unwrap();
        let content = Content::decode(&encode(&content)).unwrap();
        assert_eq!(content.receipt(), Some(receipt));
    }

    #[test]
    fn another_version_is_not_taken_for_ours() {
        let name = Body::GroupName(Opaque::new(b"walk".to_vec()).unwrap());
        let mut bytes = encode(&Content::new([7; 16], 1, name));
        bytes[0] = 2;
        assert_eq!(Content::decode(&bytes), None);
    }
}
