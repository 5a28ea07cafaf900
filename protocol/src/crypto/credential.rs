//! The chain of credentials: domain root, intermediate, client. Spec: crypto.md#credentials.
//!
//! ```text
//! RootCredential --signs--> IntermediateCredential --signs--> ClientCredential --signs--> leaf keys
//! ```
//!
//! Each states its validity inside its issuer's and the issuer's fingerprint, and proves with a
//! self-signature that its holder has the private key.

use std::fmt;

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::codec::encode;
use crate::crypto::label;
use crate::crypto::sealed::hash;
use crate::crypto::signature::{BadSignature, PrivateKey, PublicKey, Signature};
use crate::id::{ClientId, Domain, Fingerprint, UserAddress};
use crate::limit::CLIENT_CREDENTIAL_DAYS_MAX;
use crate::time::{Lifetime, Timestamp};

/// Why a credential is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadCredential {
    /// A signature does not verify.
    Signature,
    /// Not valid now, for too long, or beyond its issuer's validity.
    Lifetime,
    /// Another issuer than the one at hand.
    Issuer,
    /// Another domain than the issuer's.
    Domain,
}

impl fmt::Display for BadCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signature => "a signature of the credential does not verify",
            Self::Lifetime => "the credential is not valid now, or longer than its issuer",
            Self::Issuer => "the credential has another issuer",
            Self::Domain => "the credential is of another domain than its issuer",
        })
    }
}

impl std::error::Error for BadCredential {}

impl From<BadSignature> for BadCredential {
    fn from(_: BadSignature) -> Self {
        Self::Signature
    }
}

/// What a domain says of its own key.
///
/// ```text
/// struct { Domain domain; opaque public_key[32]; Lifetime lifetime; Fingerprint issuer; } ServerCredentialTbs;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ServerCredentialTbs {
    /// The domain.
    pub domain: Domain,
    /// The key.
    pub public_key: PublicKey,
    /// Its validity.
    pub lifetime: Lifetime,
    /// The root's fingerprint; zero in the root itself.
    pub issuer: Fingerprint,
}

/// A domain's root of trust.
///
/// ```text
/// struct { ServerCredentialTbs tbs; Signature self_signature; } RootCredential;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct RootCredential {
    /// What is signed.
    pub tbs: ServerCredentialTbs,
    /// By the key itself.
    pub self_signature: Signature,
}

/// The key that signs clients; rotates under the root.
///
/// ```text
/// struct { ServerCredentialTbs tbs; Signature self_signature; Signature signature; } IntermediateCredential;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct IntermediateCredential {
    /// What is signed.
    pub tbs: ServerCredentialTbs,
    /// By the key itself.
    pub self_signature: Signature,
    /// By the root.
    pub signature: Signature,
}

/// What a client says of itself.
///
/// ```text
/// struct {
///     UserAddress user; ClientId client; opaque public_key[32];
///     Lifetime lifetime; Fingerprint issuer;
/// } ClientCredentialTbs;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ClientCredentialTbs {
    /// Whose client.
    pub user: UserAddress,
    /// Which client.
    pub client: ClientId,
    /// Its key.
    pub public_key: PublicKey,
    /// Its validity.
    pub lifetime: Lifetime,
    /// The intermediate's fingerprint.
    pub issuer: Fingerprint,
}

/// A client's wish to be signed.
///
/// ```text
/// struct { ClientCredentialTbs tbs; Signature self_signature; } ClientCredentialRequest;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ClientCredentialRequest {
    /// What is signed.
    pub tbs: ClientCredentialTbs,
    /// By the key itself.
    pub self_signature: Signature,
}

/// A client credential.
///
/// ```text
/// struct { ClientCredentialRequest request; Signature signature; } ClientCredential;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ClientCredential {
    /// What the client asked for.
    pub request: ClientCredentialRequest,
    /// By the intermediate.
    pub signature: Signature,
}

/// A domain's credentials as a client fetches them.
///
/// ```text
/// struct { RootCredential root; IntermediateCredential intermediate; } ServerKeys;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ServerKeys {
    /// The root of trust.
    pub root: RootCredential,
    /// The key that signs clients.
    pub intermediate: IntermediateCredential,
}

/// Server keys whose chain was verified; made by [`ServerKeys::verify`] alone.
#[derive(Clone, Debug)]
pub struct VerifiedServerKeys {
    intermediate: ServerCredentialTbs,
    intermediate_fingerprint: Fingerprint,
    root_fingerprint: Fingerprint,
}

/// A client whose credential was verified; made by [`ClientCredential::verify`] alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedClient {
    tbs: ClientCredentialTbs,
}

