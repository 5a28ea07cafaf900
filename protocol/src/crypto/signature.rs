//! Ed25519 signatures with labels. Spec: crypto.md#signatures.

use std::fmt;

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};
use zeroize::Zeroizing;

/// The signature does not verify, or the key is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadSignature;

impl fmt::Display for BadSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the signature does not verify")
    }
}

impl std::error::Error for BadSignature {}

/// An Ed25519 public key, not yet known to be a curve point: [`PublicKey::verify`] finds out.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, TlsSize, TlsSerialize, TlsDeserializeBytes,
)]
pub struct PublicKey(pub [u8; 32]);

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicKey(..)")
    }
}

/// An Ed25519 signature.
#[derive(Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Signature(pub [u8; 64]);

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(..)")
    }
}

/// An Ed25519 private key; zeroed when dropped.
#[derive(Clone)]
pub struct PrivateKey(SigningKey);

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

impl PrivateKey {
    /// The key of a seed (RFC 8032 section 5.1.5).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The seed, for storage.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Sign `content` under `label`.
    #[must_use]
    pub fn sign(&self, label: &str, content: &[u8]) -> Signature {
        Signature(self.0.sign(&labelled(label, content)).to_bytes())
    }
}

impl PublicKey {
    /// Check a signature of `content` under `label`. [CRYPTO-SIGNATURE-1]
    ///
    /// # Errors
    /// The signer's fault: the key is no key, or did not sign this.
    pub fn verify(
        &self,
        label: &str,
        content: &[u8],
        signature: &Signature,
    ) -> Result<(), BadSignature> {
        let key = VerifyingKey::from_bytes(&self.0).map_err(|_| BadSignature)?;
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        key.verify_strict(&labelled(label, content), &signature)
            .map_err(|_| BadSignature)
    }
}

/// `opaque label<V> || content`: no two labels can give the same bytes.
fn labelled(label: &str, content: &[u8]) -> Vec<u8> {
    let mut bytes = crate::codec::encode_label(label);
    bytes.extend_from_slice(content);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_label_and_content_only() {
        let key = PrivateKey::from_seed(&[7; 32]);
        let signature = key.sign("one", b"content");
        assert!(
            key.public_key()
                .verify("one", b"content", &signature)
                .is_ok()
        );
        assert!(
            key.public_key()
                .verify("two", b"content", &signature)
                .is_err()
        );
        assert!(
            key.public_key()
                .verify("one", b"other", &signature)
                .is_err()
        );
        assert!(
            PublicKey([0xff; 32])
                .verify("one", b"content", &signature)
                .is_err()
        );
    }
}
