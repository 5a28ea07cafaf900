//! Sealed identities: who is behind a pseudonymous leaf, for members only. Spec: crypto.md#identities.
//!
//! A leaf's MLS credential is random bytes. Its extension [`SEALED_IDENTITY_EXTENSION`] carries the
//! client credential and its signature of the leaf key, sealed under the leaf's *link key*. The
//! link key travels wrapped: under the owner's friendship key beside a published KeyPackage, under
//! the group's identity key inside a group. Servers hold the wraps and can open none.

use std::fmt;

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::codec::{Opaque, decode_exact, encode};
use crate::crypto::credential::{ClientCredential, VerifiedClient, VerifiedServerKeys};
use crate::crypto::label;
use crate::crypto::sealed::{OVERHEAD_BYTES, SymmetricKey};
use crate::crypto::signature::{PrivateKey, PublicKey, Signature};
use crate::time::Timestamp;

/// The MLS extension type of a sealed identity (private use range, RFC 9420 section 17.3). Its
/// `extension_data` is an encoded [`SealedIdentity`], length prefix included:
/// [`SEALED_IDENTITY_EXTENSION_BYTES`].
pub const SEALED_IDENTITY_EXTENSION: u16 = 0xf4e1;
/// Bytes of an identity before sealing: every sealed identity has one length.
pub const IDENTITY_BYTES: usize = 576;

/// Bytes of the extension's data: a sealed identity with its length prefix.
pub const SEALED_IDENTITY_EXTENSION_BYTES: usize = 2 + IDENTITY_BYTES + OVERHEAD_BYTES;

/// The identity does not open or does not verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadIdentity;

impl fmt::Display for BadIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the sealed identity does not open or does not verify")
    }
}

impl std::error::Error for BadIdentity {}

/// ```text
/// struct { ClientCredential credential; Signature leaf_signature; } Identity;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Identity {
    /// Who.
    pub credential: ClientCredential,
    /// The credential's signature of the leaf signature key.
    pub leaf_signature: Signature,
}

/// A padded [`Identity`] under a link key, with the leaf signature key as associated data.
pub type SealedIdentity = Opaque<{ IDENTITY_BYTES + OVERHEAD_BYTES }>;

/// A link key under a friendship key or an identity key, with the leaf signature key as
/// associated data.
///
/// ```text
/// opaque WrappedLinkKey[60];
/// ```
#[derive(Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct WrappedLinkKey(pub [u8; 32 + OVERHEAD_BYTES]);

impl fmt::Debug for WrappedLinkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WrappedLinkKey(..)")
    }
}

impl Identity {
    /// State who is behind `leaf`.
    #[must_use]
    pub fn new(credential: ClientCredential, key: &PrivateKey, leaf: &PublicKey) -> Self {
        let leaf_signature = key.sign(label::LEAF_IDENTITY, &leaf.0);
        Self {
            credential,
            leaf_signature,
        }
    }

    /// Seal under a fresh link key.
    ///
    /// # Errors
    /// The credential's domain is too long to fit [`IDENTITY_BYTES`].
    pub fn seal(
        &self,
        link_key: &SymmetricKey,
        nonce: [u8; 12],
        leaf: &PublicKey,
    ) -> Result<SealedIdentity, BadIdentity> {
        let mut content = encode(self);
        let length = u16::try_from(content.len()).map_err(|_| BadIdentity)?;
        content.splice(0..0, length.to_be_bytes());
        if content.len() > IDENTITY_BYTES {
            return Err(BadIdentity);
        }
        content.resize(IDENTITY_BYTES, 0);
        Opaque::new(link_key.seal(nonce, &leaf.0, &content)).map_err(|_| BadIdentity)
    }

    /// Open what [`Self::seal`] made.
    ///
    /// # Errors
    /// The member's fault: another leaf's identity, or none.
    pub fn open(
        sealed: &SealedIdentity,
        link_key: &SymmetricKey,
        leaf: &PublicKey,
    ) -> Result<Self, BadIdentity> {
        let content = link_key
            .open(&leaf.0, sealed.as_slice())
            .map_err(|_| BadIdentity)?;
        let (length, rest) = content.split_first_chunk().ok_or(BadIdentity)?;
        let length = usize::from(u16::from_be_bytes(*length));
        decode_exact(rest.get(..length).ok_or(BadIdentity)?).map_err(|_| BadIdentity)
    }

