//! What becomes of our commit: merged once, or void.

use std::collections::BTreeMap;

use openmls::prelude::OpenMlsProvider;
use protocol::codec::Opaque;
use protocol::crypto::identity::WrappedLinkKey;
use protocol::crypto::signature::PublicKey;
use protocol::delivery::CommitGroup;
use protocol::id::{Epoch, GroupId, LeafIndex};

use crate::agenda::StoredJob;
use crate::delivery::commit_group::committed;
use crate::error::Error;
use crate::event::Event;
use crate::group::StoredGroup;
use crate::group::content::Body;
use crate::group::proposal::Settled;
use crate::state::{CommitState, JobState};
use crate::tx::{Tx, stored};

impl Tx<'_> {
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
        let pending = mls.pending_commit().ok_or(Error::Mls("pending commit"))?;
        let settled = self.settled(&group.id, pending)?;
        self.retain(&group.id, number)?;
        let own = LeafIndex(mls.own_leaf_index().u32());
        self.note_committer(&group.id, number, own)?;
        mls.merge_pending_commit(&self.provider())
            .map_err(|_| Error::Mls("merge"))?;
        self.nothing_waits(&group.id)?;
        let epoch = mls.epoch().as_u64();
        self.add_epoch(&group.id, Epoch(epoch), &body.next_state_key, number)?;
        let link = self.inferred_link(&group.id, number, &committed(body.commit.clone()))?;
        self.number_of_ours(&group.id, number, link)?;
        let link_keys = body.added.iter().map(|added| added.link_key);
        let keys: BTreeMap<PublicKey, WrappedLinkKey> = sent
            .added
            .iter()
            .map(|key| PublicKey(*key))
            .zip(link_keys)
            .collect();
        self.refresh_members(&group.id, &mls, &group.identity_key, &keys)?;
        self.refresh_roles(group, &mls)?;
        self.tell_settled(group, number, settled)?;
        // The queue has brought nothing of what follows the commit.
        self.forget_past(&group.id, &mut mls, 0)?;
        if !keys.is_empty() {
            let name = self.active_group(&group.id)?.name.into_bytes();
            // Names fit. Nothing may fail here that the service has accepted.
            if let Ok(name) = Opaque::new(name) {
                self.queue_message(&group.id, &Body::GroupName(name))?;
            }
        }
        self.note_commit(&group.id, number, &commit)?;
        let accepted = CommitState {
            accepted: Some(epoch),
            ..commit
        };
        self.save_job(job.id, &JobState::CommitGroup(accepted))
    }

    /// Our own commit is told by the job's outcome; that others went by it is news.
    fn tell_settled(
        &self,
        group: &StoredGroup,
        number: u64,
        settled: Settled,
    ) -> Result<(), Error> {
        let Settled { left, mut removed } = settled;
        removed.extend(left.iter().cloned());
        if removed.is_empty() {
            return Ok(());
        }
        self.tell(&Event::MembersChanged {
            group: group.hex(),
            number,
            by: self.member_by_key(&group.id, group.key().0)?,
            added: Vec::new(),
            removed,
            left,
        })
    }

    /// A commit that was refused for good is void.
    pub(crate) fn drop_pending_commit(&self, group: Option<&GroupId>) -> Result<(), Error> {
        let Some(group) = group else { return Ok(()) };
        if self.find_active_group(group)?.is_some() {
            let mut mls = self.mls_group(group)?;
            mls.clear_pending_commit(self.provider().storage())?;
            if !Self::going(&mls).is_empty() {
                self.commit_again(group)?;
            }
        }
        Ok(())
    }
}
