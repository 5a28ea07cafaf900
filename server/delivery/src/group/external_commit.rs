//! An external commit, from bytes to the state that results: how somebody joins without being added.
//!
//! ```text
//! Received --validate (pure)--> Validated --apply--> Joined
//! ```

use std::collections::BTreeSet;

use openmls::prelude::{
    LeafNode, LeafNodeIndex, Proposal, ProposalOrRefType, PublicMessageIn, Sender, StagedCommit,
};
use openmls_rust_crypto::RustCrypto;
use protocol::crypto::signature::PublicKey;
use protocol::delivery::JoinGroup;
use protocol::entry::LeafLinkKey;
use protocol::error::Rule;
use protocol::group_policy::GroupKind;
use protocol::id::LeafIndex;

use crate::group::commit::{decode_commit, removed, stage};
use crate::group::info::InfoIn;
use crate::group::mls::State;
use crate::group::outline::{Author, CommitOutline, PathOutline};
use crate::group::path::check_path;
use crate::group::proposals::Waiting;
use crate::group::roles::{Roles, allow_members};
use crate::group::roster::RosterMember;
use crate::group::rules::{allow_leaf, allow_update, signature_key};

/// An external commit and its GroupInfo: decoded, nothing believed.
pub(crate) struct ExternalCommit<'r> {
    request: &'r JoinGroup,
    path: PathOutline,
    commit: PublicMessageIn,
    group_info: InfoIn,
}

/// An external commit that MLS and the rules allow.
pub(crate) struct ValidJoin<'r> {
    request: &'r JoinGroup,
    path: PathOutline,
    staged: Box<StagedCommit>,
    group_info: InfoIn,
    leaf: LeafIndex,
    removed: Vec<LeafIndex>,
    /// Whose removal the service proposed, in vain.
    unwanted: BTreeSet<LeafIndex>,
}

/// The state that an external commit leads to, and what changes for the members.
pub(crate) struct Joined {
    pub(crate) state: State,
    pub(crate) member: RosterMember,
    pub(crate) link_key: LeafLinkKey,
    pub(crate) removed: Vec<LeafIndex>,
    /// Whose removal the service has to propose again.
    pub(crate) unwanted: BTreeSet<LeafIndex>,
}

impl<'r> ExternalCommit<'r> {
    pub(crate) fn decode(request: &'r JoinGroup) -> Result<Self, Rule> {
        let CommitOutline { author, path } = CommitOutline::read(request.commit.as_slice())?;
        if author != Author::Joiner {
            return Err(Rule::Framing);
        }
        Ok(Self {
            request,
            // RFC 9420 section 12.4.3.2: an external commit has a path.
            path: path.ok_or(Rule::Commit)?,
            commit: decode_commit(request.commit.as_slice())?,
            group_info: InfoIn::decode(request.group_info.as_slice())?,
        })
    }

    /// The signature key of the leaf that the commit makes.
    pub(crate) fn key(&self) -> PublicKey {
        self.path.key
    }

    /// Check everything that a member's client would, and the rules, without changing the state
    /// (RFC 9420 sections 12.2 and 12.4.3.2). [DS-JOIN-2] [DS-JOIN-3] [DS-COMMIT-2]
    pub(crate) fn validate(
        self,
        state: &State,
        crypto: &RustCrypto,
    ) -> Result<ValidJoin<'r>, Rule> {
        let Self {
            request,
            path,
            commit,
            group_info,
        } = self;
        if commit.group_id().as_slice() != request.group.0
            || commit.epoch().as_u64() != request.epoch.0
            || *commit.sender() != Sender::NewMemberCommit
        {
            return Err(Rule::Framing);
        }
        let staged = stage(state, commit, crypto)?;
        let new = staged.update_path_leaf_node().ok_or(Rule::Commit)?;
        let replaced = replaced(&staged)?;
        let waiting = Waiting::of(state)?;
        let unwanted = waiting.removed_by_service();
        match replaced {
            Some(leaf) if unwanted.contains(&leaf) || state.owed.contains(&path.key) => {
                return Err(Rule::ExternalCommit);
            }
            Some(leaf) => allow_resync(state, leaf, new)?,
            None => allow_entry(state, new)?,
        }
        waiting.check_external_commit(&staged, replaced)?;
        let leaf = state.group.ext_commit_sender_index(&staged);
        let leaf = LeafIndex(leaf.map_err(|_| Rule::Commit)?.u32());
        Ok(ValidJoin {
            request,
            path,
            leaf,
            removed: removed(&staged)?,
            staged,
            group_info,
            unwanted,
        })
    }
}

