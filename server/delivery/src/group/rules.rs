//! What a group may contain beyond what MLS allows. Spec: registry.md#mls-extensions.

use openmls::messages::group_info::GroupInfo;
use openmls::prelude::{
    Ciphersuite, CredentialType, Extension, ExtensionType, Extensions, GroupContext, KeyPackage,
    LeafNode, Proposal, ProtocolVersion,
};
use protocol::codec::decode_exact;
use protocol::crypto::identity::{
    SEALED_IDENTITY_EXTENSION, SEALED_IDENTITY_EXTENSION_BYTES, SealedIdentity,
};
use protocol::limit::{GROUP_MEMBERS_MAX, KEY_PACKAGE_BYTES_MAX, PACKAGE_DAYS_MAX};
use protocol::time::{Lifetime, Timestamp};
use tls_codec::Size;

use crate::{Policy, STATE_BYTES_MAX};

/// The only ciphersuite.
pub(crate) const CIPHERSUITE: Ciphersuite =
    Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;

/// Bytes of a pseudonym (spec/crypto.md#identities).
const PSEUDONYM_BYTES: usize = 16;

/// Domains that a group's members were ever reached at: each takes a counter, and rows in the
/// transaction of every event.
pub(crate) const DESTINATIONS_MAX: usize = 128;

/// The limits and the time that a request is judged by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) members_max: usize,
    pub(crate) state_bytes_max: usize,
    pub(crate) now: Timestamp,
}

impl Rules {
    pub(crate) fn new(policy: &Policy, now: Timestamp) -> Self {
        let members_max = usize::try_from(policy.members_max).unwrap_or(usize::MAX);
        Self {
            members_max: members_max.min(GROUP_MEMBERS_MAX),
            state_bytes_max: policy.state_bytes_max.min(STATE_BYTES_MAX),
            now,
        }
    }

    /// A KeyPackage as the queueing service would hand it out: valid now and not for too long.
    pub(crate) fn allow_key_package(&self, package: &KeyPackage) -> bool {
        let extensions = package.extensions();
        let allowed =
            |extension: &Extension| extension.extension_type() == ExtensionType::LastResort;
        package.tls_serialized_len() <= KEY_PACKAGE_BYTES_MAX
            && package.ciphersuite() == CIPHERSUITE
            && extensions.iter().all(allowed)
            && self.allow_lifetime(package.life_time())
            && allow_leaf(package.leaf_node())
    }

    pub(crate) fn allow_lifetime(&self, lifetime: &openmls::prelude::Lifetime) -> bool {
        let lifetime = Lifetime {
            not_before: Timestamp(lifetime.not_before()),
            not_after: Timestamp(lifetime.not_after()),
        };
        lifetime.contains(self.now) && lifetime.is_within_days(PACKAGE_DAYS_MAX)
    }
}

/// A leaf has a pseudonym for a credential, and exactly the extension that is for members.
pub(crate) fn allow_leaf(leaf: &LeafNode) -> bool {
    let credential = leaf.credential();
    let capabilities = leaf.capabilities();
    let identity_type = ExtensionType::Unknown(SEALED_IDENTITY_EXTENSION);
    leaf.tls_serialized_len() <= KEY_PACKAGE_BYTES_MAX
        && credential.credential_type() == CredentialType::Basic
        && credential.serialized_content().len() == PSEUDONYM_BYTES
        && capabilities.extensions().contains(&identity_type)
        && leaf.extensions().iter().count() == 1
        && sealed_identity(leaf).is_some_and(is_sealed_identity)
}

/// The sealed identity of a leaf, as its extension carries it.
pub(crate) fn sealed_identity(leaf: &LeafNode) -> Option<&[u8]> {
    let extension = leaf.extensions().unknown(SEALED_IDENTITY_EXTENSION)?;
    Some(&extension.0)
}

/// An encoded `SealedIdentity` (spec/crypto.md#identities). All have one length.
fn is_sealed_identity(bytes: &[u8]) -> bool {
    bytes.len() == SEALED_IDENTITY_EXTENSION_BYTES && decode_exact::<SealedIdentity>(bytes).is_ok()
}

/// A leaf that its member updates stays the same person's: key, pseudonym and identity are what
/// its link key and the group's other members know it by.
pub(crate) fn allow_update(old: &LeafNode, new: &LeafNode) -> bool {
    allow_leaf(new)
        && old.signature_key() == new.signature_key()
        && old.credential() == new.credential()
        && sealed_identity(old) == sealed_identity(new)
}

pub(crate) fn allow_context(context: &GroupContext) -> bool {
    let allowed =
        |extension: &Extension| extension.extension_type() == ExtensionType::RequiredCapabilities;
    context.protocol_version() == ProtocolVersion::Mls10
        && context.ciphersuite() == CIPHERSUITE
        && context.extensions().iter().all(allowed)
}

pub(crate) fn allow_info_extensions(extensions: &Extensions<GroupInfo>) -> bool {
    extensions
        .iter()
        .all(|extension| extension.extension_type() == ExtensionType::ExternalPub)
}

/// There are no proposals by others yet, so Update comes as a commit's path only.
pub(crate) fn allow_proposal(proposal: &Proposal) -> bool {
    matches!(
        proposal,
        Proposal::Add(_) | Proposal::Remove(_) | Proposal::Update(_)
    )
}
