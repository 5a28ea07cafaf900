//! Who may do what in a group. Spec: delivery.md#roles.

use std::collections::BTreeSet;

use openmls::prelude::{
    GroupContext, LeafNode, LeafNodeIndex, Proposal, ProposalOrRefType, PublicGroup, Sender,
    StagedCommit,
};
use protocol::error::Rule;
use protocol::group_policy::{GroupKind, GroupPolicy, Role};
use protocol::id::LeafIndex;

use crate::group::mls::State;
use crate::group::rules::{allow_new_context, policy, pseudonym};

/// A group's roles in one epoch.
pub(crate) struct Roles(GroupPolicy);

impl Roles {
    /// The roles that a group's context says.
    pub(crate) fn of(context: &GroupContext) -> Result<Self, Rule> {
        policy(context.extensions()).map(Self).ok_or(Rule::Policy)
    }

    pub(crate) fn kind(&self) -> GroupKind {
        self.0.kind
    }

    /// A member's role.
    pub(crate) fn role(&self, leaf: &LeafNode) -> Role {
        pseudonym(leaf).map_or(Role::Member, |pseudonym| self.0.role(&pseudonym))
    }

    /// Check what a member commits by value: it is what an admin may do. By reference anybody
    /// commits what waits. [DS-ROLE-1] [DS-ROLE-3] [DS-COMMIT-3]
    pub(crate) fn allow_commit(
        &self,
        staged: &StagedCommit,
        committer: &LeafNode,
        context: &GroupContext,
    ) -> Result<(), Rule> {
        for queued in staged.queued_proposals() {
            match (queued.proposal(), queued.proposal_or_ref_type()) {
                (Proposal::Remove(_) | Proposal::SelfRemove, ProposalOrRefType::Reference) => {
                    continue;
                }
                (Proposal::Remove(_), ProposalOrRefType::Proposal) => {}
                (Proposal::Add(_), _) if self.kind() == GroupKind::Connection => {
                    return Err(Rule::Role);
                }
                (Proposal::Add(_), ProposalOrRefType::Proposal) => {}
                (Proposal::GroupContextExtensions(new), ProposalOrRefType::Proposal) => {
                    allow_new_context(context.extensions(), new.extensions())?;
                }
                (_, _) => return Err(Rule::Policy),
            }
            match self.role(committer) {
                Role::Admin => {}
                Role::Member => return Err(Rule::Role),
            }
        }
        Ok(())
    }

    /// Whether an admin is still a member when these have gone. [DS-ROLE-2]
    pub(crate) fn outlast(&self, group: &PublicGroup, leaving: &BTreeSet<LeafIndex>) -> bool {
        let stays = |leaf: u32| !leaving.contains(&LeafIndex(leaf));
        group
            .treesync()
            .full_leaves()
            .any(|(index, leaf)| stays(index.u32()) && self.role(leaf) == Role::Admin)
    }
}

impl State {
    /// The role of the member at a leaf.
    pub(crate) fn role(&self, leaf: LeafIndex) -> Result<Role, Rule> {
        let roles = Roles::of(self.group.group_context())?;
        let leaf = self.group.leaf(LeafNodeIndex::new(leaf.0));
        Ok(leaf.map_or(Role::Member, |leaf| roles.role(leaf)))
    }
}

/// Check that a group which changed has an admin and that nobody took another's pseudonym, by which
/// roles are given (RFC 9420 section 5.3.1 leaves identity to the application). Who becomes an admin
/// is a member. [DS-ROLE-2] [DS-ROLE-4]
pub(crate) fn allow_members(group: &PublicGroup, before: &Roles) -> Result<(), Rule> {
    let roles = Roles::of(group.group_context())?;
    let mut pseudonyms = BTreeSet::new();
    for (_, leaf) in group.treesync().full_leaves() {
        if !pseudonyms.insert(pseudonym(leaf).ok_or(Rule::Policy)?) {
            return Err(Rule::Policy);
        }
    }
    let is_there = |admin| pseudonyms.contains(admin);
    let was_admin = |admin| before.0.role(admin) == Role::Admin;
    let mut admins = roles.0.admins().iter();
    if !admins.clone().any(is_there) || !admins.all(|admin| is_there(admin) || was_admin(admin)) {
        return Err(Rule::Role);
    }
    Ok(())
}

/// Whose removal a proposal asks for: the leaf that it names, or its sender's.
pub(crate) fn removes(proposal: &Proposal, sender: &Sender) -> Option<LeafIndex> {
    match (proposal, sender) {
        (Proposal::Remove(remove), _) => Some(LeafIndex(remove.removed().u32())),
        (Proposal::SelfRemove, Sender::Member(leaf)) => Some(LeafIndex(leaf.u32())),
        (_, _) => None,
    }
}
