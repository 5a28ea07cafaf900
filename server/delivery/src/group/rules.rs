//! What a group may contain beyond what MLS allows. Spec: registry.md#mls-extensions, delivery.md.
//!
//! Types and sizes of extensions are checked before they are parsed (`outline.rs`); here is what
//! has to be understood first.

use std::time::Duration;

use openmls::prelude::{
    BasicCredential, Ciphersuite, CredentialType, ExtensionType, Extensions, ExternalSender,
    GroupContext, KeyPackage, LeafNode, ProposalType, ProtocolVersion,
};
use openmls::treesync::LeafNodeSource;
use protocol::codec::{decode_exact, encode};
use protocol::crypto::delivery_credential::DeliveryCredential;
use protocol::crypto::identity::{SEALED_IDENTITY_EXTENSION, SealedIdentity};
use protocol::crypto::signature::PublicKey;
use protocol::error::Rule;
use protocol::group_policy::{GROUP_POLICY_EXTENSION, GroupPolicy};
use protocol::id::Pseudonym;
use protocol::limit::{GROUP_MEMBERS_MAX, KEY_PACKAGE_BYTES_MAX, PACKAGE_DAYS_MAX};
use protocol::time::{Lifetime, Timestamp};
use tls_codec::Size;

use crate::{Policy, STATE_BYTES_MAX};

/// The only ciphersuite.
pub(crate) const CIPHERSUITE: Ciphersuite =
    Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;

/// Bytes of a pseudonym (spec/crypto.md#identities).
pub(crate) const PSEUDONYM_BYTES: usize = 16;

/// Domains that a group's members were ever reached at: each takes a counter, and rows in the
/// transaction of every event.
pub(crate) const DESTINATIONS_MAX: usize = 128;

/// The extensions that every leaf supports, and every group requires.
const EXTENSIONS: [ExtensionType; 2] = [
    ExtensionType::Unknown(SEALED_IDENTITY_EXTENSION),
    ExtensionType::Unknown(GROUP_POLICY_EXTENSION),
];

/// The proposals that every leaf supports beside those that all MLS clients do: one leaf without
/// would keep everybody from leaving (RFC 9420 section 7.2).
const PROPOSALS: [ProposalType; 1] = [ProposalType::SelfRemove];

/// The credentials that every leaf supports.
const CREDENTIALS: [CredentialType; 1] = [CredentialType::Basic];

/// The limits and the time that a request is judged by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) members_max: usize,
    pub(crate) state_bytes_max: usize,
    pub(crate) now: Timestamp,
    /// Until when the commit that is judged can be undone.
    undone_until: Timestamp,
}

impl Rules {
    pub(crate) fn new(policy: &Policy, now: Timestamp) -> Self {
        let members_max = usize::try_from(policy.members_max).unwrap_or(usize::MAX);
        Self {
            members_max: members_max.min(GROUP_MEMBERS_MAX),
            state_bytes_max: policy.state_bytes_max.min(STATE_BYTES_MAX),
            now,
            undone_until: now.after(Duration::from_secs(policy.undo_seconds)),
        }
    }

    /// A KeyPackage as the queueing service would hand it out: valid now and not for too long (RFC
    /// 9420 sections 10.1 and 7.2). One that is over sooner than its commit can be undone would keep
    /// everybody from judging that commit. [DS-COMMIT-9]
    pub(crate) fn allow_key_package(&self, package: &KeyPackage) -> bool {
        let lifetime = package.life_time();
        package.tls_serialized_len() <= KEY_PACKAGE_BYTES_MAX
            && package.ciphersuite() == CIPHERSUITE
            && self.allow_lifetime(lifetime)
            && self.undone_until.0 <= lifetime.not_after()
            && allow_leaf(package.leaf_node())
    }

    /// The creator's leaf, which is that of a KeyPackage.
    pub(crate) fn allow_first_leaf(&self, leaf: &LeafNode) -> bool {
        let in_time = match leaf.leaf_node_source() {
            LeafNodeSource::KeyPackage(lifetime) => self.allow_lifetime(lifetime),
            LeafNodeSource::Update | LeafNodeSource::Commit(_) => true,
        };
        in_time && allow_leaf(leaf)
    }

    fn allow_lifetime(&self, lifetime: &openmls::prelude::Lifetime) -> bool {
        let lifetime = Lifetime {
            not_before: Timestamp(lifetime.not_before()),
            not_after: Timestamp(lifetime.not_after()),
        };
        lifetime.contains(self.now) && lifetime.is_within_days(PACKAGE_DAYS_MAX)
    }
}

