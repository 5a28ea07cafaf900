//! Sealing to a public key: HPKE base mode (RFC 9180) with DHKEM(X25519, HKDF-SHA256),
//! HKDF-SHA256 and AES-128-GCM. Spec: crypto.md#hpke.

use std::fmt;

use hpke_rs::hpke_types::{AeadAlgorithm, KdfAlgorithm, KemAlgorithm};
use hpke_rs::{Hpke, HpkePrivateKey, HpkePublicKey, Mode};
use hpke_rs_crypto::HpkeCrypto;
use hpke_rs_rust_crypto::HpkeRustCrypto;
use subtle::ConstantTimeEq;
use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::codec::Opaque;

/// Sealing or opening failed: a key that is none, or another ciphertext.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HpkeFailed;

impl fmt::Display for HpkeFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HPKE failed: not the key or not the ciphertext")
    }
}

impl std::error::Error for HpkeFailed {}

/// An X25519 public key.
#[derive(Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct SealKey(pub [u8; 32]);

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(..)")
    }
}

/// The private key to a [`SealKey`], kept as the seed it is derived from (RFC 9180 section 7.1.3).
#[derive(Clone)]
pub struct OpenKey {
    seed: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for OpenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenKey(..)")
    }
}

/// A private key of a node of an MLS group's tree, as MLS clients keep it: the scalar.
#[derive(Clone, Zeroize, ZeroizeOnDrop, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct NodeKey(pub [u8; 32]);

impl PartialEq for NodeKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for NodeKey {}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeKey(..)")
    }
}

/// What was sealed to a public key.
///
/// ```text
/// struct { opaque encapsulated_key[32]; opaque ciphertext<0..MAX>; } HpkeCiphertext;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct HpkeCiphertext<const MAX: usize> {
    /// The sender's ephemeral key.
    pub encapsulated_key: [u8; 32],
    /// Ciphertext and tag.
    pub ciphertext: Opaque<MAX>,
}

impl OpenKey {
    /// The key derived from a random seed.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self::from_secret(Zeroizing::new(seed))
    }

    /// The same of a seed that is zeroed when it is dropped, which no copy is left of.
    #[must_use]
    pub const fn from_secret(seed: Zeroizing<[u8; 32]>) -> Self {
        Self { seed }
    }

    /// The seed, for storage.
    #[must_use]
    pub fn seed(&self) -> &[u8; 32] {
        &self.seed
    }

    /// The public key.
    ///
    /// # Errors
    /// The operating system gives no entropy.
    pub fn seal_key(&self) -> Result<SealKey, HpkeFailed> {
        let (_, public) = self.pair()?;
        let bytes = public.as_slice().try_into().map_err(|_| HpkeFailed)?;
        Ok(SealKey(bytes))
    }

    /// Open what was sealed to this key with the same `purpose` (HPKE info) and `aad`.
    ///
    /// # Errors
    /// The sealer's fault: another key, purpose or ciphertext.
    pub fn open<const MAX: usize>(
        &self,
        purpose: &str,
        aad: &[u8],
        sealed: &HpkeCiphertext<MAX>,
    ) -> Result<Zeroizing<Vec<u8>>, HpkeFailed> {
        let (private, _) = self.pair()?;
        let ciphertext = sealed.ciphertext.as_slice();
        suite()?
            .open(
                &sealed.encapsulated_key,
                &private,
                purpose.as_bytes(),
                aad,
                ciphertext,
                None,
                None,
                None,
            )
            .map(Zeroizing::new)
            .map_err(|_| HpkeFailed)
    }

    fn pair(&self) -> Result<(HpkePrivateKey, HpkePublicKey), HpkeFailed> {
        let pair = suite()?
            .derive_key_pair(self.seed.as_slice())
            .map_err(|_| HpkeFailed)?;
        Ok(pair.into_keys())
    }
}

impl NodeKey {
    /// The public key.
    ///
    /// # Errors
    /// None that depends on the key.
    pub fn seal_key(&self) -> Result<SealKey, HpkeFailed> {
        let public = HpkeRustCrypto::secret_to_public(KemAlgorithm::DhKem25519, &self.0);
        let public = public.map_err(|_| HpkeFailed)?;
        Ok(SealKey(
            public.as_slice().try_into().map_err(|_| HpkeFailed)?,
        ))
    }

    /// Open what was sealed to this key with the same `purpose` (HPKE info) and nothing beside it; `None` if it
    /// does not open.
    ///
    /// # Errors
    /// The operating system gives no entropy: whether it opens is not known.
    pub(crate) fn open(
        &self,
        purpose: &[u8],
        (encapsulated_key, ciphertext): (&[u8], &[u8]),
    ) -> Result<Option<Zeroizing<Vec<u8>>>, HpkeFailed> {
        let private = HpkePrivateKey::new(self.0.to_vec());
        let suite = suite()?;
        let opened = suite.open(
            encapsulated_key,
            &private,
            purpose,
            &[],
            ciphertext,
            None,
            None,
            None,
        );
        Ok(opened.ok().map(Zeroizing::new))
    }
}

impl SealKey {
    /// Seal `plaintext` to this key for `purpose` (HPKE info).
    ///
    /// # Errors
    /// The key is none, the ciphertext would be longer than `MAX`, or there is no entropy.
    pub fn seal<const MAX: usize>(
        &self,
        purpose: &str,
        aad: &[u8],
        plaintext: &[u8],
    ) -> Result<HpkeCiphertext<MAX>, HpkeFailed> {
        let key = HpkePublicKey::new(self.0.to_vec());
        let (encapsulated_key, ciphertext) = suite()?
            .seal(&key, purpose.as_bytes(), aad, plaintext, None, None, None)
            .map_err(|_| HpkeFailed)?;
        Ok(HpkeCiphertext {
            encapsulated_key: encapsulated_key
                .as_slice()
                .try_into()
                .map_err(|_| HpkeFailed)?,
            ciphertext: Opaque::new(ciphertext).map_err(|_| HpkeFailed)?,
        })
    }
}

fn suite() -> Result<Hpke<HpkeRustCrypto>, HpkeFailed> {
    Hpke::try_new(
        Mode::Base,
        KemAlgorithm::DhKem25519,
        KdfAlgorithm::HkdfSha256,
        AeadAlgorithm::Aes128Gcm,
    )
    .map_err(|_| HpkeFailed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_for_its_purpose_only() {
        let key = OpenKey::from_seed([3; 32]);
        let sealed = key
            .seal_key()
            .unwrap()
            .seal::<64>("info", b"aad", b"secret")
            .unwrap();
        assert_eq!(
            key.open("info", b"aad", &sealed).unwrap().as_slice(),
            b"secret"
        );
        assert!(key.open("other", b"aad", &sealed).is_err());
        assert!(key.open("info", b"other", &sealed).is_err());
        assert!(
            OpenKey::from_seed([4; 32])
                .open("info", b"aad", &sealed)
                .is_err()
        );
    }

    #[test]
    fn the_bound_of_a_ciphertext_holds_when_sealing() {
        let key = OpenKey::from_seed([3; 32]).seal_key().unwrap();
        assert!(
            key.seal::<8>("info", b"", b"longer than eight bytes")
                .is_err()
        );
    }
}
