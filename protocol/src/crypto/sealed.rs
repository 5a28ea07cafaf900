//! Symmetric keys, their derivation, and sealing under them. Spec: crypto.md#sealing.

use std::fmt;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf;
use subtle::ConstantTimeEq;
use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes that sealing adds: nonce and tag.
pub const OVERHEAD_BYTES: usize = NONCE_LEN + 16;

/// The key, the associated data or the ciphertext is not the one that was sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadCiphertext;

impl fmt::Display for BadCiphertext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the ciphertext does not open under this key")
    }
}

impl std::error::Error for BadCiphertext {}

/// A 256-bit secret; zeroed when dropped, compared in constant time.
#[derive(Clone, Zeroize, ZeroizeOnDrop, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct SymmetricKey(pub [u8; 32]);

impl PartialEq for SymmetricKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SymmetricKey {}

impl fmt::Debug for SymmetricKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SymmetricKey(..)")
    }
}

impl SymmetricKey {
    /// HKDF-Expand with this key as the pseudorandom key and `label || context` as info.
    #[must_use]
    pub fn derive(&self, label: &str, context: &[u8]) -> Self {
        let label = crate::codec::encode_label(label);
        Self(*expand(&self.0, &[&label, context]))
    }

    /// Seal `plaintext` with AES-256-GCM. The result is `nonce || ciphertext || tag`.
    ///
    /// `nonce` is random and never used twice with one key.
    #[must_use]
    pub fn seal(&self, nonce: [u8; NONCE_LEN], aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(plaintext.len() + OVERHEAD_BYTES);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plaintext);
        let (_, body) = sealed.split_at_mut(NONCE_LEN);
        #[expect(
            clippy::expect_used,
            reason = "fails only beyond 2^36 bytes, limits are far below"
        )]
        let tag = self
            .key()
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), body)
            .expect("sealing succeeds");
        sealed.extend_from_slice(tag.as_ref());
        sealed
    }

    /// Open what [`Self::seal`] made.
    ///
    /// # Errors
    /// Another key, other associated data, or other bytes.
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, BadCiphertext> {
        let (nonce, body) = sealed
            .split_first_chunk::<NONCE_LEN>()
            .ok_or(BadCiphertext)?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let mut plaintext = body.to_vec();
        let length = self
            .key()
            .open_in_place(nonce, Aad::from(aad), &mut plaintext)
            .map_err(|_| BadCiphertext)?
            .len();
        plaintext.truncate(length);
        Ok(plaintext)
    }

    /// Open what [`Self::seal`] made, behind what is in `out`. If it does not open, what is behind
    /// is cut off again.
    ///
    /// # Errors
    /// Another key, other associated data, or other bytes.
    pub fn open_into(
        &self,
        aad: &[u8],
        sealed: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), BadCiphertext> {
        let (nonce, body) = sealed
            .split_first_chunk::<NONCE_LEN>()
            .ok_or(BadCiphertext)?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let before = out.len();
        out.extend_from_slice(body);
        let opened = out.get_mut(before..).ok_or(BadCiphertext).and_then(|body| {
            let opened = self.key().open_in_place(nonce, Aad::from(aad), body);
            opened.map(|opened| opened.len()).map_err(|_| BadCiphertext)
        });
        out.truncate(before + opened.unwrap_or_default());
        opened.map(|_| ())
    }

    fn key(&self) -> LessSafeKey {
        #[expect(clippy::expect_used, reason = "32 bytes are an AES-256 key")]
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &self.0).expect("the length fits"))
    }
}

/// HKDF-Expand with SHA-256 (RFC 5869 section 2.3), to 32 bytes; `purpose` is its info.
pub(crate) fn expand(key: &[u8; 32], purpose: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let key = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, key);
    let mut expanded = Zeroizing::new([0; 32]);
    #[expect(clippy::expect_used, reason = "HKDF gives 255 times as much")]
    key.expand(purpose, hkdf::HKDF_SHA256)
        .and_then(|expansion| expansion.fill(expanded.as_mut_slice()))
        .expect("one block is not too long");
    expanded
}

/// SHA-256 of `label` and `content`, separated so that no two pairs give the same input.
#[must_use]
pub fn hash(label: &str, content: &[u8]) -> [u8; 32] {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    context.update(&crate::codec::encode_label(label));
    context.update(content);
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_bytes_open_in_their_place_only() {
        let key = SymmetricKey([1; 32]);
        let sealed = key.seal([2; 12], b"here", b"secret");
        assert_eq!(sealed.len(), 6 + OVERHEAD_BYTES);
        assert_eq!(key.open(b"here", &sealed).unwrap(), b"secret");
        assert_eq!(key.open(b"there", &sealed), Err(BadCiphertext));
        assert_eq!(
            SymmetricKey([3; 32]).open(b"here", &sealed),
            Err(BadCiphertext)
        );
        assert_eq!(key.open(b"here", &sealed[..20]), Err(BadCiphertext));
    }

    #[test]
    fn what_does_not_open_leaves_nothing_behind() {
        let key = SymmetricKey([1; 32]);
        let sealed = key.seal([2; 12], b"here", b"secret");
        let mut out = b"a ".to_vec();
        assert_eq!(
            key.open_into(b"there", &sealed, &mut out),
            Err(BadCiphertext)
        );
        assert_eq!(
            key.open_into(b"here", &sealed[..4], &mut out),
            Err(BadCiphertext)
        );
        assert_eq!(out, b"a ");
        assert_eq!(key.open_into(b"here", &sealed, &mut out), Ok(()));
        assert_eq!(out, b"a secret");
    }

    #[test]
    fn derived_keys_differ_by_label_and_context() {
        let key = SymmetricKey([1; 32]);
        assert!(key.derive("a", b"b") != key.derive("a", b"c"));
        assert!(key.derive("a", b"b") != key.derive("b", b"b"));
        assert!(key.derive("a", b"b") == key.derive("a", b"b"));
    }
}
