//! A group's first state, with its creator as the only member.

use openmls::prelude::{LeafNodeIndex, ProposalStore, PublicGroup};
use openmls::treesync::LeafNodeSource;
use openmls_rust_crypto::RustCrypto;
use protocol::crypto::signature::PublicKey;
use protocol::delivery::CreateGroup;
use protocol::error::Rule;
use protocol::id::LeafIndex;
use protocol::limit::KEY_PACKAGE_BYTES_MAX;

use crate::group::info::{InfoIn, decode_tree};
use crate::group::mls::State;
use crate::group::provider::Parts;
use crate::group::roster::{Roster, RosterMember};
use crate::group::rules::{self, Rules};

/// Epoch 0 of a group, verified; not yet known to be signed by its creator.
pub(crate) struct Genesis {
    pub(crate) state: State,
    pub(crate) creator: PublicKey,
}

/// The creator's leaf.
const CREATOR: LeafIndex = LeafIndex(0);

impl Genesis {
    /// Verify tree and GroupInfo as a joiner would. [DS-CREATE-1]
    pub(crate) fn verify(
        request: &CreateGroup,
        rules: &Rules,
        crypto: &RustCrypto,
    ) -> Result<Self, Rule> {
        // One leaf is no longer than a KeyPackage; the rest of the limit is for other operations.
        if request.ratchet_tree.as_slice().len() > KEY_PACKAGE_BYTES_MAX {
            return Err(Rule::GroupSize);
        }
        let group_info = InfoIn::decode(request.group_info.as_slice())?;
        let tree = decode_tree(request.ratchet_tree.as_slice())?;
        let context = group_info.context();
        if context.group_id().as_slice() != request.group.0 || context.epoch().as_u64() != 0 {
            return Err(Rule::Framing);
        }
        if !rules::allow_context(context) {
            return Err(Rule::Policy);
        }
        let parts = Parts::default();
        let group_info = group_info.into_verifiable();
        let (group, _) =
            PublicGroup::from_external(crypto, &parts, tree, group_info, ProposalStore::new())
                .map_err(|_| Rule::GroupInfo)?;
        let leaf = group
            .leaf(LeafNodeIndex::new(CREATOR.0))
            .ok_or(Rule::Members)?;
        if group.members().count() != 1 {
            return Err(Rule::Members);
        }
        let in_time = match leaf.leaf_node_source() {
            LeafNodeSource::KeyPackage(lifetime) => rules.allow_lifetime(lifetime),
            LeafNodeSource::Update | LeafNodeSource::Commit(_) => true,
        };
        if !rules::allow_leaf(leaf) || !in_time {
            return Err(Rule::Policy);
        }
        let state = State {
            group,
            parts,
            link_keys: [(CREATOR, request.link_key)].into(),
            identity_key: request.identity_key,
        };
        let creator = state.signature_key(CREATOR).ok_or(Rule::Policy)?;
        Ok(Self { state, creator })
    }

    pub(crate) fn roster(&self, request: &CreateGroup) -> Roster {
        let ticket = request.ticket.clone();
        Roster::new([RosterMember {
            leaf: CREATOR,
            key: self.creator,
            ticket,
        }])
    }
}
