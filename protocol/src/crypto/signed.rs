//! Signed requests: bound to operation, domain and connection. Spec: wire.md#signed-requests.

use std::fmt;
use std::io::Write;

use tls_codec::{DeserializeBytes, Error, Serialize, Size, VLByteSlice};

use crate::codec::{decode_exact, encode, length_prefixed};
use crate::crypto::label;
use crate::crypto::signature::{BadSignature, PrivateKey, PublicKey, Signature};
use crate::id::Domain;
use crate::request::Operation;

/// What a request's signature is bound to besides its body: a connection to a server. [WIRE-SIGNED-1]
#[derive(Clone, PartialEq, Eq)]
pub struct Binding {
    /// The server's domain.
    pub domain: Domain,
    /// The connection's TLS exporter value (RFC 8446 section 7.5), label [`label::EXPORTER`],
    /// empty context.
    pub exporter: [u8; 32],
}

impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Binding(..)")
    }
}

/// A request with a signature that nobody has checked.
///
/// ```text
/// struct { opaque body<V>; opaque signature[64]; } Signed;
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Signed<T> {
    content: T,
    /// As received: signatures are checked over these bytes, never over a re-encoding.
    body: Vec<u8>,
    signature: Signature,
}

impl<T: Operation + Serialize> Signed<T> {
    /// Sign a request for one connection.
    #[must_use]
    pub fn new(content: T, key: &PrivateKey, binding: &Binding) -> Self {
        let body = encode(&content);
        let signature = key.sign(label::REQUEST, &signature_content::<T>(&body, binding));
        Self {
            content,
            body,
            signature,
        }
    }
}

impl<T> Signed<T> {
    /// The content, to find the key that must have signed it; nothing else.
    pub fn unverified(&self) -> &T {
        &self.content
    }

    /// The signed bytes: what two attempts at one request have in common.
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

impl<T: Operation> Signed<T> {
    /// Check the signature and give the content. [WIRE-SIGNED-2]
    ///
    /// # Errors
    /// The sender's fault: another key, operation, domain, connection or body was signed.
    pub fn verify(self, key: &PublicKey, binding: &Binding) -> Result<T, BadSignature> {
        let content = signature_content::<T>(&self.body, binding);
        key.verify(label::REQUEST, &content, &self.signature)?;
        Ok(self.content)
    }
}

/// `Domain domain; opaque exporter[32]; uint16 operation; opaque body<V>;`
fn signature_content<T: Operation>(body: &[u8], binding: &Binding) -> Vec<u8> {
    [
        encode(&binding.domain).as_slice(),
        &binding.exporter,
        &T::CODE.to_be_bytes(),
        &encode(&VLByteSlice(body)),
    ]
    .concat()
}

impl<T> fmt::Debug for Signed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signed({} bytes)", self.body.len())
    }
}

impl<T> Size for Signed<T> {
    fn tls_serialized_len(&self) -> usize {
        VLByteSlice(&self.body).tls_serialized_len() + self.signature.tls_serialized_len()
    }
}

impl<T> Serialize for Signed<T> {
    fn tls_serialize<W: Write>(&self, writer: &mut W) -> Result<usize, Error> {
        let body = VLByteSlice(&self.body).tls_serialize(writer)?;
        Ok(body + self.signature.tls_serialize(writer)?)
    }
}

impl<T: DeserializeBytes> DeserializeBytes for Signed<T> {
    fn tls_deserialize_bytes(bytes: &[u8]) -> Result<(Self, &[u8]), Error> {
        let (body, rest) = length_prefixed(bytes)?;
        let (signature, rest) = Signature::tls_deserialize_bytes(rest)?;
        Ok((
            Self {
                content: decode_exact(body)?,
                body: body.to_vec(),
                signature,
            },
            rest,
        ))
    }
}
