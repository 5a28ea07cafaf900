//! What a KeyPackage must be like before anybody gets it. Spec: queue.md#publish_key_packages.
//!
//! Nothing of openmls leaves this file.

use openmls::prelude::{
    BasicCredential, Ciphersuite, CredentialType, Extension, ExtensionType, KeyPackage,
    KeyPackageIn, LeafNode, MlsMessageBodyIn, MlsMessageIn, OpenMlsProvider, ProposalType,
    ProtocolVersion, VerifiableCiphersuite,
};
use openmls_rust_crypto::OpenMlsRustCrypto;
use protocol::codec::decode_exact;
use protocol::crypto::identity::{IDENTITY_BYTES, SEALED_IDENTITY_EXTENSION, SealedIdentity};
use protocol::crypto::sealed::OVERHEAD_BYTES;
use protocol::group_policy::GROUP_POLICY_EXTENSION;
use protocol::limit::{EXTENSIONS_BYTES_MAX, PACKAGE_DAYS_MAX};
use protocol::queue::PublishedKeyPackage;
use protocol::time::{Lifetime, Timestamp};
use tls_codec::Size;

use crate::error::Error;
use crate::tables::{Package, Stock};

/// The ciphersuites that KeyPackages may have.
const CIPHERSUITES: [Ciphersuite; 1] = [Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519];

/// The random pseudonym in a leaf's credential (spec/crypto.md#identities).
const PSEUDONYM_BYTES: usize = 16;

const SEALED_IDENTITY: ExtensionType = ExtensionType::Unknown(SEALED_IDENTITY_EXTENSION);

const GROUP_POLICY: ExtensionType = ExtensionType::Unknown(GROUP_POLICY_EXTENSION);

/// What a KeyPackage is published as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be handed out once.
    Single,
    /// To be handed out when the others are gone, and marked so.
    LastResort,
}

/// Check KeyPackages in one go: the provider is expensive to make.
pub(crate) struct Validator {
    provider: OpenMlsRustCrypto,
    now: Timestamp,
}

impl Validator {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            provider: OpenMlsRustCrypto::default(),
            now,
        }
    }

    /// Check everything that a member would before adding the owner. [QS-PACKAGES-2]
    ///
    /// # Errors
    /// `BadKeyPackage`.
    pub(crate) fn validate(
        &self,
        published: PublishedKeyPackage,
        purpose: Purpose,
    ) -> Result<Package, Error> {
        let received = received(&published).ok_or(Error::BadKeyPackage)?;
        let key_package = received
            .validate(self.provider.crypto(), ProtocolVersion::Mls10)
            .map_err(|_| Error::BadKeyPackage)?;
        let lifetime = Lifetime {
            not_before: Timestamp(key_package.life_time().not_before()),
            not_after: Timestamp(key_package.life_time().not_after()),
        };
        let is_valid = CIPHERSUITES.contains(&key_package.ciphersuite())
            && lifetime.contains(self.now)
            && lifetime.is_within_days(PACKAGE_DAYS_MAX)
            && has_allowed_extensions(&key_package, purpose)
            && has_sealed_identity(key_package.leaf_node())
            && has_pseudonym(key_package.leaf_node())
            && supports_what_groups_need(&key_package);
        if is_valid {
            Ok(Package {
                not_after: lifetime.not_after,
                published,
            })
        } else {
            Err(Error::BadKeyPackage)
        }
    }
}

impl Package {
    /// Whether it may be handed out.
    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        self.not_after < now
    }
}

impl Stock {
    /// How many packages are left besides the last resort; expired ones count until somebody asks.
    pub(crate) const fn left(&self) -> u32 {
        self.end.saturating_sub(self.first)
    }
}

/// The KeyPackage in its MLS framing, to the last byte.
fn received(published: &PublishedKeyPackage) -> Option<KeyPackageIn> {
    let message: MlsMessageIn = decode_exact(published.key_package.as_slice()).ok()?;
    match message.extract() {
        MlsMessageBodyIn::KeyPackage(key_package) => Some(key_package),
        MlsMessageBodyIn::PublicMessage(_)
        | MlsMessageBodyIn::PrivateMessage(_)
        | MlsMessageBodyIn::Welcome(_)
        | MlsMessageBodyIn::GroupInfo(_) => None,
    }
}

/// Whether each extension is on the list (spec/registry.md#mls-extensions).
fn has_allowed_extensions(key_package: &KeyPackage, purpose: Purpose) -> bool {
    let extensions = key_package.extensions();
    let own: Vec<_> = extensions.iter().map(Extension::extension_type).collect();
    let allowed: &[ExtensionType] = match purpose {
        Purpose::Single => &[],
        Purpose::LastResort => &[ExtensionType::LastResort],
    };
    let leaf = key_package.leaf_node().extensions();
    own == allowed
        && extensions.tls_serialized_len() <= EXTENSIONS_BYTES_MAX
        && leaf
            .iter()
            .map(Extension::extension_type)
            .eq([SEALED_IDENTITY])
        && leaf.tls_serialized_len() <= EXTENSIONS_BYTES_MAX
}

