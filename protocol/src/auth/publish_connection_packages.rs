//! publish_connection_packages — spec/auth.md#publish_connection_packages

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::codec::encode;
use crate::crypto::hpke::SealKey;
use crate::crypto::label;
use crate::crypto::signature::{BadSignature, PrivateKey, PublicKey, Signature};
use crate::id::{ConnectionPackageId, UsernameHash};
use crate::time::Lifetime;

/// What a connection package says.
///
/// ```text
/// struct { ConnectionPackageId id; UsernameHash username; opaque seal_key[32]; Lifetime lifetime; } ConnectionPackageTbs;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ConnectionPackageTbs {
    /// Its name.
    pub id: ConnectionPackageId,
    /// Whose it is.
    pub username: UsernameHash,
    /// Connection requests are sealed to it.
    pub seal_key: SealKey,
    /// Its validity.
    pub lifetime: Lifetime,
}

/// A key to seal one connection request to, signed by the username's key.
///
/// ```text
/// struct { ConnectionPackageTbs tbs; Signature signature; } ConnectionPackage;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ConnectionPackage {
    /// What is signed.
    pub tbs: ConnectionPackageTbs,
    /// By the username's key.
    pub signature: Signature,
}

impl ConnectionPackage {
    /// Sign a package.
    #[must_use]
    pub fn new(tbs: ConnectionPackageTbs, key: &PrivateKey) -> Self {
        let signature = key.sign(label::CONNECTION_PACKAGE, &encode(&tbs));
        Self { tbs, signature }
    }

    /// Check the signature and give the content.
    ///
    /// # Errors
    /// The owner's or the server's fault: another key signed it.
    pub fn verify(&self, key: &PublicKey) -> Result<&ConnectionPackageTbs, BadSignature> {
        key.verify(
            label::CONNECTION_PACKAGE,
            &encode(&self.tbs),
            &self.signature,
        )?;
        Ok(&self.tbs)
    }
}

/// Replace a username's connection packages; signed by the username's key.
///
/// ```text
/// struct { UsernameHash username; ConnectionPackage packages<V>; ConnectionPackage last_resort; } PublishConnectionPackages;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct PublishConnectionPackages {
    /// The name, hashed.
    pub username: UsernameHash,
    /// Handed out once each; at most `CONNECTION_PACKAGES_MAX`.
    pub packages: Vec<ConnectionPackage>,
    /// Handed out when the others are gone.
    pub last_resort: ConnectionPackage,
}

/// They replace whatever was there.
///
/// ```text
/// struct {} PublishConnectionPackagesReply;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct PublishConnectionPackagesReply {}
