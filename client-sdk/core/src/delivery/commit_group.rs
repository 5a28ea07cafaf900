//! commit_group - spec/delivery.md#commit_group
//!
//! ```text
//! take KeyPackages --> (commit made, stored) --> sent --accepted--> merged, done
//!                          ^                      |  WrongEpoch: read the queue; either somebody
//!                          |                      |  else's commit voids ours, or an event under
//!                          +------- void ---------+  our next key shows that it was accepted
//! ```

mod build;
mod settle;

use protocol::codec::Opaque;
use protocol::delivery::{CommitGroup, CommitGroupReply};
use protocol::entry::{CommitEvent, GroupEventContent};
use protocol::error::{ErrorReply, Rule};
use protocol::group_policy::{GroupKind, Role};
use protocol::id::{Epoch, GroupId, LeafIndex};
use protocol::limit::{COMMIT_ADDS_MAX, COMMIT_BYTES_MAX};
use protocol::time::Timestamp;

use crate::agenda::StoredJob;
use crate::delivery::breaks;
use crate::drive::{Next, success};
use crate::error::Error;
use crate::group::StoredGroup;
use crate::home::Core;
use crate::job::{JobId, Outcome, Step};
use crate::read::ContactId;
use crate::state::{Behind, CommitState, JobState};
use crate::tx::{Tx, stored};

impl Core {
    /// Bring contacts into a group, all by one commit.
    ///
    /// # Errors
    /// `NotAdmin` (in a connection group nobody may), `Leaving`, `Unknown` group or contact, `AlreadyMember`, `TooLong` for nobody or too many; or the home's
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
            let stored = tx.may_commit(group)?;
            if stored.policy.kind == GroupKind::Connection {
                // In which nobody is added. [DS-ROLE-3]
                return Err(Error::NotAdmin);
            }
            tx.require_admin(&stored)?;
            for id in contacts {
                let contact = tx.contact(id.0)?;
                if tx.is_member(group, &contact.user, contact.client)? {
                    return Err(Error::AlreadyMember);
                }
            }
            let commit = CommitState {
                wanted: contacts.iter().rev().map(|id| id.0).collect(),
                ..CommitState::new()
            };
            tx.add_job(&JobState::CommitGroup(commit), Some(group))
        })
    }

    /// Put members out of a group. Ourselves we cannot: see [`Core::leave`].
    ///
    /// # Errors
    /// `NotAdmin`, `Leaving`, `Unknown` group or member; or the home's fault.
    pub fn remove(
        &mut self,
        group: &GroupId,
        members: &[LeafIndex],
        now: Timestamp,
    ) -> Result<JobId, Error> {
        self.transact(now, |tx| {
            let stored = tx.may_commit(group)?;
            tx.require_admin(&stored)?;
            let own = stored.key();
            let mut removed = Vec::with_capacity(members.len());
            for leaf in members {
                let key = tx.member_key(group, *leaf)?.filter(|key| *key != own);
                removed.push((leaf.0, key.ok_or(Error::Unknown("member"))?.0));
            }
            if removed.is_empty() {
                return Err(Error::Unknown("member"));
            }
            let commit = CommitState {
                removed,
                ..CommitState::new()
            };
            tx.add_job(&JobState::CommitGroup(commit), Some(group))
        })
    }

    /// Make members admins, or admins members. Ourselves, too, while another admin stays.
    ///
    /// # Errors
    /// `NotAdmin`, `LastAdmin`, `Leaving`, `Unknown` group or member, `TooLong` for more admins than
    /// a group may have; or the home's fault.
    pub fn set_role(
        &mut self,
        group: &GroupId,
        members: &[LeafIndex],
        role: Role,
        now: Timestamp,
    ) -> Result<JobId, Error> {
        self.transact(now, |tx| {
            let stored = tx.may_commit(group)?;
            tx.require_admin(&stored)?;
            let mut roles = Vec::with_capacity(members.len());
            for leaf in members {
                let key = tx.member_key(group, *leaf)?;
                roles.push((key.ok_or(Error::Unknown("member"))?.0, role == Role::Admin));
            }
            if roles.is_empty() {
                return Err(Error::Unknown("member"));
            }
            let commit = CommitState {
                roles,
                ..CommitState::new()
            };
            tx.next_policy(&stored, &tx.mls_group(group)?, &commit)?;
            tx.add_job(&JobState::CommitGroup(commit), Some(group))
        })
    }

    /// Renew our keys in a group, and so the group's.
    ///
    /// # Errors
    /// `Leaving`, `Unknown` group, or the home's fault.
    pub fn update_keys(&mut self, group: &GroupId, now: Timestamp) -> Result<JobId, Error> {
        self.transact(now, |tx| {
            tx.may_commit(group)?;
            tx.add_job(&JobState::CommitGroup(CommitState::new()), Some(group))
        })
    }
}

