//! commit_group — spec/delivery.md#commit_group

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use protocol::codec::Opaque;
use protocol::contact::Ticket;
use protocol::crypto::signature::PublicKey;
use protocol::crypto::signed::{Binding, Signed};
use protocol::delivery::{CommitGroup, CommitGroupReply, ProofVerdict};
use protocol::entry::{
    CommitEvent, FanOutKey, GroupEvent, GroupEventContent, LeafLinkKey, Payload,
};
use protocol::error::Rule;
use protocol::id::{Domain, Epoch, LeafIndex};
use protocol::receipt::{ContentDigest, Receipt};
use protocol::time::Timestamp;
use store::{Entropy, Tx};

use crate::error::Error;
use crate::group::{
    Changes, DESTINATIONS_MAX, Month, Part, ProposalMessage, Received, Renewal, Roster,
    RosterMember, Rules, State, StateKey, Stored,
};
use crate::member::Member;
use crate::outbox::{Letter, Outbox, day_after};
use crate::tables::{Accepted, Committed, Gone, Group, History, KeyHash, RequestHash, Undo};
use crate::{Delivery, nonce, operation};

/// What the service finds before it judges.
enum Seen {
    /// The last accepted commit, sent again.
    Repeated(CommitGroupReply),
    /// A member's commit, and the state that it is to change.
    First(Box<Member<CommitGroup>>, Stored, Gone),
}

/// A commit that is allowed, ready to be written.
struct Ready {
    member: Box<Member<CommitGroup>>,
    hash: RequestHash,
    /// Of the commit.
    digest: ContentDigest,
    epoch: Epoch,
    changes: Changes,
    /// How many the commit goes to.
    recipients: usize,
    added: Vec<RosterMember>,
    link_keys: Vec<LeafLinkKey>,
    /// Of the epoch that the commit leads to.
    roster: Roster,
    /// What the service proposes at the occasion.
    removals: Vec<ProposalMessage>,
    leaving: BTreeSet<LeafIndex>,
}

impl Delivery {
    /// Move a group to its next epoch, if nobody did so before. [DS-COMMIT-1] [DS-COMMIT-5]
    ///
    /// # Errors
    /// `Denied`, `WrongEpoch`; `Invalid` with the rule that the commit, its GroupInfo or its
    /// Welcome breaks; `Backlog` if too much of the group waits.
    pub fn commit_group(
        &self,
        request: Signed<CommitGroup>,
        binding: &Binding,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<(CommitGroupReply, Outbox), Error> {
        self.check_domain(binding)?;
        let hash = RequestHash::of(&request);
        let partition = self.partition(&request.unverified().group);
        let seen = self.store.view(&partition, |tx| {
            self.look_at_commit(tx, request, hash, (binding, now))
        })?;
        let (member, old, gone) = match seen {
            Seen::Repeated(reply) => return Ok((reply, Outbox(partition))),
            Seen::First(member, old, gone) => (member, old, gone),
        };
        let ready = self.judge(member, (&old, &gone), hash, (now, entropy))?;
        let reply = self.store.transact(&partition, operation(entropy), |tx| {
            self.accept_commit(tx, &ready, (now, entropy))
        })?;
        Ok((reply, Outbox(partition)))
    }

    /// The last accepted commit is recognised by its hash and checked under the key that signed it
    /// then. Whose commit there is no room for is told before it costs anything.
    fn look_at_commit(
        &self,
        tx: &Tx<'_>,
        request: Signed<CommitGroup>,
        hash: RequestHash,
        (binding, now): (&Binding, Timestamp),
    ) -> Result<Seen, Error> {
        if Group::load(tx)?.is_none() {
            return Err(Error::Denied);
        }
        let history = History::load(tx)?;
        if let Some(committed) = history.repeated(hash) {
            request
                .verify(&committed.accepted.key, binding)
                .map_err(|_| Error::Denied)?;
            return Ok(Seen::Repeated(reply(&committed)));
        }
        let member = Member::verify(tx, request, binding)?;
        let recipients = member.roster.len().saturating_sub(1);
        self.check_room(&history, (&member.key, recipients), now)?;
        let state = member.access.load(tx, Part::State)?;
        Ok(Seen::First(Box::new(member), state, Gone::load(tx)?))
    }

    /// Validate the commit and prepare what it leads to, outside of any transaction.
    fn judge(
        &self,
        member: Box<Member<CommitGroup>>,
        (old, gone): (&Stored, &Gone),
        hash: RequestHash,
        (now, entropy): (Timestamp, &dyn Entropy),
    ) -> Result<Ready, Error> {
        let request = &member.request;
        if request.next_state_key == request.state_key {
            return Err(Rule::Policy.into());
        }
        let rules = Rules::new(&self.policy, now);
        let received = Received::decode(request)?;
        let state = State::open(old, &request.group)?;
        let validated = received.validate(&state, member.group.epoch, &rules, &self.crypto)?;
        let mut applied = validated.apply(state, &self.crypto)?;
        let epoch = member.group.epoch.next();
        let next = StateKey {
            group: request.group,
            epoch,
            key: &request.next_state_key,
        };
        let (fan_out, month) = (FanOutKey::of(next.key), Month::of(now));
        let (removed, added) = (&applied.removed, &applied.added);
        let mut roster = member.roster.change(&fan_out, removed, added, month);
        roster.see(request.sender, month);
        if roster.destinations() > DESTINATIONS_MAX {
            return Err(Rule::GroupSize.into());
        }
        let renewal = match removed.as_slice() {
            [] => Renewal::WhenDue,
            _ => Renewal::Always,
        };
        let due = (gone, None, &BTreeSet::new());
        let removals = self.propose_due(&mut applied.state, &roster, due, now)?;
        let mut changes = Changes::advance(&member.access, &next, renewal, entropy);
        let old_roster = Some(&member.stored);
        changes.put(Part::Roster, old_roster, &roster.encode(), entropy);
        changes.put(Part::State, Some(old), &applied.state.encode(), entropy);
        if changes.bytes() > rules.state_bytes_max {
            return Err(Rule::GroupSize.into());
        }
        let recipients = member.roster.len().saturating_sub(1);
        let leaving = applied.state.leaving()?;
        let (added, link_keys) = (applied.added, applied.link_keys);
        Ok(Ready {
            roster,
            removals,
            leaving,
            digest: ContentDigest::of_commit(member.request.commit.as_slice()),
            member,
            hash,
            epoch,
            changes,
            recipients,
            added,
            link_keys,
        })
    }

    /// Acceptance, the new state and what must be told: all of it or nothing. [DS-COMMIT-6]
    fn accept_commit(
        &self,
        tx: &mut Tx<'_>,
        ready: &Ready,
        (now, entropy): (Timestamp, &dyn Entropy),
    ) -> Result<CommitGroupReply, Error> {
        let Member {
            request,
            key,
            group: seen,
            ..
        } = &*ready.member;
        let mut group = Group::load(tx)?.ok_or(Error::Denied)?;
        let mut history = History::load(tx)?;
        if let Some(committed) = history.repeated(ready.hash) {
            return Ok(reply(&committed));
        }
        group.check_unchanged(seen)?;
        let before = group.clone();
        let event = ready.event();
        group.append_digest(&ready.digest);
        let committer = (*key, ready.recipients, ready.digest);
        self.leave_epoch(tx, (&before, &group), &mut history, committer, now)?;
        group.epoch = ready.epoch;
        group.key = KeyHash::of(&request.group, &request.next_state_key);
        ready.changes.write(tx, &mut group, &mut history)?;
        history.sweep(tx, &group, now)?;
        let receipt = self.receipt(request.group, &group);
        let letters = ready.letters(receipt, event, entropy)?;
        let id = &request.group;
        self.ship(tx, (id, &mut group), letters, now)?;
        let removals = (ready.removals.as_slice(), &ready.roster);
        self.announce_all(tx, (id, &mut group), removals, (now, entropy))?;
        Gone::forget(tx, &ready.roster, &ready.leaving)?;
        group.save(tx)?;
        let accepted = Accepted {
            request: ready.hash,
            key: *key,
        };
        let committed = Committed {
            accepted,
            epoch: group.epoch,
            leaf: request.sender,
            receipt,
            proof: ProofVerdict::Absent,
        };
        history.committed = Some(committed);
        let keep = self.policy.past_state_seconds;
        history.joinable = (!ready.added.is_empty()).then(|| day_after(now, keep));
        history.save(tx)?;
        Ok(reply(&committed))
    }
}

impl Delivery {
    /// Keep the state that a commit ends, for joiners and against the commit. `group` has the
    /// commit's number already.
    pub(crate) fn leave_epoch(
        &self,
        tx: &mut Tx<'_>,
        (before, group): (&Group, &Group),
        history: &mut History,
        (committer, recipients, content): (PublicKey, usize, ContentDigest),
        now: Timestamp,
    ) -> Result<(), Error> {
        let undo = self.can_undo(recipients).then(|| {
            let commit = (group.number, group.chain, content);
            let expires = now.after(Duration::from_secs(self.policy.undo_seconds));
            Undo::new(committer, recipients, commit, expires)
        });
        history.remember(before.key);
        history.keep(tx, before, undo, now)
    }