/// Whether the sealed identity has the length that all have.
fn has_sealed_identity(leaf: &LeafNode) -> bool {
    let sealed = leaf.extensions().unknown(SEALED_IDENTITY_EXTENSION);
    let sealed = sealed.and_then(|extension| decode_exact::<SealedIdentity>(&extension.0).ok());
    sealed.is_some_and(|sealed| sealed.as_slice().len() == IDENTITY_BYTES + OVERHEAD_BYTES)
}

fn has_pseudonym(leaf: &LeafNode) -> bool {
    BasicCredential::try_from(leaf.credential().clone())
        .is_ok_and(|credential| credential.identity().len() == PSEUDONYM_BYTES)
}

fn supports_what_groups_need(key_package: &KeyPackage) -> bool {
    let capabilities = key_package.leaf_node().capabilities();
    let ciphersuite = VerifiableCiphersuite::from(key_package.ciphersuite());
    capabilities.versions().contains(&ProtocolVersion::Mls10)
        && capabilities.ciphersuites().contains(&ciphersuite)
        && capabilities.credentials().contains(&CredentialType::Basic)
        && capabilities.extensions().contains(&SEALED_IDENTITY)
        && capabilities.extensions().contains(&GROUP_POLICY)
        && capabilities.proposals().contains(&ProposalType::SelfRemove)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Offer, published};

    fn check(offer: &Offer, purpose: Purpose) -> Result<Timestamp, Error> {
        let (package, now) = published(offer);
        Validator::new(now)
            .validate(package, purpose)
            .map(|package| package.not_after)
    }

    #[test]
    fn a_good_package_is_accepted_for_its_purpose_only() {
        let single = Offer::default();
        assert!(check(&single, Purpose::Single).is_ok());
        assert_eq!(
            check(&single, Purpose::LastResort),
            Err(Error::BadKeyPackage)
        );
        let last_resort = Offer {
            is_last_resort: true,
            ..Offer::default()
        };
        assert!(check(&last_resort, Purpose::LastResort).is_ok());
        assert_eq!(
            check(&last_resort, Purpose::Single),
            Err(Error::BadKeyPackage)
        );
    }

    /// [QS-PACKAGES-2]
    #[test]
    fn each_broken_rule_is_found() {
        let good = Offer::default;
        let identity = good().identity_bytes;
        let broken = [
            ("too long a life", Offer { days: 92, ..good() }),
            (
                "a short identity",
                Offer {
                    identity_bytes: identity - 1,
                    ..good()
                },
            ),
            (
                "no identity",
                Offer {
                    identity_bytes: 0,
                    ..good()
                },
            ),
            (
                "another extension",
                Offer {
                    other_extension: Some(0xf4e2),
                    ..good()
                },
            ),
            (
                "an extension in the package",
                Offer {
                    package_extension: Some(0xf4e2),
                    ..good()
                },
            ),
            (
                "a long pseudonym",
                Offer {
                    pseudonym_bytes: 17,
                    ..good()
                },
            ),
            (
                "another ciphersuite",
                Offer {
                    ciphersuite: Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519,
                    ..good()
                },
            ),
            (
                "no capability",
                Offer {
                    is_capable: false,
                    identity_bytes: 0,
                    ..good()
                },
            ),
            (
                "large extensions",
                Offer {
                    identity_bytes: 5_000,
                    ..good()
                },
            ),
        ];
        for (what, offer) in broken {
            assert_eq!(
                check(&offer, Purpose::Single),
                Err(Error::BadKeyPackage),
                "{what}"
            );
        }
    }

    #[test]
    fn a_package_is_refused_before_and_after_its_life() {
        let (package, now) = published(&Offer::default());
        for (now, is_ok) in [(0, true), (-7_200, false), (86_400 * 31, false)]
            .map(|(by, is_ok)| (now.0.strict_add_signed(by), is_ok))
        {
            let validated =
                Validator::new(Timestamp(now)).validate(package.clone(), Purpose::Single);
            assert_eq!(validated.is_ok(), is_ok);
        }
    }

    #[test]
    fn altered_bytes_are_no_key_package() {
        let (package, now) = published(&Offer::default());
        let bytes = package.key_package.as_slice();
        let validator = Validator::new(now);
        for at in (0..bytes.len()).step_by(7) {
            let mut altered = bytes.to_vec();
            altered[at] ^= 1;
            let altered = protocol::codec::Opaque::new(altered).unwrap();
            let altered = PublishedKeyPackage {
                key_package: altered,
                ..package.clone()
            };
            assert_eq!(
                validator.validate(altered, Purpose::Single),
                Err(Error::BadKeyPackage),
                "byte {at}"
            );
        }
    }
}
