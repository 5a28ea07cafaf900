//! Numbers and the chain: the order of a group's events as this client has seen it.
//!
//! ```text
//! chain up to `last` --event last+1--> does its receipt follow? --> chain up to last+1
//!                    --number of ours, known from a reply, that comes next: the same question
//! ```

use protocol::codec::encode;
use protocol::delivery::{CommitGroup, Propose, SendMessage};
use protocol::entry::{GroupEvent, GroupEventContent};
use protocol::evidence::OrderClaim;
use protocol::id::{GroupId, Seq};
use protocol::receipt::{ChainHash, ContentDigest, Receipt};

use crate::delivery::committed;
use crate::error::Error;
use crate::event::{Event, Problem};
use crate::group::event::Reject;
use crate::group::receipt::RECEIPTS_MAX;
use crate::hex;
use crate::state::JobState;
use crate::tx::{Tx, stored};

/// How far this client has followed a group.
#[derive(Clone, Copy)]
struct Reached {
    last: u64,
    /// Absent until one receipt is known.
    chain: Option<ChainHash>,
}

/// What stands just before a number.
struct Before {
    /// Absent if no receipt had been known to begin with.
    chain: Option<ChainHash>,
    /// Whether a number is taken for that of a request which has no answer yet.
    is_guess: bool,
}

impl Before {
    /// What a receipt shows that does not follow.
    fn claim(&self, receipt: &Receipt, content: &GroupEventContent) -> Option<OrderClaim> {
        let expected = self.chain?.next(receipt.number, content);
        let claim = match self.is_guess {
            true => OrderClaim::Gap,
            false => OrderClaim::Replaced,
        };
        (expected != receipt.chain).then_some(claim)
    }
}

