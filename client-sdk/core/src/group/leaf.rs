//! Our leaves: a random pseudonym, a key of its own, and who we are for members only.

use openmls::prelude::{
    BasicCredential, Capabilities, Ciphersuite, CredentialType, CredentialWithKey, Extension,
    ExtensionType, Extensions, LeafNode, Lifetime as MlsLifetime, ProposalType, ProtocolVersion,
    UnknownExtension,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_traits::types::SignatureScheme;
use protocol::codec::encode;
use protocol::crypto::identity::{Identity, SEALED_IDENTITY_EXTENSION};
use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::signature::{PrivateKey, PublicKey};
use protocol::group_policy::GROUP_POLICY_EXTENSION;
use protocol::id::Pseudonym;
use protocol::limit::PACKAGE_DAYS_MAX;
use protocol::time::{Lifetime, Timestamp};
use std::time::Duration;
use zeroize::Zeroizing;

use crate::account::Registered;
use crate::error::Error;
use crate::tx::Tx;

/// The only ciphersuite.
pub(crate) const CIPHERSUITE: Ciphersuite =
    Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;

/// A leaf of ours before it is in a tree. [SDK-LEAF-1]
pub(crate) struct NewLeaf {
    pub(crate) seed: Zeroizing<[u8; 32]>,
    pub(crate) public_key: PublicKey,
    pub(crate) link_key: SymmetricKey,
    pub(crate) pseudonym: Pseudonym,
    pub(crate) credential: CredentialWithKey,
    pub(crate) extensions: Extensions<LeafNode>,
}

impl Tx<'_> {
    /// A fresh pseudonym, key and link key: nothing that two groups could be compared by.
    pub(crate) fn new_leaf(&self, account: &Registered) -> Result<NewLeaf, Error> {
        let seed = Zeroizing::new(self.random::<32>()?);
        let public_key = PrivateKey::from_seed(&seed).public_key();
        let link_key = SymmetricKey(self.random()?);
        let identity = Identity::new(account.credential.clone(), &account.key, &public_key);
        let sealed = identity.seal(&link_key, self.random()?, &public_key);
        let sealed = encode(&sealed.map_err(|_| Error::TooLong)?);
        let extension = Extension::Unknown(SEALED_IDENTITY_EXTENSION, UnknownExtension(sealed));
        let pseudonym = Pseudonym(self.random()?);
        Ok(NewLeaf {
            seed,
            public_key,
            link_key,
            pseudonym,
            credential: CredentialWithKey {
                credential: BasicCredential::new(pseudonym.0.to_vec()).into(),
                signature_key: public_key.0.as_slice().into(),
            },
            extensions: Extensions::single(extension).map_err(|_| Error::Mls("leaf extension"))?,
        })
    }
}

/// The key of a leaf as openmls signs with it.
pub(crate) fn signer(seed: &[u8; 32]) -> SignatureKeyPair {
    let public = PrivateKey::from_seed(seed).public_key().0.to_vec();
    SignatureKeyPair::from_raw(SignatureScheme::ED25519, seed.to_vec(), public)
}

/// What all our leaves can do: what the contexts of our groups ask for.
pub(crate) fn capabilities() -> Capabilities {
    Capabilities::new(
        Some(&[ProtocolVersion::Mls10]),
        Some(&[CIPHERSUITE]),
        Some(&[
            ExtensionType::Unknown(SEALED_IDENTITY_EXTENSION),
            ExtensionType::Unknown(GROUP_POLICY_EXTENSION),
            ExtensionType::LastResort,
        ]),
        Some(&[ProposalType::SelfRemove]),
        Some(&[CredentialType::Basic]),
    )
}

/// As long as a package may live.
pub(crate) fn package_lifetime(now: Timestamp) -> Lifetime {
    Lifetime::starting(now, Duration::from_secs(PACKAGE_DAYS_MAX * 86_400))
}

pub(crate) fn mls_lifetime(now: Timestamp) -> MlsLifetime {
    let lifetime = package_lifetime(now);
    MlsLifetime::init(lifetime.not_before.0, lifetime.not_after.0)
}

/// The signature key of a leaf, if it has the length of one.
pub(crate) fn signature_key(leaf: &LeafNode) -> Option<PublicKey> {
    leaf.signature_key()
        .as_slice()
        .try_into()
        .ok()
        .map(PublicKey)
}

/// What a leaf's extension holds, to compare and to open.
pub(crate) fn sealed_identity(leaf: &LeafNode) -> Option<&[u8]> {
    leaf.extensions()
        .unknown(SEALED_IDENTITY_EXTENSION)
        .map(|extension| extension.0.as_slice())
}
