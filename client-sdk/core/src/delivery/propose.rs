//! propose - spec/delivery.md#propose
//!
//! ```text
//! (wish stored) --proposal made, stored--> sent --accepted--> somebody's commit takes us out
//!      ^                                    |  WrongEpoch: the proposal is void
//!      +------- caught up ------------------+
//! alone in the group: delete_group instead
//! ```

use openmls::prelude::{MlsGroup, OpenMlsProvider, Proposal, Sender};
use protocol::codec::encode;
use protocol::delivery::{Propose, ProposeReply};
use protocol::entry::GroupEventContent;
use protocol::error::{ErrorReply, Rule};
use protocol::group_policy::Role;
use protocol::id::{Epoch, GroupId, LeafIndex};
use protocol::time::Timestamp;

use crate::agenda::StoredJob;
use crate::delivery::breaks;
use crate::delivery::create_group::serialized;
use crate::drive::{Next, success};
use crate::error::Error;
use crate::group::StoredGroup;
use crate::group::leaf::signer;
use crate::home::Core;
use crate::job::{JobId, JobKind, Outcome};
use crate::state::{Behind, CommitState, Encoded, JobState};
use crate::tx::{Tx, stored};

/// Whether we may go, and what must be done before.
enum Way {
    /// Propose it.
    Propose,
    /// Nobody else is there: nothing would be left.
    Alone,
    /// Everybody else is going, and we are the admin who must let them.
    AfterOthers,
}

impl Core {
    /// Leave a group: proposed to the others, one of whom commits it. A group in which nobody else
    /// is left is deleted. [SDK-LEAVE-2]
    ///
    /// # Errors
    /// `Unknown` group; `LastAdmin` while others stay who would have no admin; `Leaving` if that is
    /// under way; or the home's fault.
    pub fn leave(&mut self, group: &GroupId, now: Timestamp) -> Result<JobId, Error> {
        self.transact(now, |tx| {
            let stored = tx.active_group(group)?;
            if stored.leaving || tx.has_job(group, &[JobKind::LeaveGroup])? {
                return Err(Error::Leaving);
            }
            let mls = tx.mls_group(group)?;
            if let Way::AfterOthers = tx.way_out(&stored, &mls)? {
                tx.add_job(
                    &JobState::CommitGroup(CommitState::proposals()),
                    Some(group),
                )?;
            }
            tx.propose_leave(group)
        })
    }
}

