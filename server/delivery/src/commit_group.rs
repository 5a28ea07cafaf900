//! commit_group — spec/delivery.md#commit_group

use std::collections::BTreeMap;

use protocol::codec::Opaque;
use protocol::contact::Ticket;
use protocol::crypto::signed::{Binding, Signed};
use protocol::delivery::{CommitGroup, CommitGroupReply};
use protocol::entry::{CommitEvent, GroupEvent, GroupEventContent, LeafLinkKey, Payload};
use protocol::error::Rule;
use protocol::id::{Domain, Epoch};
use protocol::time::Timestamp;
use store::{Entropy, Tx};

use crate::error::Error;
use crate::group::{
    DESTINATIONS_MAX, Place, Received, RosterMember, Rules, SealedRoster, SealedState,
};
use crate::member::Member;
use crate::outbox::{Letter, Outbox, day_after};
use crate::tables::{Accepted, Committed, Group, History, KeyHash, RequestHash};
use crate::{Delivery, nonce, operation};

/// What the service finds before it judges.
enum Seen {
    /// The last accepted commit, sent again.
    Repeated(CommitGroupReply),
    /// A member's commit, and the state that it is to change.
    First(Box<Member<CommitGroup>>, SealedState),
}

/// A commit that is allowed, ready to be written.
struct Ready {
    member: Box<Member<CommitGroup>>,
    hash: RequestHash,
    /// The state that the commit replaces.
    old: SealedState,
    epoch: Epoch,
    state: SealedState,
    roster: SealedRoster,
    added: Vec<RosterMember>,
    link_keys: Vec<LeafLinkKey>,
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
        let hash = RequestHash::of(request.body());
        let partition = self.partition(&request.unverified().group);
        let seen = self
            .store
            .view(&partition, |tx| look(tx, request, hash, binding))?;
        let (member, old) = match seen {
            Seen::Repeated(reply) => return Ok((reply, Outbox(partition))),
            Seen::First(member, old) => (member, old),
        };
        let ready = self.judge(member, old, hash, (now, entropy))?;
        let reply = self.store.transact(&partition, operation(entropy), |tx| {
            self.accept_commit(tx, &ready, (now, entropy))
        })?;
        Ok((reply, Outbox(partition)))
    }

    /// Validate the commit and prepare what it leads to, outside of any transaction.
    fn judge(
        &self,
        member: Box<Member<CommitGroup>>,
        old: SealedState,
        hash: RequestHash,
        (now, entropy): (Timestamp, &dyn Entropy),
    ) -> Result<Ready, Error> {
        let request = &member.request;
        if request.next_state_key == request.state_key {
            return Err(Rule::Policy.into());
        }
        let rules = Rules::new(&self.policy, now);
        let received = Received::decode(request)?;
        let state = old.open(&request.state_key, member.place())?;
        let validated = received.validate(&state, member.group.epoch, &rules, &self.crypto)?;
        let applied = validated.apply(state, &self.crypto)?;
        let epoch = member.group.epoch.next();
        let place = Place {
            group: request.group,
            epoch,
        };
        let roster = member.roster.change(&applied.removed, &applied.added);
        if roster.destinations() > DESTINATIONS_MAX {
            return Err(Rule::GroupSize.into());
        }
        let state = applied
            .state
            .seal(&request.next_state_key, place, nonce(entropy));
        if state.0.len() > rules.state_bytes_max {
            return Err(Rule::GroupSize.into());
        }
        let roster = roster.seal(&request.next_state_key, place, nonce(entropy));
        let (added, link_keys) = (applied.added, applied.link_keys);
        Ok(Ready {
            member,
            hash,
            old,
            epoch,
            state,
            roster,
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
        if let Some((_, reply)) = history.repeated(ready.hash) {
            return Ok(reply);
        }
        if !group.is_as(seen) {
            return Err(Error::WrongEpoch(group.epoch));
        }
        history.leave_epoch(tx, &group, &ready.old, now)?;
        group.epoch = ready.epoch;
        group.key = KeyHash::of(&request.group, &request.next_state_key);
        group.number = group.number.next();
        group.save_roster(tx, &ready.roster)?;
        Group::save_state(tx, &ready.state)?;
        let letters = ready.letters(&group, entropy)?;
        self.ship(tx, (&request.group, &mut group), letters, now)?;
        group.save(tx)?;
        let reply = CommitGroupReply {
            epoch: group.epoch,
            number: group.number,
        };
        let accepted = Accepted {
            request: ready.hash,
            key: *key,
        };
        history.committed = Some(Committed { accepted, reply });
        let keep = self.policy.past_state_seconds;
        history.joinable = (!ready.added.is_empty()).then(|| day_after(now, keep));
        history.save(tx)?;
        Ok(reply)
    }
}

impl Ready {
    /// What the members of the epoch that ends are told, those included whom the commit removes,
    /// and what those added are. [DS-FANOUT-2]
    fn letters(&self, group: &Group, entropy: &dyn Entropy) -> Result<Vec<Letter<'_>>, Error> {
        let Member {
            request, roster, ..
        } = &*self.member;
        let content = GroupEventContent::Commit(CommitEvent {
            commit: request.commit.clone(),
            link_keys: self.link_keys.clone(),
        });
        let event = GroupEvent {
            number: group.number,
            content,
        };
        let sealed = event.seal(&request.state_key, nonce(entropy));
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

/// The last accepted commit is recognised by its hash and checked under the key that signed it then.
fn look(
    tx: &Tx<'_>,
    request: Signed<CommitGroup>,
    hash: RequestHash,
    binding: &Binding,
) -> Result<Seen, Error> {
    if Group::load(tx)?.is_none() {
        return Err(Error::Denied);
    }
    if let Some((accepted, reply)) = History::load(tx)?.repeated(hash) {
        request
            .verify(&accepted.key, binding)
            .map_err(|_| Error::Denied)?;
        return Ok(Seen::Repeated(reply));
    }
    let member = Member::verify(tx, request, binding)?;
    Ok(Seen::First(Box::new(member), Group::load_state(tx)?))
}