impl RootCredential {
    /// Make a domain's root.
    #[must_use]
    pub fn new(domain: Domain, key: &PrivateKey, lifetime: Lifetime) -> Self {
        let issuer = Fingerprint([0; 32]);
        let tbs = ServerCredentialTbs {
            domain,
            public_key: key.public_key(),
            lifetime,
            issuer,
        };
        let self_signature = key.sign(label::ROOT_CREDENTIAL, &encode(&tbs));
        Self {
            tbs,
            self_signature,
        }
    }

    /// What identifies it.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(hash(label::FINGERPRINT, &encode(self)))
    }
}

impl IntermediateCredential {
    /// Make an intermediate under a root.
    #[must_use]
    pub fn new(
        root: &RootCredential,
        root_key: &PrivateKey,
        key: &PrivateKey,
        lifetime: Lifetime,
    ) -> Self {
        let tbs = ServerCredentialTbs {
            domain: root.tbs.domain.clone(),
            public_key: key.public_key(),
            lifetime,
            issuer: root.fingerprint(),
        };
        let content = encode(&tbs);
        Self {
            tbs,
            self_signature: key.sign(label::INTERMEDIATE_CREDENTIAL_SELF, &content),
            signature: root_key.sign(label::INTERMEDIATE_CREDENTIAL, &content),
        }
    }

    /// What identifies it.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(hash(label::FINGERPRINT, &encode(self)))
    }
}

impl ServerKeys {
    /// Check the chain from the root down. Whether the root is the right one is for the caller:
    /// it compares [`VerifiedServerKeys::root_fingerprint`] with the one it has pinned.
    /// [CRYPTO-CREDENTIAL-1]
    ///
    /// # Errors
    /// The server's fault: a signature, a lifetime, a name or the order of issuers is wrong.
    pub fn verify(
        &self,
        domain: &Domain,
        now: Timestamp,
    ) -> Result<VerifiedServerKeys, BadCredential> {
        let root = &self.root.tbs;
        root.public_key.verify(
            label::ROOT_CREDENTIAL,
            &encode(root),
            &self.root.self_signature,
        )?;
        let tbs = &self.intermediate.tbs;
        let content = encode(tbs);
        let (own, by_root) = (
            &self.intermediate.self_signature,
            &self.intermediate.signature,
        );
        tbs.public_key
            .verify(label::INTERMEDIATE_CREDENTIAL_SELF, &content, own)?;
        root.public_key
            .verify(label::INTERMEDIATE_CREDENTIAL, &content, by_root)?;
        if root.domain != *domain || tbs.domain != *domain {
            return Err(BadCredential::Domain);
        }
        if tbs.issuer != self.root.fingerprint() {
            return Err(BadCredential::Issuer);
        }
        let valid = root.lifetime.contains(now) && tbs.lifetime.contains(now);
        if !valid || !tbs.lifetime.is_inside(&root.lifetime) {
            return Err(BadCredential::Lifetime);
        }
        Ok(VerifiedServerKeys {
            intermediate: tbs.clone(),
            intermediate_fingerprint: self.intermediate.fingerprint(),
            root_fingerprint: self.root.fingerprint(),
        })
    }
}

impl VerifiedServerKeys {
    /// The fingerprint to pin.
    #[must_use]
    pub fn root_fingerprint(&self) -> Fingerprint {
        self.root_fingerprint
    }

    /// The issuer that client credentials name.
    #[must_use]
    pub fn issuer(&self) -> Fingerprint {
        self.intermediate_fingerprint
    }

    /// The key that signs clients and services.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.intermediate.public_key
    }

    /// The domain they are of.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.intermediate.domain
    }

    /// The validity that a client credential must keep inside.
    #[must_use]
    pub fn lifetime(&self) -> Lifetime {
        self.intermediate.lifetime
    }
}

impl ClientCredentialRequest {
    /// Ask for a credential.
    #[must_use]
    pub fn new(tbs: ClientCredentialTbs, key: &PrivateKey) -> Self {
        let self_signature = key.sign(label::CLIENT_CREDENTIAL_SELF, &encode(&tbs));
        Self {
            tbs,
            self_signature,
        }
    }

    /// Check everything that an issuer must before it signs. [CRYPTO-CREDENTIAL-2]
    ///
    /// # Errors
    /// The client's fault: a name, the lifetime, the issuer or the self-signature is wrong.
    pub fn check(&self, issuer: &VerifiedServerKeys, now: Timestamp) -> Result<(), BadCredential> {
        let tbs = &self.tbs;
        if tbs.user.domain != *issuer.domain() {
            return Err(BadCredential::Domain);
        }
        if tbs.issuer != issuer.issuer() {
            return Err(BadCredential::Issuer);
        }
        let lifetime = &tbs.lifetime;
        let fits = lifetime.contains(now)
            && lifetime.is_within_days(CLIENT_CREDENTIAL_DAYS_MAX)
            && lifetime.is_inside(&issuer.lifetime());
        if !fits {
            return Err(BadCredential::Lifetime);
        }
        tbs.public_key.verify(
            label::CLIENT_CREDENTIAL_SELF,
            &encode(tbs),
            &self.self_signature,
        )?;
        Ok(())
    }

