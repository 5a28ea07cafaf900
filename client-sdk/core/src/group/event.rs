//! What the delivery service tells the members of a group. Spec: queue.md#entries.
//!
//! ```text
//! sealed --a state key of the group--> GroupEvent --number--> Message | Commit --MLS--> effect
//! ```

use std::collections::BTreeMap;

use openmls::prelude::{
    ContentType, MlsGroup, MlsMessageIn, OpenMlsProvider, ProcessMessageError, ProcessedMessage,
    ProcessedMessageContent, ProtocolMessage, Sender, StagedCommit, WireFormat,
};
use protocol::codec::decode_exact;
use protocol::crypto::label;
use protocol::entry::{CommitEvent, GroupEvent, GroupEventContent};
use protocol::id::{Epoch, GroupId, LeafIndex, TicketId};

use crate::error::Error;
use crate::event::{Event, Person, Problem};
use crate::group::content::{Body, Content};
use crate::group::members::{Changes, nobody};
use crate::group::{StoredGroup, exported};
use crate::hex;
use crate::tx::{Tx, storable};

/// Payloads kept for one join that is under way.
const PARKED_MAX: u64 = 100_000;

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
        let joins = "SELECT count(*) FROM joins WHERE ticket_id = ?1";
        if self.count(joins, [ticket.0])? > 0 {
            return self.park(ticket, payload);
        }
        match groups.first() {
            Some(group) => Err(Reject::Problem(Some(group.hex()), Problem::EventUnreadable)),
            None => Err(Problem::TicketUnknown.into()),
        }
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
        for key in self.state_keys(&group.id)? {
            if let Ok(event) = GroupEvent::open(&key, sealed) {
                return Ok(Some(event));
            }
        }
        // Under the key of the epoch that our own commit leads to: it was accepted, though we
        // have not heard so yet. [SDK-COMMIT-2]
        let Some((job, sent)) = self.unsettled_commit(&group.id)? else {
            return Ok(None);
        };
        let Ok(event) = GroupEvent::open(&sent.next_state_key, sealed) else {
            return Ok(None);
        };
        let number = self.last_number(&group.id)?.unwrap_or(0).saturating_add(1);
        self.settle_commit(group, job, number)?;
        Ok(Some(event))
    }

    /// Number first: whatever is inside, this event is not taken again.
    fn take_event(&self, group: &GroupId, event: &GroupEvent) -> Result<(), Reject> {
        let number = event.number.0;
        let problem = |problem| Reject::Problem(Some(hex::group_hex(group)), problem);
        if number == 0 || storable(number) != number {
            return Err(problem(Problem::EventUnreadable));
        }
        self.take_number(group, number)?;
        let taken = self.attempt(|| match &event.content {
            GroupEventContent::Message(message) => {
                self.take_message(group, number, message.as_slice())
            }
            GroupEventContent::Commit(commit) => self.take_commit(group, number, commit),
        });
        if let Err(Reject::Problem(_, what)) = taken {
            let group = Some(hex::group_hex(group));
            self.tell(&Event::Problem {
                group,
                problem: what,
            })?;
            return Ok(());
        }
        taken
    }

    /// Events count up without gaps; our own numbers are known from replies. A single number that
    /// is missing while a request of ours is under way is taken for that request's. [SDK-NUMBER-1]
    fn take_number(&self, group: &GroupId, number: u64) -> Result<(), Reject> {
        let Some(last) = self.last_number(group)? else {
            return Ok(self.reach(group, number)?);
        };
        let taken = "SELECT count(*) FROM own_numbers WHERE grp = ?1 AND number = ?2";
        if number <= last || self.count(taken, (group.0, number))? > 0 {
            return Err(Reject::Problem(
                Some(hex::group_hex(group)),
                Problem::EventRepeated,
            ));
        }
        let ours = "SELECT count(*) FROM own_numbers WHERE grp = ?1 AND number < ?2";
        let ours = self.count(ours, (group.0, number))?;
        let missing = (number - last - 1).saturating_sub(ours);
        if missing > 0 && !(missing == 1 && self.is_request_open(group)?) {
            let group = Some(hex::group_hex(group));
            self.tell(&Event::Problem {
                group,
                problem: Problem::EventGap,
            })?;
        }
        Ok(self.reach(group, number)?)
    }

    fn take_message(&self, group: &GroupId, number: u64, message: &[u8]) -> Result<(), Reject> {
        let mut mls = self.mls_group(group)?;
        let message = protocol_message(message, WireFormat::PrivateMessage)
            .filter(|message| message.content_type() == ContentType::Application)
            .ok_or(Problem::MessageRefused)?;
        let processed = self.process(&mut mls, message, Problem::MessageRefused)?;
        let sender = processed.credential().serialized_content().to_vec();
        let ProcessedMessageContent::ApplicationMessage(content) = processed.into_content() else {
            return Err(Problem::MessageRefused.into());
        };
        let content = Content::decode(&content.into_bytes()).ok_or(Problem::MessageRefused)?;
        let sender = self.member_by_pseudonym(group, &sender)?;
        self.forget_past(group, &mut mls)?;
        self.keep_message(group, number, &sender, &content)
    }

    /// Store a message once, however often its sender sent it. [SDK-SEND-2]
    fn keep_message(
        &self,
        group: &GroupId,
        number: u64,
        sender: &Person,
        content: &Content,
    ) -> Result<(), Reject> {
        let sender_text = serde_json::to_string(sender).map_err(|_| Error::Corrupt("person"))?;
        let (body, sent_at) = (content.body.bytes(), storable(content.sent_at));
        let fresh = self.execute(
            "INSERT OR IGNORE INTO messages (grp, kind, number, tag, sender, body, sent_at, state)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 3)",
            (
                group.0,
                content.body.kind(),
                number,
                content.tag,
                sender_text,
                body,
                sent_at,
            ),
        )?;
        if fresh == 0 {
            return Ok(());
        }
        let message = self.sql.last_insert_rowid();
        let text = String::from_utf8_lossy(body).into_owned();
        let event = match &content.body {
            Body::Text(_) => Event::MessageReceived {
                group: hex::group_hex(group),
                group_name: self.active_group(group)?.name,
                sender: sender.clone(),
                number,
                message,
                body: text,
                sent_at,
            },
            Body::GroupName(_) => {
                let name = self.take_name(group, &text)?;
                Event::GroupNamed {
                    group: hex::group_hex(group),
                    name,
                    by: sender.clone(),
                }
            }
        };
        Ok(self.tell(&event)?)
    }

    /// A name that somebody told: without what could disturb a terminal.
    fn take_name(&self, group: &GroupId, told: &str) -> Result<String, Reject> {
        let name: String = told.chars().filter(|char| !char.is_control()).collect();
        let name = name.trim();
        if name.is_empty() {
            return Err(Problem::MessageRefused.into());
        }
        let name = self.free_name(name, group)?;
        self.execute(
            "UPDATE groups SET name = ?2 WHERE id = ?1",
            (group.0, &name),
        )?;
        Ok(name)
    }

    fn take_commit(&self, group: &GroupId, number: u64, event: &CommitEvent) -> Result<(), Reject> {
        let stored = self.active_group(group)?;
        let mut mls = self.mls_group(group)?;
        let message = protocol_message(event.commit.as_slice(), WireFormat::PublicMessage)
            .filter(|message| message.content_type() == ContentType::Commit)
            .ok_or(Problem::CommitRefused)?;
        let processed = self.process(&mut mls, message, Problem::CommitRefused)?;
        let by = match processed.sender() {
            Sender::Member(leaf) => self.member_at(group, LeafIndex(leaf.u32()))?,
            Sender::External(_) | Sender::NewMemberProposal | Sender::NewMemberCommit => nobody(),
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
            self.leave_group(group, &mut mls)?;
            return Ok(self.tell(&Event::RemovedFromGroup {
                group: stored.hex(),
                group_name: stored.name,
                by,
            })?);
        }
        self.merge(&stored, &mut mls, staged, number)?;
        let keys: BTreeMap<LeafIndex, _> = event
            .link_keys
            .iter()
            .map(|entry| (entry.leaf, entry.key))
            .collect();
        let changes = self.refresh_members(group, &mls, &stored.identity_key, &keys)?;
        self.forget_past(group, &mut mls)?;
        Ok(self.tell_changes(group, number, by, changes)?)
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
        mls.merge_staged_commit(&provider, staged)
            .map_err(|_| Error::Mls("merge"))?;
        Ok(self.add_epoch(&group.id, epoch, &exported(key)?, number)?)
    }

    fn tell_changes(
        &self,
        group: &GroupId,
        number: u64,
        by: Person,
        changes: Changes,
    ) -> Result<(), Error> {
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
        self.tell(&if added.is_empty() && removed.is_empty() {
            Event::KeysUpdated { group, number, by }
        } else {
            Event::MembersChanged {
                group,
                number,
                by,
                added,
                removed,
            }
        })
    }

    fn process(
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

fn protocol_message(bytes: &[u8], wire_format: WireFormat) -> Option<ProtocolMessage> {
    let message: MlsMessageIn = decode_exact(bytes).ok()?;
    if message.wire_format() != wire_format {
        return None;
    }
    message.try_into_protocol_message().ok()
}
