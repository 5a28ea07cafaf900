//! Making a commit: what was asked for, everything that waits, and the request with it.

use std::collections::BTreeSet;

use openmls::prelude::{LeafNodeIndex, MlsGroup, OpenMlsProvider, StagedCommit};
use protocol::codec::{Opaque, encode};
use protocol::contact::QualifiedTicket;
use protocol::crypto::identity::WrappedLinkKey;
use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::signature::PublicKey;
use protocol::delivery::{AddedMember, CommitGroup, WelcomeForAdded};
use protocol::group_policy::GroupPolicy;
use protocol::id::{Epoch, LeafIndex};
use protocol::limit::GROUP_ADMINS_MAX;
use protocol::queue::PublishedKeyPackage;

use crate::delivery::create_group::serialized;
use crate::drive::Next;
use crate::error::Error;
use crate::group::StoredGroup;
use crate::group::context::policy_extension;
use crate::group::leaf::signer;
use crate::job::Outcome;
use crate::queue::OpenedKeyPackage;
use crate::state::{CommitState, Purpose, SentCommit};
use crate::tx::{Tx, stored};

/// What a commit does beside renewing our keys.
struct Change {
    adds: Vec<Add>,
    removals: Vec<LeafNodeIndex>,
    policy: Option<GroupPolicy>,
}

/// Somebody to add.
struct Add {
    opened: OpenedKeyPackage,
    member: AddedMember,
}

