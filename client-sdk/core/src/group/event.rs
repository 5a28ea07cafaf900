//! What the delivery service tells the members of a group. Spec: queue.md#entries.
//!
//! ```text
//! sealed --a state key of the group--> GroupEvent --number--> Message | Commit --MLS--> effect
//! ```

use openmls::prelude::{
    ContentType, MlsGroup, MlsMessageIn, OpenMlsProvider, ProcessMessageError, ProcessedMessage,
    ProcessedMessageContent, ProtocolMessage, Sender, StagedCommit, WireFormat,
};
use protocol::codec::decode_exact;
use protocol::crypto::label;
use protocol::entry::{CommitEvent, FanOutKey, GroupEvent, GroupEventContent};
use protocol::group_policy::GroupKind;
use protocol::id::{Epoch, GroupId, LeafIndex, TicketId};

use crate::error::Error;
use crate::event::{Event, Person, Problem};
use crate::group::connection::Company;
use crate::group::members::{Changes, by_leaf, nobody};
use crate::group::role::RoleChanges;
use crate::group::{StoredGroup, exported};
use crate::hex;
use crate::tx::Tx;

/// Payloads kept for one join that is under way.
const PARKED_MAX: u64 = 100_000;

/// What a commit did that members may want to hear of.
struct Changed {
    changes: Changes,
    left: Vec<Person>,
    roles: RoleChanges,
}

/// Why something that arrived has no effect.
#[derive(Debug)]
pub(crate) enum Reject {
    /// What arrived is at fault: tell, and go on.
    Problem(Option<String>, Problem),
    /// The home is: undo, and try again later.
    Fail(Error),
}

impl From<Problem> for Reject {
    fn from(problem: Problem) -> Self {
        Self::Problem(None, problem)
    }
}

impl From<Error> for Reject {
    fn from(error: Error) -> Self {
        Self::Fail(error)
    }
}

impl From<rusqlite::Error> for Reject {
    fn from(error: rusqlite::Error) -> Self {
        Self::Fail(error.into())
    }
}