    /// What the work of a registration is for: this very request. [AUTH-WORK-3]
    #[must_use]
    pub fn work_purpose(&self) -> [u8; 32] {
        hash(label::FINGERPRINT, &encode(self))
    }

    /// Sign it, after [`Self::check`] has passed.
    #[must_use]
    pub fn sign(self, intermediate_key: &PrivateKey) -> ClientCredential {
        let signature = intermediate_key.sign(label::CLIENT_CREDENTIAL, &encode(&self));
        ClientCredential {
            request: self,
            signature,
        }
    }
}

impl ClientCredential {
    /// Check the credential under its domain's keys. [CRYPTO-CREDENTIAL-3]
    ///
    /// # Errors
    /// The credential is not of this issuer, not valid now, or not signed.
    pub fn verify(
        &self,
        issuer: &VerifiedServerKeys,
        now: Timestamp,
    ) -> Result<VerifiedClient, BadCredential> {
        self.request.check(issuer, now)?;
        let content = encode(&self.request);
        issuer.intermediate.public_key.verify(
            label::CLIENT_CREDENTIAL,
            &content,
            &self.signature,
        )?;
        Ok(VerifiedClient {
            tbs: self.request.tbs.clone(),
        })
    }
}

impl VerifiedClient {
    /// The user.
    #[must_use]
    pub fn user(&self) -> &UserAddress {
        &self.tbs.user
    }

    /// The client.
    #[must_use]
    pub fn client(&self) -> ClientId {
        self.tbs.client
    }

    /// The client's key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.tbs.public_key
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::id::UserId;

    const NOW: Timestamp = Timestamp(1_800_000_000);

    fn days(days: u64) -> Lifetime {
        Lifetime::starting(NOW, Duration::from_secs(days * 86_400))
    }

    fn domain() -> Domain {
        "a.example".parse().unwrap()
    }

    fn keys() -> (ServerKeys, PrivateKey) {
        let (root_key, key) = (
            PrivateKey::from_seed(&[1; 32]),
            PrivateKey::from_seed(&[2; 32]),
        );
        let root = RootCredential::new(domain(), &root_key, days(3_000));
        let intermediate = IntermediateCredential::new(&root, &root_key, &key, days(300));
        (ServerKeys { root, intermediate }, key)
    }

    fn request(issuer: Fingerprint, lifetime: Lifetime) -> ClientCredentialRequest {
        let key = PrivateKey::from_seed(&[3; 32]);
        let tbs = ClientCredentialTbs {
            user: UserAddress {
                id: UserId([4; 16]),
                domain: domain(),
            },
            client: ClientId([5; 16]),
            public_key: key.public_key(),
            lifetime,
            issuer,
        };
        ClientCredentialRequest::new(tbs, &key)
    }

    #[test]
    fn a_chain_verifies_from_root_to_client() {
        let (keys, key) = keys();
        let verified = keys.verify(&domain(), NOW).unwrap();
        let request = request(verified.issuer(), days(30));
        assert_eq!(request.check(&verified, NOW), Ok(()));
        let client = request.sign(&key).verify(&verified, NOW).unwrap();
        assert_eq!(client.user().id, UserId([4; 16]));
    }

    #[test]
    fn every_break_in_the_chain_is_found() {
        let (keys, key) = keys();
        let verified = keys.verify(&domain(), NOW).unwrap();
        assert_eq!(
            keys.verify(&"b.example".parse().unwrap(), NOW).unwrap_err(),
            BadCredential::Domain
        );
        assert_eq!(
            keys.verify(&domain(), Timestamp(0)).unwrap_err(),
            BadCredential::Lifetime
        );
        let mut other_root = keys;
        other_root.root.tbs.lifetime.not_after = Timestamp(0);
        assert_eq!(
            other_root.verify(&domain(), NOW).unwrap_err(),
            BadCredential::Signature
        );
        let elsewhere = request(Fingerprint([0; 32]), days(30));
        assert_eq!(elsewhere.check(&verified, NOW), Err(BadCredential::Issuer));
        let long = request(verified.issuer(), days(91));
        assert_eq!(long.check(&verified, NOW), Err(BadCredential::Lifetime));
        let mut credential = request(verified.issuer(), days(30)).sign(&key);
        credential.request.tbs.client = ClientId([6; 16]);
        assert_eq!(
            credential.verify(&verified, NOW),
            Err(BadCredential::Signature)
        );
        let forged = request(verified.issuer(), days(30)).sign(&PrivateKey::from_seed(&[9; 32]));
        assert_eq!(forged.verify(&verified, NOW), Err(BadCredential::Signature));
    }
}