impl Tx<'_> {
    pub(crate) fn propose_leave(&self, group: &GroupId) -> Result<JobId, Error> {
        let (sent, behind) = (None, None);
        self.add_job(&JobState::LeaveGroup { sent, behind }, Some(group))
    }

    /// An admin stays as long as somebody does. [DS-ROLE-2]
    fn way_out(&self, group: &StoredGroup, mls: &MlsGroup) -> Result<Way, Error> {
        let own = mls.own_leaf_index().u32();
        let others = mls.members().any(|member| member.index.u32() != own);
        if !others {
            return Ok(Way::Alone);
        }
        let mut staying = self.staying(&group.id, mls)?;
        staying.retain(|(leaf, _)| *leaf != own);
        let is_admin = |(_, pseudonym): &(u32, _)| group.policy.role(pseudonym) == Role::Admin;
        match (self.own_role(group)?, staying.is_empty()) {
            (Role::Admin, true) => Ok(Way::AfterOthers),
            (Role::Admin, false) if !staying.iter().any(is_admin) => Err(Error::LastAdmin),
            (Role::Admin | Role::Member, _) => Ok(Way::Propose),
        }
    }

    pub(crate) fn next_leave_group(
        &self,
        job: &StoredJob,
        sent: Option<&Encoded>,
        behind: Option<Behind>,
    ) -> Result<Next, Error> {
        let group = match self.turn(job)? {
            Ok(group) => group,
            Err(next) => return Ok(next),
        };
        if let Some(sent) = sent {
            let body: Propose = stored(sent, "proposal")?;
            return Ok(Self::send_as_leaf(group, body));
        }
        let mut mls = self.mls_group(&group.id)?;
        if let Some(wait) = self.catch_up(&group.id, mls.epoch().as_u64(), behind)? {
            return Ok(wait);
        }
        if let Way::Alone = self.way_out(&group, &mls)? {
            let (sent, behind) = (None, None);
            return Ok(Next::Goto(JobState::DeleteGroup { sent, behind }));
        }
        let sent = Some(self.make_leave(&group, &mut mls)?);
        Ok(Next::Goto(JobState::LeaveGroup { sent, behind: None }))
    }

    /// The proposal stays in our own MLS state too, for the commit that refers to it.
    fn make_leave(&self, group: &StoredGroup, mls: &mut MlsGroup) -> Result<Encoded, Error> {
        self.withdraw(mls)?;
        if let Some(receipt) = self.newest_receipt(&group.id)? {
            mls.set_aad(encode(&receipt));
        }
        let proposal = mls
            .leave_group_via_self_remove(&self.provider(), &signer(&group.leaf_seed))
            .map_err(|_| Error::Mls("proposal"))?;
        let epoch = Epoch(mls.epoch().as_u64());
        let body = Propose {
            group: group.id,
            sender: LeafIndex(mls.own_leaf_index().u32()),
            epoch,
            state_key: self.state_key(&group.id, epoch)?,
            proposal: serialized(&proposal)?,
        };
        Ok(encode(&body).into())
    }

    pub(crate) fn answered_leave_group(
        &self,
        job: &StoredJob,
        sent: Option<&Encoded>,
        payload: &[u8],
    ) -> Result<Next, Error> {
        let reply: ProposeReply = success(payload)?;
        let (Some(group), Some(sent)) = (job.group, sent) else {
            return Err(Error::NotExpected);
        };
        let body: Propose = stored(sent, "proposal")?;
        let content = GroupEventContent::Proposal(body.proposal);
        self.receipt_of_ours(&group, &reply.receipt, &content)?;
        self.execute("UPDATE groups SET leaving = 1 WHERE id = ?1", [group.0])?;
        Ok(Next::Done(Outcome::LeaveProposed { group }))
    }

    /// Another epoch: the proposal is void, and made again in the one that the server is in.
    pub(crate) fn refused_leave_group(
        &self,
        sent: Option<&Encoded>,
        reply: ErrorReply,
    ) -> Result<Next, Error> {
        let Some(sent) = sent else {
            return Err(Error::NotExpected);
        };
        if breaks(reply, Rule::Role) {
            return Ok(Next::Over(Error::LastAdmin));
        }
        let body: Propose = stored(sent, "proposal")?;
        Ok(
            self.again(body.epoch.0, reply, |behind| JobState::LeaveGroup {
                sent: None,
                behind,
            }),
        )
    }

    /// A proposal that the server does not have may not stay in ours.
    pub(crate) fn withdraw_leave(&self, group: Option<&GroupId>) -> Result<(), Error> {
        let Some(group) = group else { return Ok(()) };
        if self.find_active_group(group)?.is_some() {
            self.withdraw(&mut self.mls_group(group)?)?;
        }
        Ok(())
    }

    fn withdraw(&self, mls: &mut MlsGroup) -> Result<(), Error> {
        let own = mls.own_leaf_index();
        let is_own = |sender: &Sender| matches!(sender, Sender::Member(leaf) if *leaf == own);
        let references: Vec<_> = mls
            .pending_proposals()
            .filter(|queued| matches!(queued.proposal(), Proposal::SelfRemove))
            .filter(|queued| is_own(queued.sender()))
            .map(|queued| queued.proposal_reference_ref().clone())
            .collect();
        for reference in references {
            mls.remove_pending_proposal(self.provider().storage(), &reference)
                .map_err(|_| Error::Mls("proposal"))?;
        }
        Ok(())
    }
}
