//! propose — spec/delivery.md#propose

use std::collections::BTreeSet;

use protocol::crypto::signed::{Binding, Signed};
use protocol::delivery::{Propose, ProposeReply};
use protocol::entry::GroupEventContent;
use protocol::id::LeafIndex;
use protocol::receipt::Receipt;
use protocol::time::Timestamp;
use store::{Entropy, Tx};

use crate::announce::Announcement;
use crate::error::Error;
use crate::group::{Changes, Month, Part, ProposalMessage, State, Stored};
use crate::member::Member;
use crate::outbox::Outbox;
use crate::sent::{Seen, recall, remember};
use crate::tables::{Gone, Group, RequestHash};
use crate::{Delivery, operation};

/// A wish to leave that is allowed, ready to be written.
struct Ready {
    member: Box<Member<Propose>>,
    hash: RequestHash,
    changes: Changes,
    /// What the service proposes at the occasion.
    removals: Vec<ProposalMessage>,
    leaving: BTreeSet<LeafIndex>,
}

impl Delivery {
    /// Have a member's wish to leave wait for the next commit, and tell all others. [DS-PROPOSE-1]
    ///
    /// # Errors
    /// `Denied`, `WrongEpoch`; `Invalid` with the rule that the proposal breaks; `Backlog` if too
    /// many proposals or too much of the group waits.
    pub fn propose(
        &self,
        request: Signed<Propose>,
        binding: &Binding,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<(ProposeReply, Outbox), Error> {
        self.check_domain(binding)?;
        let hash = RequestHash::of(&request);
        let partition = self.partition(&request.unverified().group);
        let (seen, gone) = self.store.view(&partition, |tx| {
            let seen = match Seen::look(tx, request, hash, binding)? {
                Seen::Repeated(receipt) => return Ok((Err(receipt), Gone::load(tx)?)),
                Seen::First(member) => member,
            };
            let state = seen.access.load(tx, Part::State)?;
            Ok::<_, Error>((Ok((seen, state)), Gone::load(tx)?))
        })?;
        let receipt = match seen {
            Err(receipt) => receipt,
            Ok((member, state)) => {
                let ready = self.judge_wish(member, &state, (hash, &gone), (now, entropy))?;
                self.store.transact(&partition, operation(entropy), |tx| {
                    self.accept_wish(tx, &ready, (now, entropy))
                })?
            }
        };
        Ok((ProposeReply { receipt }, Outbox(partition)))
    }

    fn judge_wish(
        &self,
        mut member: Box<Member<Propose>>,
        old: &Stored,
        (hash, gone): (RequestHash, &Gone),
        (now, entropy): (Timestamp, &dyn Entropy),
    ) -> Result<Ready, Error> {
        member.check_epoch(member.request.epoch)?;
        let mut state = State::open(old, &member.request.group)?;
        state.queue_wish(&member.request, &self.crypto)?;
        let seen = member.roster.see(member.request.sender, Month::of(now));
        let none = BTreeSet::new();
        let removals = self.propose_due(&mut state, &member.roster, (gone, None, &none), now)?;
        let mut changes = Changes::within(&member.access, member.group.root.edition.next());
        if seen {
            let old = Some(&member.stored);
            changes.put(Part::Roster, old, &member.roster.encode(), entropy);
        }
        changes.put(Part::State, Some(old), &state.encode(), entropy);
        Ok(Ready {
            hash,
            changes,
            removals,
            leaving: state.leaving()?,
            member,
        })
    }

    fn accept_wish(
        &self,
        tx: &mut Tx<'_>,
        ready: &Ready,
        (now, entropy): (Timestamp, &dyn Entropy),
    ) -> Result<Receipt, Error> {
        let member = &ready.member;
        let Propose {
            group: id,
            sender,
            proposal,
            ..
        } = &member.request;
        if let Some(receipt) = recall(tx, *sender, ready.hash)? {
            return Ok(receipt);
        }
        let mut group = Group::load(tx)?.ok_or(Error::Denied)?;
        member.enter(tx, &mut group, Some(&ready.changes))?;
        let announcement = Announcement {
            content: GroupEventContent::Proposal(proposal.clone()),
            key: &member.roster.fan_out(),
            tickets: member.roster.tickets_without(*sender),
        };
        let receipt = self.announce(tx, (id, &mut group), announcement, (now, entropy))?;
        let removals = (ready.removals.as_slice(), &member.roster);
        self.announce_all(tx, (id, &mut group), removals, (now, entropy))?;
        Gone::forget(tx, &member.roster, &ready.leaving)?;
        group.save(tx)?;
        remember(tx, *sender, (ready.hash, member.key), receipt)?;
        Ok(receipt)
    }
}