impl Tx<'_> {
    /// Make the commit and store it before it is sent; or say why there is nothing to commit.
    /// Everything that waits is in it. [SDK-PROPOSAL-1]
    pub(super) fn make_commit(
        &self,
        group: &StoredGroup,
        mls: &mut MlsGroup,
        commit: &CommitState,
    ) -> Result<Result<SentCommit, Next>, Error> {
        mls.clear_pending_commit(self.provider().storage())?;
        let going = Self::going(mls);
        if going.contains(&mls.own_leaf_index().u32()) {
            return Ok(Err(Next::Over(Error::Leaving)));
        }
        let Some(adds) = self.still_wanted(group, commit)? else {
            return Ok(Err(Next::Over(Error::BadPackage)));
        };
        let mut removals = self.still_there(group, commit)?;
        removals.retain(|leaf| !going.contains(&leaf.u32()));
        let policy = self.next_policy(group, mls, commit)?;
        let is_asked = !adds.is_empty() || !removals.is_empty() || policy.is_some();
        if is_asked && commit.purpose == Purpose::Asked && !commit.is_update() {
            if self.require_admin(group).is_err() {
                return Ok(Err(Next::Over(Error::NotAdmin)));
            }
        } else if !commit.is_update() && going.is_empty() {
            // What was asked for is so already, or somebody else has committed what waited.
            let (group, epoch) = (group.id, Epoch(mls.epoch().as_u64()));
            return Ok(Err(Next::Done(Outcome::GroupChanged { group, epoch })));
        }
        let added = adds.iter().map(|add| add.opened.leaf.0).collect();
        let change = Change {
            adds,
            removals,
            policy,
        };
        let body = self.stage(group, mls, change)?;
        Ok(Ok(SentCommit {
            epoch: mls.epoch().as_u64(),
            body: encode(&body).into(),
            added,
            last: self.last_number(&group.id)?.unwrap_or(0),
        }))
    }

    /// Have MLS stage the commit, and make the request of it.
    fn stage(
        &self,
        group: &StoredGroup,
        mls: &mut MlsGroup,
        change: Change,
    ) -> Result<CommitGroup, Error> {
        let provider = self.provider();
        let state_key = self.state_key(&group.id, Epoch(mls.epoch().as_u64()))?;
        let context = change.policy.map(|policy| {
            let mut extensions = mls.extensions().clone();
            extensions
                .add_or_replace(policy_extension(&policy))
                .map(|_| extensions)
                .map_err(|_| Error::Mls("policy"))
        });
        let members: Vec<_> = change.adds.iter().map(|add| add.member.clone()).collect();
        let packages = change.adds.into_iter().map(|add| add.opened.key_package);
        let is_path_needed = members.is_empty();
        if let Some(receipt) = self.newest_receipt(&group.id)? {
            mls.set_aad(encode(&receipt));
        }
        let mut builder = mls
            .commit_builder()
            .force_self_update(is_path_needed)
            .propose_adds(packages)
            .propose_removals(change.removals);
        if let Some(extensions) = context.transpose()? {
            builder = builder
                .propose_group_context_extensions(extensions)
                .map_err(|_| Error::Mls("policy"))?;
        }
        let signer = signer(&group.leaf_seed);
        let bundle = builder
            .load_psks(provider.storage())
            .and_then(|builder| {
                builder
                    .create_group_info(true)
                    .use_ratchet_tree_extension(false)
                    .build(provider.rand(), provider.crypto(), &signer, |_| true)
            })
            .map_err(|_| Error::Mls("commit"))?
            .stage_commit(&provider)
            .map_err(|_| Error::Mls("commit"))?;
        let pending = mls.pending_commit().ok_or(Error::Mls("pending commit"))?;
        let (next_state_key, wrap) = self.next_keys(pending)?;
        let (message, welcome, group_info) = bundle.into_messages();
        let welcome = welcome.map_or_else(|| Ok(Opaque::default()), |it| serialized(&it))?;
        Ok(CommitGroup {
            group: group.id,
            sender: LeafIndex(mls.own_leaf_index().u32()),
            state_key,
            next_state_key,
            commit: serialized(&message)?,
            group_info: serialized(&group_info.ok_or(Error::Mls("GroupInfo"))?)?,
            welcome: WelcomeForAdded { welcome },
            added: members,
            identity_key: self.seal_identity_key(&group.id, &group.identity_key, &wrap)?,
        })
    }

    /// The roles after the commit, if they change. [DS-ROLE-2]
    pub(super) fn next_policy(
        &self,
        group: &StoredGroup,
        mls: &MlsGroup,
        commit: &CommitState,
    ) -> Result<Option<GroupPolicy>, Error> {
        if commit.roles.is_empty() {
            return Ok(None);
        }
        let staying = self.staying(&group.id, mls)?;
        let staying: BTreeSet<_> = staying.into_iter().map(|(_, it)| it).collect();
        let present = group.policy.admins().iter().copied();
        let mut admins: BTreeSet<_> = present.filter(|it| staying.contains(it)).collect();
        let before = admins.clone();
        for (key, is_admin) in &commit.roles {
            let member = self.pseudonym(&group.id, &PublicKey(*key))?;
            match member.filter(|member| staying.contains(member)) {
                Some(member) if *is_admin => drop(admins.insert(member)),
                Some(member) => drop(admins.remove(&member)),
                // Gone in the meantime.
                None => {}
            }
        }
        if admins.is_empty() {
            return Err(Error::LastAdmin);
        }
        if admins.len() > GROUP_ADMINS_MAX {
            return Err(Error::TooLong);
        }
        let policy = GroupPolicy::new(group.policy.kind, admins.iter().copied());
        Ok((admins != before).then_some(policy))
    }

    fn next_keys(&self, pending: &StagedCommit) -> Result<(SymmetricKey, SymmetricKey), Error> {
        self.epoch_keys(|crypto, label| pending.export_secret(crypto, label, &[], 32))
    }

    /// KeyPackages of those who are not in yet; none if one is no good any more.
    fn still_wanted(
        &self,
        group: &StoredGroup,
        commit: &CommitState,
    ) -> Result<Option<Vec<Add>>, Error> {
        let mut adds = Vec::with_capacity(commit.taken.len());
        for taken in &commit.taken {
            let contact = self.contact(taken.contact)?;
            if self.is_member(&group.id, &contact.user, contact.client)? {
                continue;
            }
            let package: PublishedKeyPackage = stored(&taken.package, "key package")?;
            let Some(opened) = self.open_key_package(&contact, &package)? else {
                return Ok(None);
            };
            let (key, nonce) = (&group.identity_key, self.random()?);
            let link_key = WrappedLinkKey::seal(&opened.link_key, key, nonce, &opened.leaf);
            let ticket = QualifiedTicket {
                domain: contact.ticket.domain.clone(),
                ticket: package.ticket,
            };
            adds.push(Add {
                opened,
                member: AddedMember { ticket, link_key },
            });
        }
        Ok(Some(adds))
    }

    /// Leaves that are still the members who were meant.
    fn still_there(
        &self,
        group: &StoredGroup,
        commit: &CommitState,
    ) -> Result<Vec<LeafNodeIndex>, Error> {
        let mut leaves = Vec::with_capacity(commit.removed.len());
        for (leaf, key) in &commit.removed {
            let there = self.count(
                "SELECT count(*) FROM members
                 WHERE grp = ?1 AND leaf = ?2 AND signature_key = ?3 AND gone = 0",
                (group.id.0, leaf, key),
            )?;
            if there == 1 {
                leaves.push(LeafNodeIndex::new(*leaf));
            }
        }
        Ok(leaves)
    }
}