impl Tx<'_> {
    /// Events count up without gaps; our own numbers are known from replies, and the chain says
    /// whether a single number that is missing while a request of ours is under way is that
    /// request's. [SDK-NUMBER-1]
    pub(super) fn take_number(&self, group: &GroupId, event: &GroupEvent) -> Result<bool, Reject> {
        let (receipt, number) = (&event.receipt, event.receipt.number.0);
        let Some(reached) = self.reached(group)? else {
            self.note_receipt(group, receipt)?;
            self.reach(group, number, Some(receipt.chain))?;
            return Ok(true);
        };
        let taken = "SELECT count(*) FROM own_numbers WHERE grp = ?1 AND number = ?2";
        if number <= reached.last || self.count(taken, (group.0, number))? > 0 {
            return self.take_late(group, reached, event);
        }
        let before = self.walk(group, reached, number)?;
        // What a revert declares void need not have been seen. [SDK-REVERT-1]
        let is_void = void_from(event).is_some_and(|void| void <= reached.last.saturating_add(1));
        let claim = match before {
            // All that came before is known: the receipt must follow. [SDK-RECEIPT-1]
            Some(before) => before.claim(receipt, &event.content),
            None => Some(OrderClaim::Gap),
        };
        if let Some(claim) = claim.filter(|_| !is_void) {
            if claim == OrderClaim::Gap {
                self.note_missing(group, reached.last, number)?;
            }
            self.tell_disorder(group, claim, reached.last, receipt)?;
        }
        self.note_receipt(group, receipt)?;
        self.reach(group, number, Some(receipt.chain))?;
        Ok(true)
    }

    /// What stands just before a number, if nothing in between is missing.
    fn walk(
        &self,
        group: &GroupId,
        reached: Reached,
        number: u64,
    ) -> Result<Option<Before>, Error> {
        let (mut chain, mut is_guess) = (reached.chain, false);
        let mut open = self.open_content(group)?;
        for place in reached.last.saturating_add(1)..number {
            chain = match self.own_link(group, place)? {
                Some((told, _)) => Some(told),
                None => match open.take() {
                    // Perhaps the request of ours that has no answer yet.
                    Some(content) => {
                        is_guess = true;
                        chain.map(|chain| chain.next(Seq(place), &content))
                    }
                    None => return Ok(None),
                },
            };
        }
        Ok(Some(Before { chain, is_guess }))
    }

    fn own_link(
        &self,
        group: &GroupId,
        number: u64,
    ) -> Result<Option<(ChainHash, ContentDigest)>, Error> {
        let row = self.row(
            "SELECT chain, digest FROM own_numbers WHERE grp = ?1 AND number = ?2",
            (group.0, number),
            |row| {
                Ok((
                    row.get::<_, Option<[u8; 32]>>(0)?,
                    row.get::<_, Option<Vec<u8>>>(1)?,
                ))
            },
        )?;
        let Some((Some(chain), Some(digest))) = row else {
            return Ok(None);
        };
        Ok(Some((ChainHash(chain), stored(&digest, "digest")?)))
    }

    /// A number that was reached already: the same event again, another in its place, or one that
    /// was missing. Of the last, a message is still taken.
    fn take_late(
        &self,
        group: &GroupId,
        reached: Reached,
        event: &GroupEvent,
    ) -> Result<bool, Reject> {
        let number = event.receipt.number.0;
        self.note_receipt(group, &event.receipt)?;
        let was_missing = self.execute(
            "DELETE FROM missing WHERE grp = ?1 AND number = ?2",
            (group.0, number),
        )?;
        if was_missing == 1 {
            self.tell_disorder(group, OrderClaim::Reordered, reached.last, &event.receipt)?;
            return Ok(matches!(event.content, GroupEventContent::Message(_)));
        }
        // Told here, so that what the receipt shows stays told, too.
        self.tell(&Event::Problem {
            group: Some(hex::group_hex(group)),
            problem: Problem::EventRepeated,
        })?;
        Ok(false)
    }

    /// Remember which numbers were passed over, the newest if they are many.
    fn note_missing(&self, group: &GroupId, last: u64, number: u64) -> Result<(), Error> {
        let oldest = number.saturating_sub(RECEIPTS_MAX);
        self.execute(
            "DELETE FROM missing WHERE grp = ?1 AND number < ?2",
            (group.0, oldest),
        )?;
        for place in last.saturating_add(1).max(oldest)..number {
            if self.own_link(group, place)?.is_none() {
                self.execute(
                    "INSERT OR IGNORE INTO missing (grp, number) VALUES (?1, ?2)",
                    (group.0, place),
                )?;
            }
        }
        Ok(())
    }

    /// What takes no number says how far the group is: nothing may be missing by then.
    pub(super) fn take_unnumbered(&self, group: &GroupId, receipt: &Receipt) -> Result<(), Reject> {
        let number = receipt.number.0;
        let Some(reached) = self.reached(group)? else {
            return Ok(());
        };
        if self.is_known_damage(group)? {
            // What we cannot read is missing, as we know.
            return Ok(());
        }
        if number <= reached.last
            || self
                .walk(group, reached, number.saturating_add(1))?
                .is_some()
        {
            return Ok(());
        }
        self.note_missing(group, reached.last, number.saturating_add(1))?;
        self.tell_disorder(group, OrderClaim::Gap, reached.last, receipt)?;
        // Told once: what is missing is taken for seen.
        Ok(self.reach(group, number, Some(receipt.chain))?)
    }

    /// The server has numbered something of ours.
    pub(crate) fn number_of_ours(
        &self,
        group: &GroupId,
        number: u64,
        link: Option<(ChainHash, ContentDigest)>,
    ) -> Result<(), Error> {
        let reached = self.reached(group)?;
        if reached.is_none_or(|reached| number > reached.last) {
            let (chain, digest) = link.unzip();
            self.execute(
                "INSERT INTO own_numbers (grp, number, chain, digest) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET chain = coalesce(chain, ?3), digest = coalesce(digest, ?4)",
                (
                    group.0,
                    number,
                    chain.map(|chain| chain.0),
                    digest.map(|digest| encode(&digest)),
                ),
            )?;
        }
        match reached {
            Some(reached) => self.reach(group, reached.last, reached.chain),
            None => Ok(()),
        }
    }

    /// Where a commit of ours stands whose acceptance is known by what follows it.
    pub(crate) fn inferred_link(
        &self,
        group: &GroupId,
        number: u64,
        content: &GroupEventContent,
    ) -> Result<Option<(ChainHash, ContentDigest)>, Error> {
        let reached = self.reached(group)?;
        let before = reached.filter(|reached| reached.last.saturating_add(1) == number);
        let digest = ContentDigest::of(content);
        let chain = before.and_then(|before| before.chain);
        Ok(chain.map(|chain| (chain.link(Seq(number), &digest), digest)))
    }

    /// What the server may have numbered of ours without our knowing yet: only a group's first job
    /// can have such a request.
    fn open_content(&self, group: &GroupId) -> Result<Option<GroupEventContent>, Error> {
        let Some(job) = self.first_job(group)? else {
            return Ok(None);
        };
        if let JobState::SendMessage {
            sent: Some(sent), ..
        } = &job.state
        {
            let body: SendMessage = stored(&sent.body, "message")?;
            return Ok(Some(GroupEventContent::Message(body.message)));
        }
        if let JobState::LeaveGroup {
            sent: Some(sent), ..
        } = &job.state
        {
            let body: Propose = stored(sent, "proposal")?;
            return Ok(Some(GroupEventContent::Proposal(body.proposal)));
        }
        if let JobState::CommitGroup(commit) = &job.state
            && let (Some(sent), None) = (&commit.sent, commit.accepted)
        {
            let body: CommitGroup = stored(&sent.body, "commit")?;
            return Ok(Some(committed(body.commit)));
        }
        Ok(None)
    }

    pub(crate) fn last_number(&self, group: &GroupId) -> Result<Option<u64>, Error> {
        Ok(self.reached(group)?.map(|reached| reached.last))
    }

    fn reached(&self, group: &GroupId) -> Result<Option<Reached>, Error> {
        let row = self.row(
            "SELECT last, chain FROM groups WHERE id = ?1",
            [group.0],
            |row| {
                Ok((
                    row.get::<_, Option<u64>>(0)?,
                    row.get::<_, Option<[u8; 32]>>(1)?,
                ))
            },
        )?;
        let reached = row.and_then(|(last, chain)| {
            let chain = chain.map(ChainHash);
            last.map(|last| Reached { last, chain })
        });
        Ok(reached)
    }

    /// Everything up to `last` has been seen, and what of ours follows directly.
    pub(crate) fn reach(
        &self,
        group: &GroupId,
        mut last: u64,
        mut chain: Option<ChainHash>,
    ) -> Result<(), Error> {
        loop {
            let next = last.saturating_add(1);
            let ours = self.count(
                "SELECT count(*) FROM own_numbers WHERE grp = ?1 AND number = ?2",
                (group.0, next),
            )?;
            if ours == 0 {
                break;
            }
            let link = self.own_link(group, next)?;
            if let (Some(before), Some((told, digest))) = (chain, link)
                && before.link(Seq(next), &digest) != told
            {
                self.tell_own_replaced(group, last, next)?;
            }
            chain = link.map(|(told, _)| told);
            last = next;
            self.drop_own_numbers(group, last)?;
        }
        self.drop_own_numbers(group, last)?;
        self.execute(
            "UPDATE groups SET last = ?2, chain = ?3 WHERE id = ?1",
            (group.0, last, chain.map(|chain| chain.0)),
        )?;
        Ok(())
    }

    /// Go on from a receipt, whatever came before it; gives the numbers that are missed by that.
    pub(crate) fn jump(
        &self,
        group: &GroupId,
        receipt: &Receipt,
    ) -> Result<Option<(u64, u64)>, Error> {
        let number = self
            .checked_number(group, receipt)?
            .ok_or(Error::BadReply)?;
        self.note_receipt(group, receipt)?;
        self.jump_to(group, number, Some(receipt.chain))
    }

    /// The same where the chain may not be known: the next receipt begins it anew.
    pub(crate) fn jump_to(
        &self,
        group: &GroupId,
        number: u64,
        chain: Option<ChainHash>,
    ) -> Result<Option<(u64, u64)>, Error> {
        let last = self.last_number(group)?;
        self.execute("DELETE FROM own_numbers WHERE grp = ?1", [group.0])?;
        self.reach(group, number, chain)?;
        let first = last.unwrap_or(number).saturating_add(1);
        Ok((first < number).then(|| (first, number.saturating_sub(1))))
    }

    fn drop_own_numbers(&self, group: &GroupId, last: u64) -> Result<(), Error> {
        self.execute(
            "DELETE FROM own_numbers WHERE grp = ?1 AND number <= ?2",
            (group.0, last),
        )?;
        Ok(())
    }

    /// What we sent does not stand where the reply said, after what the queue brought.
    fn tell_own_replaced(&self, group: &GroupId, last: u64, next: u64) -> Result<(), Error> {
        match self.find_receipt(group, next)? {
            Some(receipt) => self.tell_disorder(group, OrderClaim::Replaced, last, &receipt),
            None => Ok(()),
        }
    }

    /// Tell that a receipt does not fit what came before it. [SDK-RECEIPT-3]
    fn tell_disorder(
        &self,
        group: &GroupId,
        claim: OrderClaim,
        last: u64,
        receipt: &Receipt,
    ) -> Result<(), Error> {
        if let Some(before) = self.find_receipt(group, last)? {
            return self.accuse(group, claim, &before, receipt);
        }
        self.tell(&Event::OrderBroken {
            group: hex::group_hex(group),
            how: claim.into(),
            number: receipt.number.0,
            evidence: None,
        })
    }
}

/// From which number on an event declares others void.
fn void_from(event: &GroupEvent) -> Option<u64> {
    if let GroupEventContent::Reverted(reverted) = &event.content {
        return Some(reverted.commit.0);
    }
    None
}