    /// Check that the state from before a commit could be kept, if it has to be. [DS-COMPLAIN-3]
    ///
    /// # Errors
    /// `Backlog` if the committer has to wait.
    pub(crate) fn check_room(
        &self,
        history: &History,
        (committer, recipients): (&PublicKey, usize),
        now: Timestamp,
    ) -> Result<(), Error> {
        if self.can_undo(recipients) {
            history.check_room(committer, now)?;
        }
        Ok(())
    }

    /// Whether a commit that goes to so many can be undone.
    fn can_undo(&self, recipients: usize) -> bool {
        recipients > 0 && self.policy.undo_seconds > 0
    }
}

impl Ready {
    fn event(&self) -> GroupEventContent {
        GroupEventContent::Commit(CommitEvent {
            commit: self.member.request.commit.clone(),
            link_keys: self.link_keys.clone(),
        })
    }

    /// What the members of the epoch that ends are told, those included whom the commit removes,
    /// and what those added are. [DS-FANOUT-2]
    fn letters(
        &self,
        receipt: Receipt,
        content: GroupEventContent,
        entropy: &dyn Entropy,
    ) -> Result<Vec<Letter<'_>>, Error> {
        let Member {
            request, roster, ..
        } = &*self.member;
        let event = GroupEvent { receipt, content };
        let sealed = event.seal(&roster.fan_out(), nonce(entropy));
        let payload = Payload::Group(Opaque::new(sealed).map_err(|_| Rule::GroupSize)?);
        let tickets = roster.tickets_without(request.sender);
        let mut letters = vec![Letter { payload, tickets }];
        if !self.added.is_empty() {
            let mut tickets: BTreeMap<&Domain, Vec<Ticket>> = BTreeMap::new();
            for RosterMember { ticket, .. } in &self.added {
                tickets
                    .entry(&ticket.domain)
                    .or_default()
                    .push(ticket.ticket);
            }
            let payload = Payload::Welcome(request.welcome.welcome.clone());
            letters.push(Letter { payload, tickets });
        }
        Ok(letters)
    }
}

fn reply(committed: &Committed) -> CommitGroupReply {
    CommitGroupReply {
        epoch: committed.epoch,
        receipt: committed.receipt,
    }
}
