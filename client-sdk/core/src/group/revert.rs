//! Going back with the group when commits are undone.
//!
//! ```text
//! RevertedEvent --back to the retained state--> complaints of its members checked -->
//!     what was numbered since is void; what of it was ours is sent again
//! ```

use std::collections::BTreeSet;

use openmls::prelude::{MlsGroup, OpenMlsProvider};
use protocol::crypto::signature::PublicKey;
use protocol::entry::RevertedEvent;
use protocol::id::{GroupId, LeafIndex};

use crate::error::Error;
use crate::event::{Event, Person, Problem, Remedy};
use crate::group::damage::Stage;
use crate::group::event::Reject;
use crate::group::members::nobody;
use crate::hex;
use crate::state::{CommitState, JobState};
use crate::tx::{Tx, storable};

/// Messages in the database: ours that were accepted, and those of others.
const SENT: u8 = 1;
const RECEIVED: u8 = 3;

impl Tx<'_> {
    /// The group is again in an epoch that a commit had ended. Whoever followed the commit goes
    /// back to the state that it retained; whoever did not is there. [SDK-REVERT-1]
    pub(crate) fn take_reverted(
        &self,
        group: &GroupId,
        event: &RevertedEvent,
    ) -> Result<(), Reject> {
        let (commit, epoch) = (event.commit.0, event.epoch.0);
        if storable(commit) != commit || storable(epoch) != epoch {
            return Err(Problem::RevertRefused.into());
        }
        let went_back = self.go_back(group, commit)?;
        let mut mls = self.mls_group(group)?;
        if mls.epoch().as_u64() != epoch {
            // Not from where we are: we have missed something, or somebody lies.
            return Err(Problem::RevertRefused.into());
        }
        let offender = self.check_revert(group, &mls, event)?;
        mls.clear_pending_commit(self.provider().storage())
            .map_err(Error::from)?;
        let stored = self.active_group(group)?;
        self.refresh_roles(&stored, &mls)?;
        self.nothing_waits(group)?;
        self.nobody_is_stuck(group)?;
        if !stored.leaving {
            self.repeat_void(group, commit)?;
        }
        self.void_messages(group, commit)?;
        self.begin_jobs_anew(group)?;
        if stored.leaving {
            self.execute("UPDATE groups SET leaving = 0 WHERE id = ?1", [group.0])?;
            self.propose_leave(group)?;
        }
        self.forget_resync(group)?;
        self.tell(&Event::GroupReverted {
            group: hex::group_hex(group),
            commit,
            offender,
            epoch,
        })?;
        let damage = self.damage(group)?;
        if !went_back && damage.is_some_and(|damage| damage.stage != Stage::Quiet) {
            self.healed(group, Remedy::Reverted, None)?;
        }
        Ok(self.end_damage(group)?)
    }

    /// At least half of the members of the epoch, the committer not counted, say so: each once,
    /// signed by its leaf, about this very commit. Gives the committer. [SDK-REVERT-3]
    fn check_revert(
        &self,
        group: &GroupId,
        mls: &MlsGroup,
        event: &RevertedEvent,
    ) -> Result<Person, Reject> {
        let known = self.find_receipt(group, event.commit.0)?;
        let committer = self.committer(group, event.commit.0)?;
        let mut complaining = BTreeSet::new();
        for complaint in &event.complaints {
            let is_meant = complaint.commit == event.commit
                && known.is_none_or(|known| known.chain == complaint.chain)
                && committer != Some(complaint.leaf);
            let key = leaf_key(mls, complaint.leaf).filter(|_| is_meant);
            let key = key.ok_or(Problem::RevertRefused)?;
            complaint
                .verify(&key, *group)
                .map_err(|_| Problem::RevertRefused)?;
            complaining.insert(complaint.leaf);
        }
        let recipients = mls.members().count().saturating_sub(1);
        if complaining.is_empty() || complaining.len() < recipients.div_ceil(2) {
            return Err(Problem::RevertRefused.into());
        }
        Ok(match committer {
            Some(leaf) => self.member_at(group, leaf)?,
            None => nobody(),
        })
    }

    /// Remember who made a commit, for as long as it can be undone.
    pub(crate) fn note_committer(
        &self,
        group: &GroupId,
        number: u64,
        leaf: LeafIndex,
    ) -> Result<(), Error> {
        self.execute(
            "INSERT OR REPLACE INTO committers (grp, number, leaf, until) VALUES (?1, ?2, ?3, ?4)",
            (
                group.0,
                number,
                leaf.0,
                self.now.0.saturating_add(COMMITTER_SECONDS),
            ),
        )?;
        Ok(())
    }

    fn committer(&self, group: &GroupId, number: u64) -> Result<Option<LeafIndex>, Error> {
        self.row(
            "SELECT leaf FROM committers WHERE grp = ?1 AND number = ?2",
            (group.0, number),
            |row| Ok(LeafIndex(row.get(0)?)),
        )
    }

    /// What was numbered after the commit is void. What of it was ours is sent again; what others
    /// said stays in the history, without a number until it comes again. [SDK-REVERT-2]
    fn void_messages(&self, group: &GroupId, commit: u64) -> Result<(), Error> {
        self.execute(
            "UPDATE messages SET number = NULL WHERE grp = ?1 AND number > ?2 AND state = ?3",
            (group.0, commit, RECEIVED),
        )?;
        let ours = self.rows(
            "UPDATE messages SET number = NULL, state = 0
             WHERE grp = ?1 AND number > ?2 AND state = ?3 RETURNING id",
            (group.0, commit, SENT),
            |row| row.get::<_, i64>(0),
        )?;
        for message in ours {
            self.add_job(
                &JobState::SendMessage {
                    message,
                    sent: None,
                    behind: None,
                },
                Some(group),
            )?;
        }
        Ok(())
    }

    /// What jobs of the group have made is of an epoch that is void.
    pub(crate) fn begin_jobs_anew(&self, group: &GroupId) -> Result<(), Error> {
        for job in self.jobs_of(group)? {
            #[expect(
                clippy::wildcard_enum_match_arm,
                reason = "no other job makes something of an epoch"
            )]
            let state = match job.state {
                JobState::SendMessage { message, .. } => JobState::SendMessage {
                    message,
                    sent: None,
                    behind: None,
                },
                JobState::SendToMember { message, .. } => JobState::SendToMember {
                    message,
                    sent: None,
                    behind: None,
                },
                // What of it is void is in a job of its own.
                JobState::CommitGroup(commit) if commit.accepted.is_some() => continue,
                JobState::CommitGroup(commit) => JobState::CommitGroup(CommitState {
                    sent: None,
                    behind: None,
                    accepted: None,
                    ..commit
                }),
                JobState::LeaveGroup { .. } => JobState::LeaveGroup {
                    sent: None,
                    behind: None,
                },
                JobState::DeleteGroup { .. } => JobState::DeleteGroup {
                    sent: None,
                    behind: None,
                },
                JobState::UpdateTicket { body, .. } => {
                    JobState::UpdateTicket { body, behind: None }
                }
                other => other,
            };
            self.save_job(job.id, &state)?;
        }
        Ok(())
    }
}

/// As long as a state from before a commit is retained.
const COMMITTER_SECONDS: u64 = 900;

fn leaf_key(mls: &MlsGroup, leaf: LeafIndex) -> Option<PublicKey> {
    let mut members = mls.members();
    let member = members.find(|member| member.index.u32() == leaf.0)?;
    member
        .signature_key
        .as_slice()
        .try_into()
        .ok()
        .map(PublicKey)
}
