//! update_ticket - spec/delivery.md#update_ticket
//!
//! What is under way comes by the ticket from before, so that one is remembered, too.

use std::time::Duration;

use protocol::codec::encode;
use protocol::contact::QualifiedTicket;
use protocol::delivery::{UpdateTicket, UpdateTicketReply};
use protocol::error::ErrorReply;
use protocol::id::{Epoch, GroupId, LeafIndex, TicketId};
use protocol::time::Timestamp;

use crate::agenda::StoredJob;
use crate::drive::{Next, success};
use crate::error::Error;
use crate::group::StoredGroup;
use crate::home::Core;
use crate::job::{JobId, JobKind, Outcome};
use crate::state::{Behind, Encoded, JobState};
use crate::tx::{Tx, stored};

/// A group's ticket is replaced after this time.
const RENEW_AFTER: Duration = Duration::from_secs(30 * 86_400);
/// And a random part of this time, so that groups cannot be linked by the moment.
const RENEW_SPREAD: Duration = Duration::from_secs(7 * 86_400);
/// Tickets of one group that may still bring something.
const REMEMBERED_MAX: u64 = 4;

impl Core {
    /// Give a group another way into our queue. Nobody in the group is told.
    ///
    /// # Errors
    /// `Unknown` group, or the home's fault.
    pub fn update_ticket(&mut self, group: &GroupId, now: Timestamp) -> Result<JobId, Error> {
        self.transact(now, |tx| {
            tx.active_group(group)?;
            tx.renew_ticket(group)
        })
    }
}

impl Tx<'_> {
    fn renew_ticket(&self, group: &GroupId) -> Result<JobId, Error> {
        let (body, behind) = (None, None);
        self.add_job(&JobState::UpdateTicket { body, behind }, Some(group))
    }

    /// From when the age of a ticket that a group got now counts.
    pub(crate) fn ticket_since(&self) -> Result<u64, Error> {
        let drawn = u64::from(u32::from_be_bytes(self.random()?)) % RENEW_SPREAD.as_secs();
        Ok(self.now.0.saturating_add(drawn))
    }

    /// Replace tickets that are old, or that others have too. [SDK-TICKET-1]
    pub(crate) fn keep_group_tickets(&self) -> Result<(), Error> {
        let (body, behind) = (None, None);
        if self.is_resting(&JobState::UpdateTicket { body, behind })? {
            return Ok(());
        }
        let due = self.rows(
            "SELECT id FROM groups WHERE state = 1 AND leaving = 0 AND ticket_since < ?1",
            [self.now.before(RENEW_AFTER).0],
            |row| Ok(GroupId(row.get(0)?)),
        )?;
        for group in due {
            if !self.has_job(&group, &[JobKind::UpdateTicket])? {
                self.renew_ticket(&group)?;
            }
        }
        Ok(())
    }

    pub(crate) fn next_update_ticket(
        &self,
        job: &StoredJob,
        body: Option<&Encoded>,
        behind: Option<Behind>,
    ) -> Result<Next, Error> {
        let group = match self.turn(job)? {
            Ok(group) => group,
            Err(next) => return Ok(next),
        };
        let mls = self.mls_group(&group.id)?;
        let epoch = mls.epoch().as_u64();
        if let Some(wait) = self.catch_up(&group.id, epoch, behind)? {
            return Ok(wait);
        }
        let Some(body) = body else {
            if let Some(wait) = self.wait_for_tickets(1)? {
                return Ok(wait);
            }
            let sender = LeafIndex(mls.own_leaf_index().u32());
            let body = Some(self.make_ticket_update(&group, sender, Epoch(epoch))?);
            return Ok(Next::Goto(JobState::UpdateTicket { body, behind: None }));
        };
        let body: UpdateTicket = stored(body, "update_ticket")?;
        if body.epoch.0 == epoch {
            return Ok(Self::send_as_leaf(group, body));
        }
        // The same ticket in the epoch that the group is in.
        let body = UpdateTicket {
            epoch: Epoch(epoch),
            state_key: self.state_key(&group.id, Epoch(epoch))?,
            ..body
        };
        let body = Some(encode(&body).into());
        Ok(Next::Goto(JobState::UpdateTicket { body, behind: None }))
    }

    /// From here on the group may come by either ticket.
    fn make_ticket_update(
        &self,
        group: &StoredGroup,
        sender: LeafIndex,
        epoch: Epoch,
    ) -> Result<Encoded, Error> {
        let (ticket_id, ticket) = self.pop_ticket()?;
        self.remember_ticket(&group.id, ticket_id)?;
        let body = UpdateTicket {
            group: group.id,
            sender,
            epoch,
            state_key: self.state_key(&group.id, epoch)?,
            ticket: QualifiedTicket {
                domain: self.own_domain()?,
                ticket,
            },
        };
        Ok(encode(&body).into())
    }

    pub(super) fn remember_ticket(&self, group: &GroupId, ticket: TicketId) -> Result<(), Error> {
        self.execute(
            "INSERT OR IGNORE INTO group_tickets (grp, ticket_id)
             SELECT id, ticket_id FROM groups WHERE id = ?1",
            [group.0],
        )?;
        self.execute(
            "INSERT OR IGNORE INTO group_tickets (grp, ticket_id) VALUES (?1, ?2)",
            (group.0, ticket.0),
        )?;
        self.execute(
            "DELETE FROM group_tickets WHERE grp = ?1 AND id NOT IN
                 (SELECT id FROM group_tickets WHERE grp = ?1 ORDER BY id DESC LIMIT ?2)",
            (group.0, REMEMBERED_MAX),
        )?;
        Ok(())
    }

    pub(crate) fn answered_update_ticket(
        &self,
        job: &StoredJob,
        payload: &[u8],
    ) -> Result<Next, Error> {
        let UpdateTicketReply {} = success(payload)?;
        let group = job.group.ok_or(Error::NotExpected)?;
        self.execute(
            "UPDATE groups SET ticket_since = ?2, ticket_id =
                 (SELECT ticket_id FROM group_tickets WHERE grp = ?1 ORDER BY id DESC LIMIT 1)
             WHERE id = ?1",
            (group.0, self.ticket_since()?),
        )?;
        Ok(Next::Done(Outcome::TicketUpdated { group }))
    }

    pub(crate) fn refused_update_ticket(
        &self,
        body: Option<&Encoded>,
        reply: ErrorReply,
    ) -> Result<Next, Error> {
        let Some(sent) = body else {
            return Err(Error::NotExpected);
        };
        let asked: UpdateTicket = stored(sent, "update_ticket")?;
        Ok(
            self.again(asked.epoch.0, reply, |behind| JobState::UpdateTicket {
                body: body.cloned(),
                behind,
            }),
        )
    }
}