    /// Check that the credential is valid and signed this leaf. [CRYPTO-IDENTITY-1]
    ///
    /// # Errors
    /// The member's fault: a credential that does not verify, or a leaf it did not sign.
    pub fn verify(
        &self,
        leaf: &PublicKey,
        issuer: &VerifiedServerKeys,
        now: Timestamp,
    ) -> Result<VerifiedClient, BadIdentity> {
        let client = self
            .credential
            .verify(issuer, now)
            .map_err(|_| BadIdentity)?;
        client
            .public_key()
            .verify(label::LEAF_IDENTITY, &leaf.0, &self.leaf_signature)
            .map_err(|_| BadIdentity)?;
        Ok(client)
    }
}

impl WrappedLinkKey {
    /// Wrap a link key.
    #[must_use]
    pub fn seal(
        link_key: &SymmetricKey,
        under: &SymmetricKey,
        nonce: [u8; 12],
        leaf: &PublicKey,
    ) -> Self {
        let mut wrapped = [0; 32 + OVERHEAD_BYTES];
        wrapped.copy_from_slice(&under.seal(nonce, &leaf.0, &link_key.0));
        Self(wrapped)
    }

    /// Unwrap it.
    ///
    /// # Errors
    /// Another key or another leaf.
    pub fn open(
        &self,
        under: &SymmetricKey,
        leaf: &PublicKey,
    ) -> Result<SymmetricKey, BadIdentity> {
        let key = zeroize::Zeroizing::new(under.open(&leaf.0, &self.0).map_err(|_| BadIdentity)?);
        let key: [u8; 32] = key.as_slice().try_into().map_err(|_| BadIdentity)?;
        Ok(SymmetricKey(key))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::crypto::credential::{
        ClientCredentialRequest, ClientCredentialTbs, IntermediateCredential, RootCredential,
        ServerKeys,
    };
    use crate::id::{ClientId, UserAddress, UserId};
    use crate::time::Lifetime;

    #[test]
    fn an_identity_is_bound_to_its_leaf() {
        let now = Timestamp(1_800_000_000);
        let lifetime = Lifetime::starting(now, Duration::from_secs(86_400));
        let key = |byte| PrivateKey::from_seed(&[byte; 32]);
        let domain: crate::id::Domain = format!("{}.example", "a".repeat(60)).parse().unwrap();
        let root = RootCredential::new(domain.clone(), &key(1), lifetime);
        let intermediate = IntermediateCredential::new(&root, &key(1), &key(2), lifetime);
        let keys = ServerKeys { root, intermediate }
            .verify(&domain, now)
            .unwrap();
        let tbs = ClientCredentialTbs {
            user: UserAddress {
                id: UserId([4; 16]),
                domain,
            },
            client: ClientId([5; 16]),
            public_key: key(3).public_key(),
            lifetime,
            issuer: keys.issuer(),
        };
        let credential = ClientCredentialRequest::new(tbs, &key(3)).sign(&key(2));
        let (leaf, other) = (key(4).public_key(), key(5).public_key());
        let identity = Identity::new(credential, &key(3), &leaf);
        let link_key = SymmetricKey([6; 32]);
        let sealed = identity.seal(&link_key, [0; 12], &leaf).unwrap();
        assert_eq!(sealed.as_slice().len(), IDENTITY_BYTES + OVERHEAD_BYTES);
        assert_eq!(encode(&sealed).len(), SEALED_IDENTITY_EXTENSION_BYTES);
        assert_eq!(Identity::open(&sealed, &link_key, &leaf).unwrap(), identity);
        assert_eq!(Identity::open(&sealed, &link_key, &other), Err(BadIdentity));
        assert!(identity.verify(&leaf, &keys, now).is_ok());
        assert_eq!(identity.verify(&other, &keys, now), Err(BadIdentity));
        let wrapped = WrappedLinkKey::seal(&link_key, &SymmetricKey([7; 32]), [1; 12], &leaf);
        assert_eq!(
            wrapped.open(&SymmetricKey([7; 32]), &leaf).unwrap(),
            link_key
        );
        assert_eq!(
            wrapped.open(&SymmetricKey([7; 32]), &other),
            Err(BadIdentity)
        );
    }
}