impl Tx<'_> {
    /// A group that we are in and do not leave: who asked to be taken out cannot commit that.
    fn may_commit(&self, group: &GroupId) -> Result<StoredGroup, Error> {
        let stored = self.active_group(group)?;
        if stored.leaving {
            return Err(Error::Leaving);
        }
        Ok(stored)
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
        let group = match self.turn(job)? {
            Ok(group) => group,
            Err(next) => return Ok(next),
        };
        if let Some(contact) = commit.wanted.last() {
            return self.want_key_package(*contact);
        }
        let mut mls = self.mls_group(&id)?;
        let epoch = mls.epoch().as_u64();
        if let Some(wait) = self.catch_up(&id, epoch, commit.behind)? {
            return Ok(wait);
        }
        match &commit.sent {
            Some(sent) if sent.epoch == epoch && mls.pending_commit().is_some() => {
                let body: CommitGroup = stored(&sent.body, "commit")?;
                Ok(Self::send_as_leaf(group, body))
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
        let contact = match self.contact(contact) {
            Ok(contact) => contact,
            Err(error @ Error::Unknown(_)) => return Ok(Next::Over(error)),
            Err(error) => return Err(error),
        };
        if self.server_keys(&contact.user.domain)?.is_none() {
            return self.wait_for_server_keys(&contact.user.domain);
        }
        Ok(Next::Step(Step::Send(Self::take_key_package(&contact))))
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
        let epoch = reply.epoch.0;
        let mls = self.mls_group(&id)?;
        let is_pending = mls.epoch().as_u64() == sent.epoch && mls.pending_commit().is_some();
        if !is_pending || epoch != sent.epoch.saturating_add(1) {
            return Err(Error::BadReply);
        }
        let body: CommitGroup = stored(&sent.body, "commit")?;
        let number = self.receipt_of_ours(&id, &reply.receipt, &committed(body.commit))?;
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
        if breaks(reply, Rule::PendingProposals) {
            // Something was proposed that we had not heard of: it comes through the queue, and the
            // commit is made again with it. [SDK-PROPOSAL-1]
            let behind = Behind {
                epoch: sent.epoch,
                denied: None,
                number: sent.last.saturating_add(1),
                since: self.now.0,
            };
            return Ok(Next::Goto(JobState::CommitGroup(CommitState {
                sent: None,
                behind: Some(behind),
                ..commit.clone()
            })));
        }
        if breaks(reply, Rule::Role) {
            return Ok(Next::Over(Error::NotAdmin));
        }
        Ok(self.again(sent.epoch, reply, |behind| {
            JobState::CommitGroup(CommitState {
                behind,
                ..commit.clone()
            })
        }))
    }
}

/// A commit of ours as the service numbers it.
pub(crate) fn committed(commit: Opaque<COMMIT_BYTES_MAX>) -> GroupEventContent {
    GroupEventContent::Commit(CommitEvent {
        commit,
        link_keys: Vec::new(),
    })
}
