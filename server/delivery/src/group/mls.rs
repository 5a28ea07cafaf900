//! The MLS public group and what joiners need beside it: opened by commits and joiners only.

use std::collections::BTreeMap;
use std::sync::Arc;

use openmls::prelude::{GroupId as MlsGroupId, LeafNodeIndex, PublicGroup};
use protocol::codec::{Opaque, decode_exact, encode};
use protocol::crypto::identity::WrappedLinkKey;
use protocol::crypto::signature::PublicKey;
use protocol::delivery::{GroupState, SealedIdentityKey};
use protocol::entry::LeafLinkKey;
use protocol::error::Rule;
use protocol::id::{GroupId, LeafIndex};
use protocol::limit::{GROUP_INFO_BYTES_MAX, RATCHET_TREE_BYTES_MAX};
use store::StoreError;
use tls_codec::vlen::read_length;
use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize, VLByteSlice};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::group::part::Stored;
use crate::group::proposals::ProposalMessage;
use crate::group::provider::{Part, Parts};
use crate::group::tree::Tree;
use crate::tables::PAGES;

/// The state of a group in one epoch.
pub(crate) struct State {
    pub(crate) group: PublicGroup,
    /// The group as OpenMLS stores it.
    pub(crate) parts: Parts,
    /// Every member's link key, wrapped.
    pub(crate) link_keys: BTreeMap<LeafIndex, WrappedLinkKey>,
    /// For those who join in this epoch.
    pub(crate) identity_key: SealedIdentityKey,
    /// As the last committer signed it, for those who join by an external commit.
    pub(crate) group_info: Opaque<GROUP_INFO_BYTES_MAX>,
    /// Members' wishes to leave that wait, as they were sent, for those who join by an external
    /// commit.
    pub(crate) wishes: Vec<ProposalMessage>,
    /// The signature keys of members whose removal the service has yet to propose, for want of room.
    pub(crate) owed: Vec<PublicKey>,
}

/// How a state is encoded before it is sealed.
///
/// ```text
/// struct { uint8 version; opaque tree<V>; opaque context<V>; opaque transcript<V>; opaque tag<V>;
///          opaque proposals<V>; Rest rest; } StoredState;
/// ```
#[derive(TlsSize, TlsSerialize)]
struct StoredState<'a> {
    version: u8,
    tree: VLByteSlice<'a>,
    context: VLByteSlice<'a>,
    transcript: VLByteSlice<'a>,
    tag: VLByteSlice<'a>,
    proposals: VLByteSlice<'a>,
    rest: Rest,
}

/// What OpenMLS does not store.
#[derive(TlsSize, TlsSerialize, TlsDeserializeBytes)]
struct Rest {
    link_keys: Vec<LeafLinkKey>,
    identity_key: SealedIdentityKey,
    group_info: Opaque<GROUP_INFO_BYTES_MAX>,
    wishes: Vec<ProposalMessage>,
    owed: Vec<PublicKey>,
}

const VERSION: u8 = 1;

impl State {
    /// For [`Changes::put`](super::part::Changes::put). The tree comes first: it is most of it, and
    /// what changes in it is little.
    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let Parts {
            tree,
            context,
            transcript,
            tag,
            proposals,
        } = &self.parts;
        Zeroizing::new(encode(&StoredState {
            version: VERSION,
            tree: VLByteSlice(&tree.bytes()),
            context: VLByteSlice(&context.bytes()),
            transcript: VLByteSlice(&transcript.bytes()),
            tag: VLByteSlice(&tag.bytes()),
            proposals: VLByteSlice(&proposals.bytes()),
            rest: Rest {
                link_keys: self.link_keys(),
                identity_key: self.identity_key,
                group_info: self.group_info.clone(),
                wishes: self.wishes.clone(),
                owed: self.owed.clone(),
            },
        }))
    }

    /// Decode what was opened: what does not decode then is corrupt.
    ///
    /// # Errors
    /// The store's fault.
    pub(crate) fn open(stored: &Stored, group: &GroupId) -> Result<Self, StoreError> {
        Self::decode(&stored.content, group).ok_or(StoreError::Corrupt {
            table: PAGES.name(),
        })
    }

    fn decode(content: &Arc<Zeroizing<Vec<u8>>>, group: &GroupId) -> Option<Self> {
        let (parts, rest) = split(content)?;
        let group = PublicGroup::load(&parts, &MlsGroupId::from_slice(&group.0)).ok()??;
        let link_keys = rest.link_keys.into_iter();
        Some(Self {
            group,
            parts,
            link_keys: link_keys.map(|entry| (entry.leaf, entry.key)).collect(),
            identity_key: rest.identity_key,
            group_info: rest.group_info,
            wishes: rest.wishes,
            owed: rest.owed,
        })
    }

    fn link_keys(&self) -> Vec<LeafLinkKey> {
        let entries = self.link_keys.iter();
        let entry = |(leaf, key): (&LeafIndex, &WrappedLinkKey)| LeafLinkKey {
            leaf: *leaf,
            key: *key,
        };
        entries.map(entry).collect()
    }

    /// Whether the tree is short enough to be sent to joiners.
    pub(crate) fn fits_joiners(&self) -> bool {
        let stored = self.parts.tree.bytes();
        let tree = Tree::read(&stored);
        tree.is_some_and(|tree| tree.encoded_bytes() <= RATCHET_TREE_BYTES_MAX)
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

/// What a joiner of an epoch is told.
pub(crate) struct Welcome {
    pub(crate) state: GroupState,
    /// For those who join by an external commit.
    pub(crate) group_info: Opaque<GROUP_INFO_BYTES_MAX>,
}

impl Welcome {
    /// From what was opened: what does not decode then is corrupt.
    ///
    /// # Errors
    /// The store's fault, or the tree is longer than a joiner could be sent.
    pub(crate) fn open(stored: &Stored) -> Result<Self, Error> {
        let corrupt = StoreError::Corrupt {
            table: PAGES.name(),
        };
        let (tree, rest) = Self::decode(&stored.content).ok_or(corrupt)?;
        let state = GroupState {
            ratchet_tree: Opaque::new(tree).map_err(|_| Rule::GroupSize)?,
            link_keys: rest.link_keys,
            identity_key: rest.identity_key,
            proposals: rest.wishes,
        };
        Ok(Self {
            state,
            group_info: rest.group_info,
        })
    }

    fn decode(content: &Arc<Zeroizing<Vec<u8>>>) -> Option<(Vec<u8>, Rest)> {
        let (parts, rest) = split(content)?;
        let tree = Tree::read(&parts.tree.bytes())?.encode()?;
        Some((tree, rest))
    }
}

/// A stored state's parts, which stay where they are, and the rest.
fn split(content: &Arc<Zeroizing<Vec<u8>>>) -> Option<(Parts, Rest)> {
    let (version, mut rest) = content.split_first()?;
    if *version != VERSION {
        return None;
    }
    let mut part = || {
        let (length, _) = read_length(&mut rest).ok()?;
        let begin = content.len().checked_sub(rest.len())?;
        rest = rest.get(length..)?;
        Part::within(content, begin..begin.checked_add(length)?)
    };
    let parts = Parts {
        tree: part()?,
        context: part()?,
        transcript: part()?,
        tag: part()?,
        proposals: part()?,
    };
    Some((parts, decode_exact(rest).ok()?))
}
