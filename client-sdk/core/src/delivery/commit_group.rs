//! commit_group - spec/delivery.md#commit_group
//!
//! ```text
//! take KeyPackages --> (commit made, stored) --> sent --accepted--> merged, done
//!                          ^                      |  WrongEpoch: read the queue; either somebody
//!                          |                      |  else's commit voids ours, or an event under
//!                          +------- void ---------+  our next key shows that it was accepted
//! ```

use std::collections::BTreeMap;

use openmls::prelude::{LeafNodeIndex, MlsGroup, OpenMlsProvider, StagedCommit};
use protocol::codec::{Opaque, encode};
use protocol::crypto::identity::WrappedLinkKey;
use protocol::crypto::signature::{PrivateKey, PublicKey};
use protocol::delivery::{AddedMember, CommitGroup, CommitGroupReply, WelcomeForAdded};
use protocol::error::ErrorReply;
use protocol::id::{Epoch, GroupId, LeafIndex};
use protocol::limit::COMMIT_ADDS_MAX;
use protocol::queue::PublishedKeyPackage;
use protocol::time::Timestamp;

use crate::agenda::StoredJob;
use crate::delivery::create_group::serialized;
use crate::drive::{Next, success};
use crate::error::Error;
use crate::group::StoredGroup;
use crate::group::content::Body;
use crate::group::leaf::signer;
use crate::home::Core;
use crate::job::{JobId, Outcome, Step};
use crate::outgoing::Outgoing;
use crate::queue::OpenedKeyPackage;
use crate::read::ContactId;
use crate::state::{CommitState, JobState, SentCommit};
use crate::tx::{Tx, storable, stored};

impl Core {
    /// Bring contacts into a group, all by one commit.
    ///
    /// # Errors
    /// `Unknown` group or contact, `AlreadyMember`, `TooLong` for nobody or too many; or the home's
    /// fault. The job ends with `BadPackage` if a contact's KeyPackage is not theirs.
    pub fn invite(
        &mut self,
        group: &GroupId,
        contacts: &[ContactId],
        now: Timestamp,
    ) -> Result<JobId, Error> {
        if contacts.is_empty() || contacts.len() > COMMIT_ADDS_MAX {
            return Err(Error::TooLong);
        }
        self.transact(now, |tx| {
            tx.active_group(group)?;
            for id in contacts {
                let contact = tx.contact(id.0)?;
                if tx.is_member(group, &contact.user, contact.client)? {
                    return Err(Error::AlreadyMember);
                }
            }
            let wanted = contacts.iter().rev().map(|id| id.0).collect();
            tx.change_group(group, wanted, Vec::new())
        })
    }

    /// Put members out of a group. Ourselves we cannot.
    ///
    /// # Errors
    /// `Unknown` group or member; or the home's fault.
    pub fn remove(
        &mut self,
        group: &GroupId,
        members: &[LeafIndex],
        now: Timestamp,
    ) -> Result<JobId, Error> {
        self.transact(now, |tx| {
            tx.active_group(group)?;
            let own = tx.mls_group(group)?.own_leaf_index().u32();
            let mut removed = Vec::with_capacity(members.len());
            for leaf in members {
                let key = tx.row(
                    "SELECT signature_key FROM members WHERE grp = ?1 AND leaf = ?2 AND gone = 0",
                    (group.0, leaf.0),
                    |row| row.get(0),
                )?;
                let key = key
                    .filter(|_| leaf.0 != own)
                    .ok_or(Error::Unknown("member"))?;
                removed.push((leaf.0, key));
            }
            if removed.is_empty() {
                return Err(Error::Unknown("member"));
            }
            tx.change_group(group, Vec::new(), removed)
        })
    }

    /// Renew our keys in a group, and so the group's.
    ///
    /// # Errors
    /// `Unknown` group, or the home's fault.
    pub fn update_keys(&mut self, group: &GroupId, now: Timestamp) -> Result<JobId, Error> {
        self.transact(now, |tx| {
            tx.active_group(group)?;
            tx.change_group(group, Vec::new(), Vec::new())
        })
    }
}

