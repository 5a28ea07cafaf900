//! delete_group - spec/delivery.md#delete_group
//!
//! ```text
//! (wish stored) --message made, stored--> sent --accepted--> nothing of the group's keys is left
//!      ^                                   |  WrongEpoch: the group has moved on
//!      +------- caught up -----------------+
//! ```

use openmls::prelude::MlsGroup;
use protocol::codec::encode;
use protocol::delivery::{DeleteGroup, DeleteGroupReply};
use protocol::entry::GroupEventContent;
use protocol::error::{ErrorReply, Rule};
use protocol::group_policy::Role;
use protocol::id::{Epoch, GroupId, LeafIndex};
use protocol::time::Timestamp;

use crate::agenda::StoredJob;
use crate::delivery::breaks;
use crate::drive::{Next, success};
use crate::error::Error;
use crate::group::StoredGroup;
use crate::group::content::{Body, Content};
use crate::home::Core;
use crate::job::{JobId, JobKind, Outcome};
use crate::state::{Behind, Encoded, JobState};
use crate::tx::{Tx, storable, stored};

impl Core {
    /// End a group for everybody. The history stays.
    ///
    /// # Errors
    /// `Unknown` group, `NotAdmin`, or the home's fault.
    pub fn delete_group(&mut self, group: &GroupId, now: Timestamp) -> Result<JobId, Error> {
        self.transact(now, |tx| {
            let stored = tx.active_group(group)?;
            tx.require_admin(&stored)?;
            if tx.has_job(group, &[JobKind::DeleteGroup])? {
                return Err(Error::Leaving);
            }
            let (sent, behind) = (None, None);
            tx.add_job(&JobState::DeleteGroup { sent, behind }, Some(group))
        })
    }
}

impl Tx<'_> {
    pub(crate) fn next_delete_group(
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
            let body: DeleteGroup = stored(sent, "delete_group")?;
            return Ok(Self::send_as_leaf(group, body));
        }
        let mut mls = self.mls_group(&group.id)?;
        if behind.is_some_and(|behind| self.believes_denial(behind)) {
            // The server knows no such group any more, and the queue knows of no other reason than
            // that an earlier request, whose answer was lost, has deleted it. [SDK-DELETE-2]
            return self.group_is_gone(&group.id, &mut mls);
        }
        if let Some(wait) = self.catch_up(&group.id, mls.epoch().as_u64(), behind)? {
            return Ok(wait);
        }
        if self.own_role(&group)? != Role::Admin {
            return Ok(Next::Over(Error::NotAdmin));
        }
        if let Some(first) = self.commit_first(&group.id, &mls)? {
            return Ok(first);
        }
        let sent = Some(self.make_deletion(&group, &mut mls)?);
        Ok(Next::Goto(JobState::DeleteGroup { sent, behind: None }))
    }

    fn make_deletion(&self, group: &StoredGroup, mls: &mut MlsGroup) -> Result<Encoded, Error> {
        let now = storable(self.now.0);
        let content = Content::new(self.random()?, now, Body::GroupDeleted);
        let message = self.encrypt_content(group, mls, content)?;
        let epoch = Epoch(mls.epoch().as_u64());
        let body = DeleteGroup {
            group: group.id,
            sender: LeafIndex(mls.own_leaf_index().u32()),
            epoch,
            state_key: self.state_key(&group.id, epoch)?,
            message,
        };
        Ok(encode(&body).into())
    }

    pub(crate) fn answered_delete_group(
        &self,
        job: &StoredJob,
        sent: Option<&Encoded>,
        payload: &[u8],
    ) -> Result<Next, Error> {
        let reply: DeleteGroupReply = success(payload)?;
        let (Some(group), Some(sent)) = (job.group, sent) else {
            return Err(Error::NotExpected);
        };
        let body: DeleteGroup = stored(sent, "delete_group")?;
        let content = GroupEventContent::Deleted(body.message);
        self.receipt_of_ours(&group, &reply.receipt, &content)?;
        self.group_is_gone(&group, &mut self.mls_group(&group)?)
    }

    fn group_is_gone(&self, group: &GroupId, mls: &mut MlsGroup) -> Result<Next, Error> {
        self.leave_group(group, mls)?;
        Ok(Next::Done(Outcome::GroupDeleted { group: *group }))
    }

    pub(crate) fn refused_delete_group(
        &self,
        sent: Option<&Encoded>,
        reply: ErrorReply,
    ) -> Result<Next, Error> {
        let Some(sent) = sent else {
            return Err(Error::NotExpected);
        };
        if breaks(reply, Rule::Role) {
            return Ok(Next::Over(Error::NotAdmin));
        }
        let body: DeleteGroup = stored(sent, "delete_group")?;
        Ok(
            self.again(body.epoch.0, reply, |behind| JobState::DeleteGroup {
                sent: None,
                behind,
            }),
        )
    }
}
