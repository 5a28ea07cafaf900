//! Proposals that wait for a commit: taking them, and seeing that somebody commits them.
//!
//! ```text
//! proposal told --stored--> waits --somebody's commit--> settled
//!                             |  random pause, and nobody has committed
//!                             +--> an upkeep job of ours commits
//! ```

use std::collections::BTreeSet;
use std::time::Duration;

use openmls::prelude::{
    ContentType, MlsGroup, OpenMlsProvider, ProcessedMessageContent, Proposal, ProposalOrRefType,
    QueuedProposal, Sender, StagedCommit, WireFormat,
};
use protocol::id::{GroupId, LeafIndex};

use crate::agenda::REST_PAUSE;
use crate::drive::Next;
use crate::error::Error;
use crate::event::{Event, Person, Problem};
use crate::group::event::{Reject, protocol_message};
use crate::hex;
use crate::job::{JobKind, Step};
use crate::state::{CommitState, JobState};
use crate::tx::Tx;

/// Somebody who is about to commit anyway has this long before others do it for them.
const PAUSE_SECONDS: u64 = 2;
/// The random part of the pause grows by a second for so many members, so that few race.
const MEMBERS_PER_SECOND: u64 = 8;
/// The random part is between these.
const SPREAD_SECONDS: (u64, u64) = (4, 120);
/// What could not be committed is tried again after this time and a random part.
const AGAIN_SECONDS: u64 = 60;

/// Who goes by the proposals of a commit that were told beforehand.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// By their own wish.
    pub(crate) left: Vec<Person>,
    /// Because the delivery service proposed it.
    pub(crate) removed: Vec<Person>,
}

