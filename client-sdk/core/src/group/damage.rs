//! A group that this client cannot follow, and how it helps itself.
//!
//! ```text
//! a commit that cannot be followed --> complain --> await a revert --it comes--> healed
//! an epoch that is not ours ------------------+          | it does not come in time
//!                                             +--> resync by an external commit --> healed
//!                                                        | the service knows our keys no more
//!                                                        +--> ask to be added again
//! ```

use std::time::Duration;

use openmls::prelude::{ProtocolMessage, Sender, WireFormat};
use protocol::codec::encode;
use protocol::crypto::signature::PrivateKey;
use protocol::delivery::{Complain, Complaint, ComplaintTbs};
use protocol::entry::CommitEvent;
use protocol::id::{Epoch, GroupId, LeafIndex, Seq};
use protocol::receipt::{ChainHash, Receipt};

use crate::drive::Next;
use crate::error::Error;
use crate::event::{Event, Person, Problem, Remedy};
use crate::group::event::{Reject, protocol_message};
use crate::group::members::nobody;
use crate::hex;
use crate::job::Outcome;
use crate::state::{CommitState, JobState, ResyncState};
use crate::tx::Tx;

/// How long others have to complain, too, before we help ourselves.
const REVERT_PATIENCE_SECONDS: u64 = 30;
/// For how long after a resync the queue may bring what was sent to the leaf from before it.
const QUIET_SECONDS: u64 = 86_400;

/// How far a client is in helping itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Complain,
    Await,
    Resync,
    Help,
    /// What still comes for the leaf from before is not to be told.
    Quiet,
}

/// A damaged group's row.
pub(crate) struct Damage {
    pub(crate) since: u64,
    /// The epoch that we are stuck in.
    pub(crate) epoch: u64,
    /// The commit that cannot be followed, and the chain with it.
    pub(crate) commit: Option<(u64, ChainHash)>,
    pub(crate) stage: Stage,
}

impl Stage {
    fn number(self) -> u8 {
        match self {
            Self::Complain => 0,
            Self::Await => 1,
            Self::Resync => 2,
            Self::Help => 3,
            Self::Quiet => 4,
        }
    }

    fn of(number: u8) -> Self {
        match number {
            0 => Self::Complain,
            1 => Self::Await,
            2 => Self::Resync,
            3 => Self::Help,
            _ => Self::Quiet,
        }
    }
}