impl ValidJoin<'_> {
    /// Make the state what the commit leads to, and check that the joiner describes the same.
    pub(crate) fn apply(self, mut state: State, crypto: &RustCrypto) -> Result<Joined, Rule> {
        let Self {
            request,
            path,
            staged,
            group_info,
            leaf,
            removed,
            unwanted,
        } = self;
        let roles = Roles::of(state.group.group_context())?;
        let merged = state.group.merge_commit(&state.parts, *staged);
        merged.map_err(|_| Rule::Commit)?;
        group_info.verify(&state.group, leaf, crypto)?;
        check_path(&state.group, leaf, &BTreeSet::new(), &path.ciphertexts)?;
        allow_members(&state.group, &roles)?;
        for leaf in &removed {
            state.link_keys.remove(leaf);
        }
        state.link_keys.insert(leaf, request.link_key);
        state.identity_key = request.identity_key;
        state.wishes.clear();
        state.group_info = request.group_info.clone();
        let member = RosterMember {
            leaf,
            key: path.key,
            ticket: request.ticket.clone(),
        };
        let link_key = LeafLinkKey {
            leaf,
            key: request.link_key,
        };
        Ok(Joined {
            state,
            member,
            link_key,
            removed,
            unwanted,
        })
    }
}

/// The leaf that the joiner itself removes, if it does.
fn replaced(staged: &StagedCommit) -> Result<Option<LeafIndex>, Rule> {
    let mut replaced = None;
    for queued in staged.queued_proposals() {
        match (queued.proposal(), queued.proposal_or_ref_type()) {
            (Proposal::Remove(remove), ProposalOrRefType::Proposal) if replaced.is_none() => {
                replaced = Some(LeafIndex(remove.removed().u32()));
            }
            (Proposal::ExternalInit(_), ProposalOrRefType::Proposal)
            | (Proposal::SelfRemove, ProposalOrRefType::Reference) => {}
            (_, _) => return Err(Rule::ExternalCommit),
        }
    }
    Ok(replaced)
}

/// A member that lost its state replaces its own leaf by one of the same identity. [DS-JOIN-2]
fn allow_resync(state: &State, replaced: LeafIndex, new: &LeafNode) -> Result<(), Rule> {
    let old = state.group.leaf(LeafNodeIndex::new(replaced.0));
    if old.is_some_and(|old| allow_update(old, new)) {
        Ok(())
    } else {
        Err(Rule::ExternalCommit)
    }
}

/// The second person enters a connection group, under a key of its own (RFC 9420 section 7.3; of
/// external commits OpenMLS leaves that to its user). [DS-JOIN-3] [DS-ROLE-3]
fn allow_entry(state: &State, new: &LeafNode) -> Result<(), Rule> {
    let roles = Roles::of(state.group.group_context())?;
    let mut members = state.group.treesync().full_leaves();
    let (first, second) = (members.next(), members.next());
    let differs = |(_, leaf): (LeafNodeIndex, &LeafNode)| signature_key(leaf) != signature_key(new);
    let allowed = roles.kind() == GroupKind::Connection
        && second.is_none()
        && first.is_some_and(differs)
        && allow_leaf(new);
    allowed.then_some(()).ok_or(Rule::ExternalCommit)
}