/// A leaf has a pseudonym for a credential, the extension that is for members, and supports what
/// all others use (RFC 9420 sections 7.2 and 7.3).
pub(crate) fn allow_leaf(leaf: &LeafNode) -> bool {
    let capabilities = leaf.capabilities();
    let supports = |extension| capabilities.extensions().contains(extension);
    let proposes = |proposal| capabilities.proposals().contains(proposal);
    leaf.tls_serialized_len() <= KEY_PACKAGE_BYTES_MAX
        && pseudonym(leaf).is_some()
        && EXTENSIONS.iter().all(supports)
        && PROPOSALS.iter().all(proposes)
        && leaf.extensions().iter().count() == 1
        && sealed_identity(leaf).is_some_and(is_sealed_identity)
}

/// A leaf's pseudonym.
pub(crate) fn pseudonym(leaf: &LeafNode) -> Option<Pseudonym> {
    let credential = leaf.credential();
    let basic = credential.credential_type() == CredentialType::Basic;
    let pseudonym = credential.serialized_content().try_into().ok();
    pseudonym.filter(|_| basic).map(Pseudonym)
}

/// A leaf's signature key.
pub(crate) fn signature_key(leaf: &LeafNode) -> Option<PublicKey> {
    let key = leaf.signature_key().as_slice().try_into().ok();
    key.map(PublicKey)
}

/// The sealed identity of a leaf, as its extension carries it.
fn sealed_identity(leaf: &LeafNode) -> Option<&[u8]> {
    let extension = leaf.extensions().unknown(SEALED_IDENTITY_EXTENSION)?;
    Some(&extension.0)
}

/// An encoded `SealedIdentity` (spec/crypto.md#identities). All have one length.
fn is_sealed_identity(bytes: &[u8]) -> bool {
    decode_exact::<SealedIdentity>(bytes).is_ok()
}

/// A leaf that its member replaces stays the same person's: key, pseudonym and identity are what
/// its link key and the group's other members know it by. [DS-COMMIT-3] [DS-JOIN-2]
pub(crate) fn allow_update(old: &LeafNode, new: &LeafNode) -> bool {
    allow_leaf(new)
        && old.signature_key() == new.signature_key()
        && old.credential() == new.credential()
        && sealed_identity(old) == sealed_identity(new)
}

/// The context of a group that is created: it requires what all leaves support, has this service
/// for its only external sender, and says who is admin. [DS-CREATE-1]
pub(crate) fn allow_context(
    context: &GroupContext,
    service: &DeliveryCredential,
) -> Result<GroupPolicy, Rule> {
    let extensions = context.extensions();
    let allowed = context.protocol_version() == ProtocolVersion::Mls10
        && context.ciphersuite() == CIPHERSUITE
        && requires_what_all_support(extensions)
        && extensions
            .external_senders()
            .is_some_and(|senders| senders.as_slice() == [external_sender(service)]);
    let policy = policy(extensions).ok_or(Rule::Policy)?;
    allowed.then_some(policy).ok_or(Rule::Policy)
}

/// The delivery service as a group's external sender (RFC 9420 section 12.1.8.1).
fn external_sender(credential: &DeliveryCredential) -> ExternalSender {
    let key = credential.tbs.public_key.0.as_slice().into();
    ExternalSender::new(key, BasicCredential::new(encode(credential)).into())
}

/// The context that a GroupContextExtensions proposal makes: the same but for the admins (RFC 9420
/// section 12.1.7). [DS-COMMIT-3]
pub(crate) fn allow_new_context(
    old: &Extensions<GroupContext>,
    new: &Extensions<GroupContext>,
) -> Result<GroupPolicy, Rule> {
    let old_policy = policy(old).ok_or(Rule::Policy)?;
    let new_policy = policy(new).ok_or(Rule::Policy)?;
    let allowed = new.iter().count() == old.iter().count()
        && new.required_capabilities() == old.required_capabilities()
        && new.external_senders() == old.external_senders()
        && new_policy.kind == old_policy.kind;
    allowed.then_some(new_policy).ok_or(Rule::Policy)
}

/// Who is admin in a group.
pub(crate) fn policy(extensions: &Extensions<GroupContext>) -> Option<GroupPolicy> {
    let extension = extensions.unknown(GROUP_POLICY_EXTENSION)?;
    GroupPolicy::decode(&extension.0)
}

/// Requiring more would keep out people who can do all that is needed.
fn requires_what_all_support(extensions: &Extensions<GroupContext>) -> bool {
    let Some(required) = extensions.required_capabilities() else {
        return false;
    };
    let lists = required.extension_types().len() == EXTENSIONS.len()
        && required.proposal_types().len() == PROPOSALS.len()
        && required.credential_types().len() <= CREDENTIALS.len();
    let in_required = |extension| required.extension_types().contains(extension);
    lists
        && EXTENSIONS.iter().all(in_required)
        && required.proposal_types() == PROPOSALS
        && required
            .credential_types()
            .iter()
            .all(|kind| CREDENTIALS.contains(kind))
}
