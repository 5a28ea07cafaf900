//! Members whose removal the service proposes by itself: those that made no request for long, and
//! those whose queue is gone. [DS-PROPOSE-2]

use std::collections::BTreeSet;

use protocol::contact::Ticket;
use protocol::entry::{FanOutKey, GroupEventContent};
use protocol::id::{GroupId, LeafIndex};
use protocol::time::Timestamp;
use store::{Entropy, StoreError, Tx};

use crate::announce::Announcement;
use crate::error::Error;
use crate::group::{Month, ProposalMessage, Roster, State};
use crate::outbox::Outbox;
use crate::tables::{GONE, Gone, Group};
use crate::{Delivery, operation};

/// Tickets without a queue that a group remembers until a request opens what it needs to know whose
/// they are. Others are reported again when the next parcel finds no queue.
const GONE_MAX: usize = 64;

/// Removals that one request leads to: each goes to all members in the request's transaction, whose
/// rows are limited.
const REMOVALS_MAX: usize = 8;

/// Members that one request looks at: some cannot be removed, as the last admin.
const ATTEMPTS_MAX: usize = 32;

/// Above so many members it is one.
const MEMBERS_OF_FEW: usize = 512;

impl Gone {
    pub(crate) fn load(tx: &Tx<'_>) -> Result<Self, StoreError> {
        let none = Self {
            tickets: Vec::new(),
        };
        Ok(tx.get(&GONE, &())?.unwrap_or(none))
    }

    /// Forget those that nobody holds any more, and those that lead to members who are to go.
    pub(crate) fn forget(
        tx: &mut Tx<'_>,
        roster: &Roster,
        leaving: &BTreeSet<LeafIndex>,
    ) -> Result<(), StoreError> {
        let Some(Self { mut tickets }) = tx.get(&GONE, &())? else {
            return Ok(());
        };
        let before = tickets.len();
        let stays = |leaf: LeafIndex| !leaving.contains(&leaf);
        tickets.retain(|ticket| roster.holder(ticket).is_some_and(stays));
        if tickets.is_empty() {
            tx.delete(&GONE, &())
        } else if tickets.len() < before {
            tx.put(&GONE, &(), &Self { tickets })
        } else {
            Ok(())
        }
    }
}

impl Delivery {
    /// Tickets of a group's parcels led to no queue: the next request that opens the group finds
    /// out whose they are. [DS-OUTBOX-5]
    ///
    /// # Errors
    /// The store failed; the next parcel will meet the same.
    pub fn report_gone(
        &self,
        outbox: Outbox,
        gone: &[Ticket],
        entropy: &dyn Entropy,
    ) -> Result<(), Error> {
        self.store.transact(&outbox.0, operation(entropy), |tx| {
            if Group::load(tx)?.is_none() {
                return Ok(());
            }
            let Gone { mut tickets } = Gone::load(tx)?;
            let before = tickets.len();
            for ticket in gone {
                if tickets.len() < GONE_MAX && !tickets.contains(ticket) {
                    tickets.push(*ticket);
                }
            }
            if tickets.len() > before {
                tx.put(&GONE, &(), &Gone { tickets })?;
            }
            Ok(())
        })
    }

    /// Have the removals that are due wait in the state; the messages for [`Self::announce_all`].
    /// Who is `accused` comes first, then those `unwanted` and those for whom there was no room
    /// before, whatever the roster says. Of these the state remembers whom there is no room for: no
    /// removal takes another one's place for good. [DS-PROPOSE-3]
    pub(crate) fn propose_due(
        &self,
        state: &mut State,
        roster: &Roster,
        (gone, accused, unwanted): (&Gone, Option<LeafIndex>, &BTreeSet<LeafIndex>),
        now: Timestamp,
    ) -> Result<Vec<ProposalMessage>, Error> {
        let most = if roster.len() > MEMBERS_OF_FEW {
            1
        } else {
            REMOVALS_MAX
        };
        let owed = std::mem::take(&mut state.owed);
        let mut rest: BTreeSet<_> = owed.iter().filter_map(|key| roster.leaf(key)).collect();
        rest.extend(unwanted);
        if let Some(accused) = &accused {
            rest.remove(accused);
        }
        let mut messages = Vec::new();
        for leaf in accused.into_iter().chain(rest) {
            if messages.len() < most {
                let message = state.propose_removal(leaf, &self.keys.signing, &self.crypto)?;
                messages.extend(message);
            } else {
                state.owed.extend(roster.key(leaf));
            }
        }
        for leaf in self
            .due(state, roster, gone, now)?
            .into_iter()
            .take(ATTEMPTS_MAX)
        {
            if messages.len() == most {
                break;
            }
            let message = state.propose_removal(leaf, &self.keys.signing, &self.crypto)?;
            messages.extend(message);
        }
        Ok(messages)
    }

    /// Whose removal is due by what the roster and the outbox say, and does not wait already.
    fn due(
        &self,
        state: &State,
        roster: &Roster,
        gone: &Gone,
        now: Timestamp,
    ) -> Result<BTreeSet<LeafIndex>, Error> {
        let months = u16::try_from(self.policy.inactive_months).unwrap_or(u16::MAX);
        let since = Month(Month::of(now).0.saturating_sub(months));
        let tickets = gone.tickets.iter();
        let mut due: BTreeSet<_> = tickets.filter_map(|ticket| roster.holder(ticket)).collect();
        if months > 0 {
            due.extend(roster.unseen_since(since));
        }
        let leaving = state.leaving()?;
        due.retain(|leaf| !leaving.contains(leaf));
        Ok(due)
    }

    /// Tell all members about proposals of the service.
    pub(crate) fn announce_all(
        &self,
        tx: &mut Tx<'_>,
        (id, group): (&GroupId, &mut Group),
        (messages, roster): (&[ProposalMessage], &Roster),
        (now, entropy): (Timestamp, &dyn Entropy),
    ) -> Result<(), Error> {
        let key: &FanOutKey = &roster.fan_out();
        for message in messages {
            let announcement = Announcement {
                content: GroupEventContent::Proposal(message.clone()),
                key,
                tickets: roster.tickets(),
            };
            self.announce(tx, (id, group), announcement, (now, entropy))?;
        }
        Ok(())
    }
}