impl Tx<'_> {
    pub(crate) fn damage(&self, group: &GroupId) -> Result<Option<Damage>, Error> {
        self.row(
            "SELECT since, epoch, number, chain, stage FROM damage WHERE grp = ?1",
            [group.0],
            |row| {
                let (number, chain) = (row.get::<_, Option<u64>>(2)?, row.get::<_, Option<_>>(3)?);
                Ok(Damage {
                    since: row.get(0)?,
                    epoch: row.get(1)?,
                    commit: number.zip(chain.map(ChainHash)),
                    stage: Stage::of(row.get(4)?),
                })
            },
        )
    }

    /// MLS refused a commit that the service has accepted. [SDK-HEAL-1]
    pub(crate) fn cannot_follow(
        &self,
        group: &GroupId,
        receipt: &Receipt,
        event: &CommitEvent,
    ) -> Result<(), Error> {
        let mls = self.mls_group(group)?;
        let message = protocol_message(event.commit.as_slice(), WireFormat::PublicMessage);
        let (ours, theirs) = (mls.epoch(), message.as_ref().map(ProtocolMessage::epoch));
        if theirs.is_some_and(|theirs| theirs < ours) {
            // Of an epoch that we have left behind.
            return Ok(());
        }
        let committer = message.as_ref().and_then(committer);
        let is_own = committer == Some(mls.own_leaf_index().u32());
        if let Some(leaf) = committer {
            self.note_committer(group, receipt.number.0, LeafIndex(leaf))?;
        }
        let by = match committer {
            Some(leaf) => self.member_at(group, LeafIndex(leaf))?,
            None => nobody(),
        };
        let commit = (receipt.number.0, receipt.chain);
        let is_ours_to_judge = theirs == Some(ours) && !is_own;
        let is_news = self.note_damage(group, is_ours_to_judge.then_some(commit), by)?;
        if is_ours_to_judge && is_news {
            self.keep_damaging(group, event.commit.as_slice())?;
        }
        Ok(())
    }

    /// Something of the group cannot be read, or the service is where the queue has not brought us:
    /// a commit is missing. [SDK-HEAL-1]
    pub(crate) fn lost_track(&self, group: &GroupId) -> Result<(), Error> {
        self.note_damage(group, None, nobody())?;
        Ok(())
    }

    /// Tells whether it is the first that is known of it.
    fn note_damage(
        &self,
        group: &GroupId,
        commit: Option<(u64, ChainHash)>,
        by: Person,
    ) -> Result<bool, Error> {
        let known = self.damage(group)?;
        if known.is_some_and(|known| known.stage != Stage::Quiet) {
            return Ok(false);
        }
        let revealed = self.has_revealed(group)?;
        let stage = match commit {
            Some(_) => Stage::Complain,
            None => Stage::Resync,
        };
        let epoch = self.mls_group(group)?.epoch().as_u64();
        let (number, chain) = commit.unzip();
        self.execute(
            "INSERT OR REPLACE INTO damage (grp, since, epoch, number, chain, stage, revealed)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            (
                group.0,
                self.now.0,
                epoch,
                number,
                chain.map(|chain| chain.0),
                stage.number(),
                revealed,
            ),
        )?;
        self.tell(&Event::GroupDamaged {
            group: hex::group_hex(group),
            number,
            by,
        })?;
        Ok(true)
    }

    pub(crate) fn set_stage(&self, group: &GroupId, stage: Stage) -> Result<(), Error> {
        self.execute(
            "UPDATE damage SET stage = ?2, since = ?3 WHERE grp = ?1",
            (group.0, stage.number(), self.now.0),
        )?;
        Ok(())
    }

    /// The group can be followed again.
    pub(crate) fn healed(
        &self,
        group: &GroupId,
        how: Remedy,
        missed: Option<(u64, u64)>,
    ) -> Result<(), Error> {
        self.end_damage(group)?;
        self.tell(&Event::GroupHealed {
            group: hex::group_hex(group),
            how,
            missed,
        })
    }

    /// Forget the damage in an epoch that we go on in. A key of it that the service was shown is
    /// replaced. [SDK-PROOF-1]
    pub(crate) fn end_damage(&self, group: &GroupId) -> Result<(), Error> {
        if self.has_revealed(group)? && !self.active_group(group)?.leaving {
            self.add_job(&JobState::CommitGroup(CommitState::new()), Some(group))?;
        }
        self.execute("DELETE FROM damage WHERE grp = ?1", [group.0])?;
        Ok(())
    }

    /// The same after a resync: what was sent to the leaf from before it may still come.
    pub(crate) fn healed_quietly(
        &self,
        group: &GroupId,
        missed: Option<(u64, u64)>,
    ) -> Result<(), Error> {
        self.set_stage(group, Stage::Quiet)?;
        self.tell(&Event::GroupHealed {
            group: hex::group_hex(group),
            how: Remedy::Resynced,
            missed,
        })
    }

    /// Only others can help: an admin has to remove and add us again. [SDK-HEAL-3]
    pub(crate) fn ask_for_help(&self, group: &GroupId) -> Result<Next, Error> {
        self.forget_resync(group)?;
        self.set_stage(group, Stage::Help)?;
        let stored = self.active_group(group)?;
        self.tell(&Event::HelpNeeded {
            group: stored.hex(),
            group_name: stored.name,
        })?;
        Ok(Next::Done(Outcome::Kept))
    }

    /// Whether what comes for a group is not worth telling: we know that we cannot read it.
    pub(crate) fn is_known_damage(&self, group: &GroupId) -> Result<bool, Error> {
        Ok(self.damage(group)?.is_some())
    }

    /// Go on helping ourselves. [SDK-HEAL-2]
    pub(crate) fn keep_damaged(&self) -> Result<(), Error> {
        self.execute(
            "DELETE FROM damage WHERE stage = ?1 AND since < ?2",
            (
                Stage::Quiet.number(),
                self.now.0.saturating_sub(QUIET_SECONDS),
            ),
        )?;
        let groups = self.rows("SELECT grp FROM damage", [], |row| Ok(GroupId(row.get(0)?)))?;
        for group in groups {
            let Some(damage) = self.damage(&group)? else {
                continue;
            };
            match damage.stage {
                Stage::Complain => self.start_complaint(&group, &damage)?,
                Stage::Await if self.now.0 < patience_ends(&damage) => {}
                Stage::Await => {
                    self.set_stage(&group, Stage::Resync)?;
                    self.start_resync(&group)?;
                }
                Stage::Resync => self.start_resync(&group)?,
                Stage::Help | Stage::Quiet => {}
            }
        }
        Ok(())
    }

    /// How long until a group that is damaged needs something.
    pub(crate) fn next_remedy(&self) -> Result<Option<Duration>, Error> {
        let since = self.row(
            "SELECT min(since) FROM damage WHERE stage = ?1",
            [Stage::Await.number()],
            |row| row.get::<_, Option<u64>>(0),
        )?;
        let due = |since: u64| since.saturating_add(REVERT_PATIENCE_SECONDS);
        let left = |since: u64| Duration::from_secs(due(since).saturating_sub(self.now.0));
        Ok(since.flatten().map(left))
    }

    fn start_resync(&self, group: &GroupId) -> Result<(), Error> {
        self.ensure_upkeep(&JobState::Resync {
            group: group.0,
            state: ResyncState::START,
        })
    }

    /// Complain, signed by our leaf. [SDK-COMPLAIN-1]
    fn start_complaint(&self, group: &GroupId, damage: &Damage) -> Result<(), Error> {
        let Some((number, chain)) = damage.commit else {
            return self.set_stage(group, Stage::Resync);
        };
        let stored = self.active_group(group)?;
        let tbs = ComplaintTbs {
            group: *group,
            leaf: LeafIndex(self.mls_group(group)?.own_leaf_index().u32()),
            commit: Seq(number),
            chain,
        };
        let epoch = Epoch(damage.epoch);
        let body = Complain {
            group: *group,
            epoch,
            state_key: self.state_key(group, epoch)?,
            complaint: Complaint::new(tbs, &PrivateKey::from_seed(&stored.leaf_seed)),
        };
        let body = encode(&body).into();
        self.ensure_upkeep(&JobState::Complain {
            group: group.0,
            body,
        })
    }

    /// Another member complains. It is told; what follows from it comes from the service.
    /// [SDK-COMPLAIN-2]
    pub(crate) fn take_complaint(
        &self,
        group: &GroupId,
        complaint: &Complaint,
    ) -> Result<(), Reject> {
        let key = self.member_key(group, complaint.leaf)?;
        let key = key.ok_or(Problem::ComplaintRefused)?;
        complaint
            .verify(&key, *group)
            .map_err(|_| Problem::ComplaintRefused)?;
        let by = self.member_at(group, complaint.leaf)?;
        if by.is_self {
            return Ok(());
        }
        self.note_stuck(group, &key)?;
        Ok(self.tell(&Event::CommitDisputed {
            group: hex::group_hex(group),
            number: complaint.commit.0,
            by,
        })?)
    }
}

fn patience_ends(damage: &Damage) -> u64 {
    damage.since.saturating_add(REVERT_PATIENCE_SECONDS)
}

/// The leaf that made a commit, if a member did.
fn committer(message: &ProtocolMessage) -> Option<u32> {
    let ProtocolMessage::PublicMessage(message) = message else {
        return None;
    };
    match message.sender() {
        Sender::Member(leaf) => Some(leaf.u32()),
        Sender::External(_) | Sender::NewMemberProposal | Sender::NewMemberCommit => None,
    }
}