impl Tx<'_> {
    /// The leaves that proposals which wait take out of the group.
    pub(crate) fn going(mls: &MlsGroup) -> BTreeSet<u32> {
        mls.pending_proposals().filter_map(leaf_of).collect()
    }

    /// A member or the delivery service proposes; it waits in the MLS state for a commit.
    pub(crate) fn take_proposal(
        &self,
        group: &GroupId,
        number: u64,
        proposal: &[u8],
    ) -> Result<(), Reject> {
        let mut mls = self.mls_group(group)?;
        let message = protocol_message(proposal, WireFormat::PublicMessage)
            .filter(|message| message.content_type() == ContentType::Proposal)
            .ok_or(Problem::ProposalRefused)?;
        let processed = self.process(&mut mls, message, Problem::ProposalRefused)?;
        self.receipt_beside_handshake(group, processed.aad())?;
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "anything else is no proposal"
        )]
        let queued = match processed.into_content() {
            ProcessedMessageContent::ProposalMessage(queued) => *queued,
            _ => return Err(Problem::ProposalRefused.into()),
        };
        let leaf = leaf_of(&queued).ok_or(Problem::ProposalRefused)?;
        let member = self.member_at(group, LeafIndex(leaf))?;
        let own_wish = matches!(queued.proposal(), Proposal::SelfRemove);
        mls.store_pending_proposal(self.provider().storage(), queued)
            .map_err(Error::from)?;
        self.commit_later(group, PAUSE_SECONDS)?;
        let group = hex::group_hex(group);
        Ok(self.tell(&if own_wish {
            Event::LeaveProposed {
                group,
                number,
                by: member,
            }
        } else {
            Event::RemovalProposed {
                group,
                number,
                member,
            }
        })?)
    }

    /// Commit what waits after a random pause, unless somebody else does. [SDK-PROPOSAL-2]
    pub(crate) fn commit_later(&self, group: &GroupId, least: u64) -> Result<(), Error> {
        let members = "SELECT count(*) FROM members WHERE grp = ?1 AND gone = 0";
        let (low, high) = SPREAD_SECONDS;
        let spread = (self.count(members, [group.0])? / MEMBERS_PER_SECOND).clamp(low, high);
        let drawn = u64::from(u32::from_be_bytes(self.random()?)) % (spread + 1);
        let at = self.now.0.saturating_add(least).saturating_add(drawn);
        self.execute(
            "UPDATE groups SET commit_after = ?2 WHERE id = ?1 AND commit_after IS NULL",
            (group.0, at),
        )?;
        Ok(())
    }

    /// Before anything is said, what waits is committed (RFC 9420 section 12.4): by a job before the
    /// one that asks. Who is to go can only wait. [SDK-PROPOSAL-3]
    pub(crate) fn commit_first(
        &self,
        group: &GroupId,
        mls: &MlsGroup,
    ) -> Result<Option<Next>, Error> {
        let going = Self::going(mls);
        if going.is_empty() {
            return Ok(None);
        }
        if going.contains(&mls.own_leaf_index().u32()) {
            return Ok(Some(Next::Over(Error::Leaving)));
        }
        let commit = JobState::CommitGroup(CommitState::proposals());
        if self.is_resting(&commit)? {
            return Ok(Some(Next::Step(Step::Retry(REST_PAUSE))));
        }
        self.nothing_waits(group)?;
        let job = self.add_job_before(&commit, group)?;
        Ok(Some(Next::Step(Step::Wait(job))))
    }

    /// A commit of ours for what waits came to nothing.
    pub(crate) fn commit_again(&self, group: &GroupId) -> Result<(), Error> {
        self.commit_later(group, AGAIN_SECONDS)
    }

    /// A commit has settled everything that waited.
    pub(crate) fn nothing_waits(&self, group: &GroupId) -> Result<(), Error> {
        self.execute(
            "UPDATE groups SET commit_after = NULL WHERE id = ?1",
            [group.0],
        )?;
        Ok(())
    }

    /// Make the jobs that commit what has waited long enough. [SDK-PROPOSAL-2]
    pub(crate) fn keep_proposals(&self) -> Result<(), Error> {
        let due = self.rows(
            "SELECT id FROM groups WHERE state = 1 AND leaving = 0 AND commit_after <= ?1",
            [self.now.0],
            |row| Ok(GroupId(row.get(0)?)),
        )?;
        for group in due {
            if self.has_job(&group, &[JobKind::CommitGroup, JobKind::CommitProposals])? {
                continue;
            }
            self.nothing_waits(&group)?;
            let mls = self.mls_group(&group)?;
            let going = Self::going(&mls);
            if !going.is_empty() && !going.contains(&mls.own_leaf_index().u32()) {
                self.add_job(
                    &JobState::CommitGroup(CommitState::proposals()),
                    Some(&group),
                )?;
            }
        }
        Ok(())
    }

    /// How long until something that waits is due.
    pub(crate) fn next_commit(&self) -> Result<Option<Duration>, Error> {
        let at = self.row(
            "SELECT min(commit_after) FROM groups WHERE state = 1 AND leaving = 0",
            [],
            |row| row.get::<_, Option<u64>>(0),
        )?;
        let left = |at: u64| Duration::from_secs(at.saturating_sub(self.now.0));
        Ok(at.flatten().map(left))
    }

    /// Who goes by what a commit settles; asked before it is merged.
    pub(crate) fn settled(&self, group: &GroupId, staged: &StagedCommit) -> Result<Settled, Error> {
        let mut settled = Settled::default();
        for queued in staged.queued_proposals() {
            if queued.proposal_or_ref_type() != ProposalOrRefType::Reference {
                continue;
            }
            let Some(leaf) = leaf_of(queued) else {
                continue;
            };
            let member = self.member_at(group, LeafIndex(leaf))?;
            if matches!(queued.proposal(), Proposal::SelfRemove) {
                settled.left.push(member);
            } else {
                settled.removed.push(member);
            }
        }
        Ok(settled)
    }

    /// Whether a commit takes a leaf out because it asked for that.
    pub(crate) fn asked_to_leave(staged: &StagedCommit, leaf: u32) -> bool {
        staged.queued_proposals().any(|queued| {
            matches!(queued.proposal(), Proposal::SelfRemove) && leaf_of(queued) == Some(leaf)
        })
    }
}

/// Whom a proposal takes out, if it is one that we know.
fn leaf_of(queued: &QueuedProposal) -> Option<u32> {
    match (queued.sender(), queued.proposal()) {
        (Sender::Member(leaf), Proposal::SelfRemove) => Some(leaf.u32()),
        (Sender::External(_), Proposal::Remove(remove)) => Some(remove.removed().u32()),
        _ => None,
    }
}
