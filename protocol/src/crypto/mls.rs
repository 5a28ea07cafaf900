//! What of MLS's cryptography Hearth computes itself, to judge a commit's path. Spec: RFC 9420
//! sections 5.1.3 and 8.

use tls_codec::VLByteSlice;
use zeroize::Zeroizing;

use crate::codec::encode;
use crate::crypto::sealed::expand;

/// Before every label of MLS.
const PREFIX: &str = "MLS 1.0 ";

/// A secret of the length of SHA-256.
pub(crate) type Secret = Zeroizing<[u8; 32]>;

/// `DeriveSecret(secret, label)`.
///
/// ```text
/// struct { uint16 length = 32; opaque label<V>; opaque context<V> = ""; } KDFLabel;
/// ```
pub(crate) fn derive_secret(secret: &Secret, label: &str) -> Secret {
    let label = format!("{PREFIX}{label}");
    let label = encode(&VLByteSlice(label.as_bytes()));
    let context = encode(&VLByteSlice(b""));
    expand(secret, &[&32_u16.to_be_bytes(), &label, &context])
}

/// The HPKE info of `EncryptWithLabel(.., label, context, ..)`.
///
/// ```text
/// struct { opaque label<V>; opaque context<V>; } EncryptContext;
/// ```
pub(crate) fn encrypt_context(label: &str, context: &[u8]) -> Vec<u8> {
    let label = format!("{PREFIX}{label}");
    let mut bytes = encode(&VLByteSlice(label.as_bytes()));
    bytes.extend(encode(&VLByteSlice(context)));
    bytes
}
