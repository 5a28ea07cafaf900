//! The MLS public group and what joiners need beside it: opened by commits and joiners only.

use std::collections::BTreeMap;

use openmls::prelude::{GroupId as MlsGroupId, LeafNodeIndex, PublicGroup};
use protocol::codec::{Opaque, decode_exact, encode};
use protocol::crypto::identity::WrappedLinkKey;
use protocol::crypto::signature::PublicKey;
use protocol::delivery::{FetchWelcomeStateReply, SealedIdentityKey};
use protocol::entry::LeafLinkKey;
use protocol::error::Rule;
use protocol::id::{GroupId, LeafIndex};
use protocol::limit::RATCHET_TREE_BYTES_MAX;
use tls_codec::{Serialize, Size, TlsDeserializeBytes, TlsSerialize, TlsSize, VLBytes};

use crate::group::provider::{Part, Parts};

/// The state of a group in one epoch.
pub(crate) struct State {
    pub(crate) group: PublicGroup,
    /// The group as OpenMLS stores it.
    pub(crate) parts: Parts,
    /// Every member's link key, wrapped.
    pub(crate) link_keys: BTreeMap<LeafIndex, WrappedLinkKey>,
    /// For those who join in this epoch.
    pub(crate) identity_key: SealedIdentityKey,
}

/// How a state is encoded before it is sealed.
#[derive(TlsSize, TlsSerialize, TlsDeserializeBytes)]
struct StoredState {
    version: u8,
    tree: VLBytes,
    context: VLBytes,
    transcript: VLBytes,
    tag: VLBytes,
    link_keys: Vec<LeafLinkKey>,
    identity_key: SealedIdentityKey,
}

const VERSION: u8 = 1;

impl State {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let link_keys = self.link_keys.iter();
        encode(&StoredState {
            version: VERSION,
            tree: self.parts.tree.to_vec().into(),
            context: self.parts.context.to_vec().into(),
            transcript: self.parts.transcript.to_vec().into(),
            tag: self.parts.tag.to_vec().into(),
            link_keys: link_keys
                .map(|(leaf, key)| LeafLinkKey {
                    leaf: *leaf,
                    key: *key,
                })
                .collect(),
            identity_key: self.identity_key,
        })
    }

    pub(crate) fn decode(bytes: &[u8], group: &GroupId) -> Option<Self> {
        let stored: StoredState = decode_exact(bytes).ok()?;
        let parts = Parts {
            tree: Part::new(stored.tree.as_slice()),
            context: Part::new(stored.context.as_slice()),
            transcript: Part::new(stored.transcript.as_slice()),
            tag: Part::new(stored.tag.as_slice()),
        };
        let group = PublicGroup::load(&parts, &MlsGroupId::from_slice(&group.0)).ok()??;
        let link_keys = stored
            .link_keys
            .into_iter()
            .map(|entry| (entry.leaf, entry.key))
            .collect();
        let identity_key = stored.identity_key;
        (stored.version == VERSION).then_some(Self {
            group,
            parts,
            link_keys,
            identity_key,
        })
    }

    /// What a joiner of this epoch is told.
    ///
    /// # Errors
    /// The tree is longer than a joiner could be sent.
    pub(crate) fn welcome(&self) -> Result<FetchWelcomeStateReply, Rule> {
        let tree = self.group.export_ratchet_tree();
        let tree = tree.tls_serialize_detached().map_err(|_| Rule::GroupSize)?;
        let link_keys = self.link_keys.iter();
        Ok(FetchWelcomeStateReply {
            ratchet_tree: Opaque::new(tree).map_err(|_| Rule::GroupSize)?,
            link_keys: link_keys
                .map(|(leaf, key)| LeafLinkKey {
                    leaf: *leaf,
                    key: *key,
                })
                .collect(),
            identity_key: self.identity_key,
        })
    }

    /// Whether the tree is short enough to be sent to joiners.
    pub(crate) fn fits_joiners(&self) -> bool {
        self.group.export_ratchet_tree().tls_serialized_len() <= RATCHET_TREE_BYTES_MAX
    }

    /// The signature key of a leaf.
    pub(crate) fn signature_key(&self, leaf: LeafIndex) -> Option<PublicKey> {
        let leaf = self.group.leaf(LeafNodeIndex::new(leaf.0))?;
        leaf.signature_key()
            .as_slice()
            .try_into()
            .ok()
            .map(PublicKey)
    }
}
