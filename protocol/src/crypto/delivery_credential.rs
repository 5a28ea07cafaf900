//! The credential of a delivery service's key. Spec: crypto.md#delivery-credential.
//!
//! The key signs receipts and, as an external sender of the groups (RFC 9420 section 12.1.8.1),
//! proposals. Its credential stands in each group's `external_senders` extension, where all members
//! see the same one.

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::codec::encode;
use crate::crypto::credential::{
    BadCredential, IntermediateCredential, ServerCredentialTbs, VerifiedServerKeys,
};
use crate::crypto::label;
use crate::crypto::signature::{PrivateKey, PublicKey, Signature};
use crate::time::Timestamp;

/// The key of a domain's delivery service, signed by the domain's intermediate.
///
/// ```text
/// struct { ServerCredentialTbs tbs; Signature self_signature; Signature signature; } DeliveryCredential;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct DeliveryCredential {
    /// What is signed. The issuer is the intermediate's fingerprint.
    pub tbs: ServerCredentialTbs,
    /// By the key itself.
    pub self_signature: Signature,
    /// By the intermediate.
    pub signature: Signature,
}

impl DeliveryCredential {
    /// Sign a key for as long as its issuer is valid.
    #[must_use]
    pub fn new(issuer: &IntermediateCredential, issuer_key: &PrivateKey, key: &PrivateKey) -> Self {
        let tbs = ServerCredentialTbs {
            domain: issuer.tbs.domain.clone(),
            public_key: key.public_key(),
            lifetime: issuer.tbs.lifetime,
            issuer: issuer.fingerprint(),
        };
        let content = encode(&tbs);
        Self {
            tbs,
            self_signature: key.sign(label::DELIVERY_CREDENTIAL_SELF, &content),
            signature: issuer_key.sign(label::DELIVERY_CREDENTIAL, &content),
        }
    }

    /// Check the credential under its domain's keys. [CRYPTO-DELIVERY-1]
    ///
    /// # Errors
    /// The server's fault: not of this issuer or domain, not valid now, or not signed.
    pub fn verify(
        &self,
        issuer: &VerifiedServerKeys,
        now: Timestamp,
    ) -> Result<PublicKey, BadCredential> {
        let tbs = &self.tbs;
        if tbs.domain != *issuer.domain() {
            return Err(BadCredential::Domain);
        }
        if tbs.issuer != issuer.issuer() {
            return Err(BadCredential::Issuer);
        }
        if !tbs.lifetime.contains(now) || !tbs.lifetime.is_inside(&issuer.lifetime()) {
            return Err(BadCredential::Lifetime);
        }
        let content = encode(tbs);
        let own = &self.self_signature;
        tbs.public_key
            .verify(label::DELIVERY_CREDENTIAL_SELF, &content, own)?;
        issuer
            .public_key()
            .verify(label::DELIVERY_CREDENTIAL, &content, &self.signature)?;
        Ok(tbs.public_key)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::crypto::credential::{RootCredential, ServerKeys};
    use crate::time::Lifetime;

    const NOW: Timestamp = Timestamp(1_800_000_000);

    fn key(seed: u8) -> PrivateKey {
        PrivateKey::from_seed(&[seed; 32])
    }

    fn server() -> (ServerKeys, DeliveryCredential) {
        let days = |days: u64| Lifetime::starting(NOW, Duration::from_secs(days * 86_400));
        let root = RootCredential::new("a.example".parse().unwrap(), &key(1), days(3_000));
        let intermediate = IntermediateCredential::new(&root, &key(1), &key(2), days(300));
        let credential = DeliveryCredential::new(&intermediate, &key(2), &key(3));
        (ServerKeys { root, intermediate }, credential)
    }

    #[test]
    fn only_the_domains_intermediate_makes_a_delivery_credential() {
        let (keys, credential) = server();
        let issuer = keys.verify(&"a.example".parse().unwrap(), NOW).unwrap();
        assert_eq!(credential.verify(&issuer, NOW), Ok(key(3).public_key()));
        let late = Timestamp(NOW.0 + 400 * 86_400);
        assert_eq!(
            credential.verify(&issuer, late),
            Err(BadCredential::Lifetime)
        );
        let forged = DeliveryCredential::new(&keys.intermediate, &key(9), &key(3));
        assert_eq!(forged.verify(&issuer, NOW), Err(BadCredential::Signature));
        let mut other = credential;
        other.tbs.public_key = key(4).public_key();
        assert_eq!(other.verify(&issuer, NOW), Err(BadCredential::Signature));
    }
}