impl Tx<'_> {
    fn change_group(
        &self,
        group: &GroupId,
        wanted: Vec<i64>,
        removed: Vec<(u32, [u8; 32])>,
    ) -> Result<JobId, Error> {
        let state = CommitState {
            wanted,
            removed,
            taken: Vec::new(),
            sent: None,
            behind: None,
            accepted: None,
        };
        self.add_job(&JobState::CommitGroup(state), Some(group))
    }

    pub(crate) fn next_commit_group(
        &self,
        job: &StoredJob,
        commit: &CommitState,
    ) -> Result<Next, Error> {
        let id = job.group.ok_or(Error::Corrupt("job"))?;
        if let Some(epoch) = commit.accepted {
            return Ok(Next::Done(Outcome::GroupChanged {
                group: id,
                epoch: Epoch(epoch),
            }));
        }
        if let Some(earlier) = self.earlier_job(job)? {
            return Ok(Next::Step(Step::Wait(earlier)));
        }
        let Ok(group) = self.active_group(&id) else {
            return Ok(Next::Over(Error::Unknown("group")));
        };
        if let Some(contact) = commit.wanted.last() {
            return self.want_key_package(*contact);
        }
        let mut mls = self.mls_group(&id)?;
        let epoch = mls.epoch().as_u64();
        if let Some(wait) = self.catch_up(&id, epoch, commit.behind) {
            return Ok(wait);
        }
        match &commit.sent {
            Some(sent) if sent.epoch == epoch && mls.pending_commit().is_some() => {
                let body: CommitGroup = stored(&sent.body, "commit")?;
                let key = PrivateKey::from_seed(&group.leaf_seed);
                let isolation = group.isolation();
                let outgoing = Outgoing::signed(body, key, group.domain, isolation);
                Ok(Next::Step(Step::Send(outgoing)))
            }
            _ => match self.make_commit(&group, &mut mls, commit)? {
                Ok(sent) => Ok(Next::Goto(JobState::CommitGroup(CommitState {
                    sent: Some(sent),
                    behind: None,
                    ..commit.clone()
                }))),
                Err(next) => Ok(next),
            },
        }
    }

    fn want_key_package(&self, contact: i64) -> Result<Next, Error> {
        let Ok(contact) = self.contact(contact) else {
            return Ok(Next::Over(Error::Unknown("contact")));
        };
        if self.server_keys(&contact.user.domain)?.is_none() {
            return self.wait_for_server_keys(&contact.user.domain);
        }
        Ok(Next::Step(Step::Send(Self::take_key_package(&contact))))
    }

    /// Make the commit and store it before it is sent; or say why there is nothing to commit.
    fn make_commit(
        &self,
        group: &StoredGroup,
        mls: &mut MlsGroup,
        commit: &CommitState,
    ) -> Result<Result<SentCommit, Next>, Error> {
        let provider = self.provider();
        mls.clear_pending_commit(provider.storage())?;
        let Some(adds) = self.still_wanted(group, commit)? else {
            return Ok(Err(Next::Over(Error::BadPackage)));
        };
        let removals = self.still_there(group, commit)?;
        let epoch = mls.epoch().as_u64();
        if adds.is_empty() && removals.is_empty() && !commit.is_update() {
            // What was asked for is so already.
            let outcome = Outcome::GroupChanged {
                group: group.id,
                epoch: Epoch(epoch),
            };
            return Ok(Err(Next::Done(outcome)));
        }
        let state_key = self.state_key(&group.id, Epoch(epoch))?;
        let packages: Vec<_> = adds
            .iter()
            .map(|add| add.opened.key_package.clone())
            .collect();
        let bundle = mls
            .commit_builder()
            .force_self_update(commit.is_update())
            .propose_adds(packages)
            .propose_removals(removals)
            .load_psks(provider.storage())
            .and_then(|builder| {
                builder
                    .create_group_info(true)
                    .use_ratchet_tree_extension(false)
                    .build(
                        provider.rand(),
                        provider.crypto(),
                        &signer(&group.leaf_seed),
                        |_| true,
                    )
            })
            .map_err(|_| Error::Mls("commit"))?
            .stage_commit(&provider)
            .map_err(|_| Error::Mls("commit"))?;
        let pending = mls.pending_commit().ok_or(Error::Mls("pending commit"))?;
        let (next_state_key, wrap) = self.next_keys(pending)?;
        let (message, welcome, group_info) = bundle.into_messages();
        let welcome = welcome.map_or_else(|| Ok(Opaque::default()), |it| serialized(&it))?;
        let body = CommitGroup {
            group: group.id,
            sender: LeafIndex(mls.own_leaf_index().u32()),
            state_key,
            next_state_key,
            commit: serialized(&message)?,
            group_info: serialized(&group_info.ok_or(Error::Mls("GroupInfo"))?)?,
            welcome: WelcomeForAdded { welcome },
            added: adds.iter().map(|add| add.member.clone()).collect(),
            identity_key: self.seal_identity_key(&group.id, &group.identity_key, &wrap)?,
        };
        let added = adds.iter().map(|add| add.opened.leaf.0).collect();
        Ok(Ok(SentCommit {
            epoch,
            body: encode(&body).into(),
            added,
        }))
    }

    fn next_keys(
        &self,
        pending: &StagedCommit,
    ) -> Result<
        (
            protocol::crypto::sealed::SymmetricKey,
            protocol::crypto::sealed::SymmetricKey,
        ),
        Error,
    > {
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
            let ticket = protocol::contact::QualifiedTicket {
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

    pub(crate) fn answered_commit_group(
        &self,
        job: &StoredJob,
        commit: &CommitState,
        payload: &[u8],
    ) -> Result<Next, Error> {
        let id = job.group.ok_or(Error::Corrupt("job"))?;
        if let Some(contact) = commit.wanted.last() {
            let contact = self.contact(*contact)?;
            let Some(taken) = self.taken_key_package(&contact, payload)? else {
                return Ok(Next::Over(Error::BadPackage));
            };
            let mut commit = commit.clone();
            commit.wanted.pop();
            commit.taken.push(taken);
            return Ok(Next::Goto(JobState::CommitGroup(commit)));
        }
        let reply: CommitGroupReply = success(payload)?;
        if commit.accepted.is_some() {
            return self.next_commit_group(job, commit);
        }
        let sent = commit.sent.as_ref().ok_or(Error::NotExpected)?;
        let (epoch, number) = (reply.epoch.0, reply.number.0);
        let mls = self.mls_group(&id)?;
        let is_pending = mls.epoch().as_u64() == sent.epoch && mls.pending_commit().is_some();
        if number == 0
            || !is_pending
            || epoch != sent.epoch.saturating_add(1)
            || storable(number) != number
        {
            return Err(Error::BadReply);
        }
        let group = self.active_group(&id)?;
        let job = StoredJob {
            id: job.id,
            group: Some(id),
            state: job.state.clone(),
        };
        self.settle_commit(&group, job, number)?;
        Ok(Next::Done(Outcome::GroupChanged {
            group: id,
            epoch: reply.epoch,
        }))
    }

    /// Another epoch: the queue decides what became of the commit. It stays pending until then, so
    /// that it is merged exactly once if it was accepted after all. [SDK-COMMIT-1]
    pub(crate) fn refused_commit_group(
        &self,
        job: &StoredJob,
        commit: &CommitState,
        reply: ErrorReply,
    ) -> Result<Next, Error> {
        if commit.accepted.is_some() {
            return self.next_commit_group(job, commit);
        }
        let Some(sent) = commit.sent.as_ref().filter(|_| commit.wanted.is_empty()) else {
            return Ok(Next::Over(Error::Refused(reply)));
        };
        match self.behind(sent.epoch, reply) {
            Ok(behind) => Ok(Next::Goto(JobState::CommitGroup(CommitState {
                behind: Some(behind),
                ..commit.clone()
            }))),
            Err(error) => Ok(Next::Over(error)),
        }
    }

    /// A commit of ours that was sent and whose fate we have not heard of.
    pub(crate) fn unsettled_commit(
        &self,
        group: &GroupId,
    ) -> Result<Option<(StoredJob, CommitGroup)>, Error> {
        let Some(job) = self.first_job(group)? else {
            return Ok(None);
        };
        let JobState::CommitGroup(commit) = &job.state else {
            return Ok(None);
        };
        let (None, Some(sent)) = (commit.accepted, &commit.sent) else {
            return Ok(None);
        };
        let mls = self.mls_group(group)?;
        if mls.epoch().as_u64() != sent.epoch || mls.pending_commit().is_none() {
            return Ok(None);
        }
        let body = stored(&sent.body, "commit")?;
        Ok(Some((job, body)))
    }

    /// Our commit was accepted with this number: merge it, once, and tell newcomers the name.
    pub(crate) fn settle_commit(
        &self,
        group: &StoredGroup,
        job: StoredJob,
        number: u64,
    ) -> Result<(), Error> {
        let JobState::CommitGroup(commit) = job.state else {
            return Err(Error::NotExpected);
        };
        let sent = commit.sent.as_ref().ok_or(Error::NotExpected)?;
        let body: CommitGroup = stored(&sent.body, "commit")?;
        let mut mls = self.mls_group(&group.id)?;
        mls.merge_pending_commit(&self.provider())
            .map_err(|_| Error::Mls("merge"))?;
        let epoch = mls.epoch().as_u64();
        self.add_epoch(&group.id, Epoch(epoch), &body.next_state_key, number)?;
        self.number_of_ours(&group.id, number)?;
        let link_keys = body.added.iter().map(|added| added.link_key);
        let keys: BTreeMap<PublicKey, WrappedLinkKey> = sent
            .added
            .iter()
            .map(|key| PublicKey(*key))
            .zip(link_keys)
            .collect();
        self.refresh_members(&group.id, &mls, &group.identity_key, &keys)?;
        self.forget_past(&group.id, &mut mls)?;
        if !keys.is_empty() {
            let name = self.active_group(&group.id)?.name.into_bytes();
            let name = Opaque::new(name).map_err(|_| Error::TooLong)?;
            self.queue_message(&group.id, &Body::GroupName(name))?;
        }
        let accepted = CommitState {
            accepted: Some(epoch),
            ..commit
        };
        self.save_job(job.id, &JobState::CommitGroup(accepted))
    }

    /// A commit that was refused for good is void.
    pub(crate) fn drop_pending_commit(&self, group: Option<&GroupId>) -> Result<(), Error> {
        let Some(group) = group else { return Ok(()) };
        if self.active_group(group).is_ok() {
            let mut mls = self.mls_group(group)?;
            mls.clear_pending_commit(self.provider().storage())?;
        }
        Ok(())
    }
}

impl CommitState {
    /// Whether nothing but our keys is to change.
    fn is_update(&self) -> bool {
        self.wanted.is_empty() && self.taken.is_empty() && self.removed.is_empty()
    }
}

/// Somebody to add.
struct Add {
    opened: OpenedKeyPackage,
    member: AddedMember,
}
