//! A group's first state, with its creator as the only member.

use openmls::prelude::{LeafNodeIndex, ProposalStore, PublicGroup};
use openmls_rust_crypto::RustCrypto;
use protocol::crypto::delivery_credential::DeliveryCredential;
use protocol::crypto::signature::PublicKey;
use protocol::delivery::CreateGroup;
use protocol::entry::FanOutKey;
use protocol::error::Rule;
use protocol::id::LeafIndex;
use protocol::limit::KEY_PACKAGE_BYTES_MAX;
use protocol::time::Timestamp;

use crate::group::info::{InfoIn, decode_tree};
use crate::group::mls::State;
use crate::group::outline::check_first_tree;
use crate::group::provider::Parts;
use crate::group::roster::{Month, Roster, RosterMember};
use crate::group::rules::{Rules, allow_context, pseudonym};

/// Epoch 0 of a group, verified; not yet known to be signed by its creator.
pub(crate) struct Genesis {
    pub(crate) state: State,
    pub(crate) creator: PublicKey,
}

/// The creator's leaf.
const CREATOR: LeafIndex = LeafIndex(0);

impl Genesis {
    /// Verify tree and GroupInfo as a joiner would (RFC 9420 section 12.4.3.1), and that they are
    /// those of a group of `service`'s. [DS-CREATE-1]
    pub(crate) fn verify(
        request: &CreateGroup,
        rules: &Rules,
        service: &DeliveryCredential,
        crypto: &RustCrypto,
    ) -> Result<Self, Rule> {
        // One leaf is no longer than a KeyPackage; the rest of the limit is for other operations.
        if request.ratchet_tree.as_slice().len() > KEY_PACKAGE_BYTES_MAX {
            return Err(Rule::GroupSize);
        }
        check_first_tree(request.ratchet_tree.as_slice())?;
        let group_info = InfoIn::decode(request.group_info.as_slice())?;
        let tree = decode_tree(request.ratchet_tree.as_slice())?;
        let context = group_info.context();
        if context.group_id().as_slice() != request.group.0 || context.epoch().as_u64() != 0 {
            return Err(Rule::Framing);
        }
        let policy = allow_context(context, service)?;
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
        if !rules.allow_first_leaf(leaf) {
            return Err(Rule::Policy);
        }
        if policy.admins() != pseudonym(leaf).as_slice() {
            return Err(Rule::Role);
        }
        let state = State {
            group,
            parts,
            link_keys: [(CREATOR, request.link_key)].into(),
            identity_key: request.identity_key,
            group_info: request.group_info.clone(),
            wishes: Vec::new(),
            owed: Vec::new(),
        };
        let creator = state.signature_key(CREATOR).ok_or(Rule::Policy)?;
        Ok(Self { state, creator })
    }

    pub(crate) fn roster(&self, request: &CreateGroup, now: Timestamp) -> Roster {
        let creator = RosterMember {
            leaf: CREATOR,
            key: self.creator,
            ticket: request.ticket.clone(),
        };
        let fan_out = FanOutKey::of(&request.state_key);
        Roster::new(&fan_out, [creator], Month::of(now))
    }
}