impl Tx<'_> {
    /// Take an event that came by a ticket: the ticket says of which groups it can be, the key
    /// under which it opens of which it is.
    pub(crate) fn receive_group(
        &self,
        ticket: TicketId,
        sealed: &[u8],
        payload: &[u8],
    ) -> Result<(), Reject> {
        let groups = self.groups_of_ticket(ticket)?;
        for group in &groups {
            if let Some(event) = self.open_event(group, sealed)? {
                return self.take_event(&group.id, &event);
            }
        }
        let joins = "SELECT (SELECT count(*) FROM joins WHERE ticket_id = ?1)
                          + (SELECT count(*) FROM resyncs WHERE ticket_id = ?1)";
        if self.count(joins, [ticket.0])? > 0 {
            return self.park(ticket, payload);
        }
        // What does not open is of the group that is over for us. [SDK-LATE-1]
        if self.is_overtaken(ticket)? {
            return Ok(());
        }
        match groups.as_slice() {
            [] => Err(Problem::TicketUnknown.into()),
            [group] => self.unreadable(group),
            [group, ..] => Err(self.problem_in(&group.id, Problem::EventUnreadable)),
        }
    }

    /// What does not open is of an epoch that we are not in: a commit must be missing.
    fn unreadable(&self, group: &StoredGroup) -> Result<(), Reject> {
        if self.is_known_damage(&group.id)? {
            return Ok(());
        }
        self.tell(&Event::Problem {
            group: Some(group.hex()),
            problem: Problem::EventUnreadable,
        })?;
        Ok(self.lost_track(&group.id)?)
    }

    /// Keep what belongs to a group that we are about to join, in its order. [SDK-JOIN-1]
    fn park(&self, ticket: TicketId, payload: &[u8]) -> Result<(), Reject> {
        let parked = "SELECT count(*) FROM parked WHERE ticket_id = ?1";
        if self.count(parked, [ticket.0])? >= PARKED_MAX {
            return Err(Problem::EventUnreadable.into());
        }
        self.execute(
            "INSERT INTO parked (ticket_id, payload) VALUES (?1, ?2)",
            (ticket.0, payload),
        )?;
        Ok(())
    }

    fn open_event(&self, group: &StoredGroup, sealed: &[u8]) -> Result<Option<GroupEvent>, Error> {
        for key in self.fan_out_keys(&group.id)? {
            if let Ok(event) = GroupEvent::open(&key, sealed) {
                return Ok(Some(event));
            }
        }
        // Under the key of the epoch that our own commit leads to: it was accepted, though we
        // have not heard so yet. [SDK-COMMIT-2]
        let Some((job, sent)) = self.unsettled_commit(&group.id)? else {
            return Ok(None);
        };
        let Ok(event) = GroupEvent::open(&FanOutKey::of(&sent.next_state_key), sealed) else {
            return Ok(None);
        };
        let number = self.last_number(&group.id)?.unwrap_or(0).saturating_add(1);
        self.settle_commit(group, job, number)?;
        Ok(Some(event))
    }

    /// Number first: whatever is inside, this event is not taken again.
    fn take_event(&self, group: &GroupId, event: &GroupEvent) -> Result<(), Reject> {
        if !self.receipt_of_event(group, event)? {
            return Ok(());
        }
        let number = event.receipt.number.0;
        let taken = self.attempt(|| match &event.content {
            GroupEventContent::Message(message) => {
                self.take_message(group, number, message.as_slice())
            }
            GroupEventContent::Commit(commit) => self.take_commit(group, number, commit),
            GroupEventContent::Proposal(proposal) => {
                self.take_proposal(group, number, proposal.as_slice())
            }
            GroupEventContent::Deleted(message) => self.take_deletion(group, message.as_slice()),
            GroupEventContent::Direct(message) => self.take_direct(group, message.as_slice()),
            GroupEventContent::Reverted(reverted) => self.take_reverted(group, reverted),
            GroupEventContent::Complaint(complaint) => self.take_complaint(group, complaint),
        });
        let Err(Reject::Problem(_, problem)) = taken else {
            return taken;
        };
        self.tell(&Event::Problem {
            group: Some(hex::group_hex(group)),
            problem,
        })?;
        Ok(self.cannot_take(group, event)?)
    }

    /// Whether what could not be used leaves us behind.
    fn cannot_take(&self, group: &GroupId, event: &GroupEvent) -> Result<(), Error> {
        match &event.content {
            GroupEventContent::Commit(commit) => self.cannot_follow(group, &event.receipt, commit),
            GroupEventContent::Reverted(reverted)
                if self.mls_group(group)?.epoch().as_u64() != reverted.epoch.0
                    && !self.may_be_reverted(group, reverted.epoch.0)? =>
            {
                self.lost_track(group)
            }
            GroupEventContent::Reverted(_)
            | GroupEventContent::Message(_)
            | GroupEventContent::Proposal(_)
            | GroupEventContent::Deleted(_)
            | GroupEventContent::Direct(_)
            | GroupEventContent::Complaint(_) => Ok(()),
        }
    }

    fn take_commit(&self, group: &GroupId, number: u64, event: &CommitEvent) -> Result<(), Reject> {
        let stored = self.active_group(group)?;
        let mut mls = self.mls_group(group)?;
        let message = protocol_message(event.commit.as_slice(), WireFormat::PublicMessage)
            .filter(|message| message.content_type() == ContentType::Commit)
            .ok_or(Problem::CommitRefused)?;
        let processed = self.process(&mut mls, message, Problem::CommitRefused)?;
        self.receipt_beside_handshake(group, processed.aad())?;
        let mut entering = None;
        let mut by = match processed.sender() {
            Sender::Member(leaf) => {
                self.note_committer(group, number, LeafIndex(leaf.u32()))?;
                self.member_at(group, LeafIndex(leaf.u32()))?
            }
            Sender::NewMemberCommit => {
                let pseudonym = processed.credential().serialized_content();
                self.is_back(group, pseudonym)?;
                entering = Some(pseudonym.to_vec());
                self.member_by_pseudonym(group, pseudonym)?
            }
            Sender::External(_) | Sender::NewMemberProposal => nobody(),
        };
        #[expect(clippy::wildcard_enum_match_arm, reason = "anything else is no commit")]
        let staged = match processed.into_content() {
            ProcessedMessageContent::StagedCommitMessage(staged) => *staged,
            ProcessedMessageContent::OwnPendingCommit => {
                let (job, _) = self
                    .unsettled_commit(group)?
                    .ok_or(Problem::CommitRefused)?;
                return Ok(self.settle_commit(&stored, job, number)?);
            }
            _ => return Err(Problem::CommitRefused.into()),
        };
        if staged.self_removed() {
            let asked = Self::asked_to_leave(&staged, mls.own_leaf_index().u32());
            return Ok(self.tell_out(&stored, &mut mls, by, asked)?);
        }
        if entering.is_some() && !self.may_enter(&stored, &mls, &staged)? {
            return Err(Problem::CommitRefused.into());
        }
        let settled = self.settled(group, &staged)?;
        self.merge(&stored, &mut mls, staged, number)?;
        let keys = by_leaf(&event.link_keys);
        let mut changes = self.refresh_members(group, &mls, &stored.identity_key, &keys)?;
        if let Some(pseudonym) = entering {
            by = self.member_by_pseudonym(group, &pseudonym)?;
            changes.unverified |= self.is_with_stranger(group)?;
        }
        let roles = self.refresh_roles(&stored, &mls)?;
        self.nothing_waits(group)?;
        if stored.leaving {
            // Our wish was of the epoch before, and this commit does not grant it.
            self.execute("UPDATE groups SET leaving = 0 WHERE id = ?1", [group.0])?;
            self.propose_leave(group)?;
        }
        self.forget_past(group, &mut mls, number)?;
        let changed = Changed {
            changes,
            left: settled.left,
            roles,
        };
        Ok(self.tell_changes(group, number, by, changed)?)
    }

    /// From outside come a member who replaces its own leaf, and the second person of a connection
    /// group; nobody else, whatever the service lets pass. [SDK-CONNECTION-3]
    fn may_enter(
        &self,
        group: &StoredGroup,
        mls: &MlsGroup,
        staged: &StagedCommit,
    ) -> Result<bool, Error> {
        let mut removed = staged.remove_proposals();
        let (Some(first), None) = (removed.next(), removed.next()) else {
            let is_second = group.policy.kind == GroupKind::Connection
                && self.company(&group.id)? == Company::Nobody;
            return Ok(is_second && staged.remove_proposals().next().is_none());
        };
        let before = mls.member_at(first.remove_proposal().removed());
        let after = staged.update_path_leaf_node();
        Ok(before.zip(after).is_some_and(|(before, after)| {
            before.signature_key == after.signature_key().as_slice()
                && before.credential == *after.credential()
        }))
    }

    /// Enter the epoch of somebody else's commit; a pending one of ours is void by that.
    fn merge(
        &self,
        group: &StoredGroup,
        mls: &mut MlsGroup,
        staged: StagedCommit,
        number: u64,
    ) -> Result<(), Reject> {
        let provider = self.provider();
        let key = staged
            .export_secret(provider.crypto(), label::GROUP_STATE_KEY, &[], 32)
            .map_err(|_| Problem::CommitRefused)?;
        let epoch = Epoch(staged.epoch().as_u64());
        self.retain(&group.id, number)?;
        mls.merge_staged_commit(&provider, staged)
            .map_err(|_| Error::Mls("merge"))?;
        Ok(self.add_epoch(&group.id, epoch, &exported(key)?, number)?)
    }

    /// A commit takes us out.
    fn tell_out(
        &self,
        group: &StoredGroup,
        mls: &mut MlsGroup,
        by: Person,
        asked: bool,
    ) -> Result<(), Error> {
        self.leave_group(&group.id, mls)?;
        let (group, group_name) = (group.hex(), group.name.clone());
        self.tell(&if asked {
            Event::LeftGroup { group, group_name }
        } else {
            Event::RemovedFromGroup {
                group,
                group_name,
                by,
            }
        })
    }

    fn tell_changes(
        &self,
        group: &GroupId,
        number: u64,
        by: Person,
        changed: Changed,
    ) -> Result<(), Error> {
        let Changed {
            changes,
            left,
            roles,
        } = changed;
        let Changes {
            added,
            removed,
            unverified,
            identity_changed,
        } = changes;
        let group = hex::group_hex(group);
        let problems = [
            (unverified, Problem::MemberUnverified),
            (identity_changed, Problem::IdentityChanged),
        ];
        for (_, problem) in problems.into_iter().filter(|(is_there, _)| *is_there) {
            self.tell(&Event::Problem {
                group: Some(group.clone()),
                problem,
            })?;
        }
        let same_members = added.is_empty() && removed.is_empty();
        if !roles.is_empty() {
            self.tell(&Event::RolesChanged {
                group: group.clone(),
                number,
                by: by.clone(),
                promoted: roles.promoted,
                demoted: roles.demoted,
            })?;
            if same_members {
                return Ok(());
            }
        }
        self.tell(&if same_members {
            Event::KeysUpdated { group, number, by }
        } else {
            Event::MembersChanged {
                group,
                number,
                by,
                added,
                removed,
                left,
            }
        })
    }

    pub(crate) fn process(
        &self,
        mls: &mut MlsGroup,
        message: ProtocolMessage,
        problem: Problem,
    ) -> Result<ProcessedMessage, Reject> {
        mls.process_message(&self.provider(), message)
            .map_err(|error| {
                if let ProcessMessageError::StorageError(error) = error {
                    Reject::Fail(error.into())
                } else {
                    problem.into()
                }
            })
    }
}

pub(crate) fn protocol_message(bytes: &[u8], wire_format: WireFormat) -> Option<ProtocolMessage> {
    let message: MlsMessageIn = decode_exact(bytes).ok()?;
    if message.wire_format() != wire_format {
        return None;
    }
    message.try_into_protocol_message().ok()
}
