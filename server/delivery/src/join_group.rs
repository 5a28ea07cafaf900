//! join_group — spec/delivery.md#join_group

use protocol::crypto::signature::PublicKey;
use protocol::crypto::signed::{Binding, Signed};
use protocol::delivery::{JoinGroup, JoinGroupReply, ProofVerdict};
use protocol::entry::{CommitEvent, FanOutKey, GroupEventContent};
use protocol::error::Rule;
use protocol::id::LeafIndex;
use protocol::receipt::ContentDigest;
use protocol::time::Timestamp;
use store::{Entropy, Tx};

use crate::announce::Announcement;
use crate::error::Error;
use crate::group::{
    Access, Accused, Changes, DESTINATIONS_MAX, ExternalCommit, Joined, Month, Part,
    ProposalMessage, Renewal, Roster, Rules, State, StateKey, Stored,
};
use crate::outbox::Outbox;
use crate::tables::{Accepted, Committed, Gone, Group, History, KeyHash, RequestHash};
use crate::{Delivery, operation};

/// What the service finds before it judges.
enum Seen {
    /// The last accepted commit, sent again.
    Repeated(JoinGroupReply),
    /// An external commit of who holds a state key and the key of the leaf that it makes.
    First(Box<Joiner>),
}

/// Who asks to join, and the group as it was seen then.
struct Joiner {
    request: JoinGroup,
    key: PublicKey,
    group: Group,
    access: Access,
    roster: Roster,
    stored_roster: Stored,
    stored_state: Stored,
    gone: Gone,
    charge: Charge,
}

/// What a joiner says of the commit that ended the epoch of its state key.
enum Charge {
    /// Nothing that a state is needed for.
    Settled(ProofVerdict),
    /// That its path is wrong; with the state from before it.
    Open(Box<(Stored, Accused)>),
}

/// An external commit that is allowed, ready to be written.
struct Ready {
    joiner: Box<Joiner>,
    hash: RequestHash,
    /// Of the commit.
    digest: ContentDigest,
    changes: Changes,
    /// Of the epoch that the commit leads to.
    roster: Roster,
    joined: Joined,
    /// The joiner's leaf before.
    replaced: Option<LeafIndex>,
    /// What the service proposes, again or at the occasion.
    removals: Vec<ProposalMessage>,
    proof: ProofVerdict,
}

impl Delivery {
    /// Move a group to its next epoch by an external commit, if nobody did so before. [DS-JOIN-2]
    /// [DS-JOIN-3]
    ///
    /// # Errors
    /// `Denied`, `WrongEpoch`; `Invalid` with the rule that the commit or its GroupInfo breaks;
    /// `Backlog` if too much of the group waits.
    pub fn join_group(
        &self,
        request: Signed<JoinGroup>,
        binding: &Binding,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<(JoinGroupReply, Outbox), Error> {
        self.check_domain(binding)?;
        let hash = RequestHash::of(&request);
        let partition = self.partition(&request.unverified().group);
        let seen = self.store.view(&partition, |tx| {
            self.look_at_join(tx, request, hash, (binding, now))
        })?;
        let reply = match seen {
            Seen::Repeated(reply) => reply,
            Seen::First(joiner) => {
                let ready = self.judge_join(joiner, hash, (now, entropy))?;
                self.store.transact(&partition, operation(entropy), |tx| {
                    self.accept_join(tx, &ready, (now, entropy))
                })?
            }
        };
        Ok((reply, Outbox(partition)))
    }

    /// The last accepted commit is recognised by its hash and checked under the key that signed it
    /// then. Who has the state key of an epoch since the data key began may ask. Whose commit there
    /// is no room for is told before it costs anything.
    fn look_at_join(
        &self,
        tx: &Tx<'_>,
        request: Signed<JoinGroup>,
        hash: RequestHash,
        (binding, now): (&Binding, Timestamp),
    ) -> Result<Seen, Error> {
        let group = Group::load(tx)?.ok_or(Error::Denied)?;
        let history = History::load(tx)?;
        if let Some(committed) = history.repeated(hash) {
            let verified = request.verify(&committed.accepted.key, binding);
            verified.map_err(|_| Error::Denied)?;
            return Ok(Seen::Repeated(reply(&committed)));
        }
        let claimed = request.unverified();
        let access = Access::open(tx, claimed.group, group.root, &claimed.state_key)?;
        if claimed.epoch != group.epoch {
            return Err(Error::WrongEpoch(group.epoch));
        }
        let key = ExternalCommit::decode(claimed)?.key();
        let mut request = request.verify(&key, binding).map_err(|_| Error::Denied)?;
        let stored_roster = access.load(tx, Part::Roster)?;
        let roster = Roster::open(&stored_roster)?;
        let others = recipients(&roster, roster.leaf(&key));
        self.check_room(&history, (&key, others), now)?;
        Ok(Seen::First(Box::new(Joiner {
            charge: find_charge(tx, &history, (&mut request, &key), now)?,
            request,
            key,
            roster,
            stored_roster,
            stored_state: access.load(tx, Part::State)?,
            gone: Gone::load(tx)?,
            group,
            access,
        })))
    }

    /// Validate the commit and prepare what it leads to, outside of any transaction.
    fn judge_join(
        &self,
        joiner: Box<Joiner>,
        hash: RequestHash,
        (now, entropy): (Timestamp, &dyn Entropy),
    ) -> Result<Ready, Error> {
        let request = &joiner.request;
        if request.next_state_key == request.state_key {
            return Err(Rule::Policy.into());
        }
        let state = State::open(&joiner.stored_state, &request.group)?;
        let valid = ExternalCommit::decode(request)?.validate(&state, &self.crypto)?;
        let mut joined = valid.apply(state, &self.crypto)?;
        let next = StateKey {
            group: request.group,
            epoch: joiner.group.epoch.next(),
            key: &request.next_state_key,
        };
        let replaced = joiner.roster.leaf(&joiner.key);
        let added = std::slice::from_ref(&joined.member);
        let fan_out = FanOutKey::of(next.key);
        let roster = joiner
            .roster
            .change(&fan_out, &joined.removed, added, Month::of(now));
        if roster.destinations() > DESTINATIONS_MAX {
            return Err(Rule::GroupSize.into());
        }
        let (proof, accused) = self.judge_proof(&joiner)?;
        // Who has left since is in no roster.
        let accused = accused.and_then(|key| roster.leaf(&key));
        let due = (&joiner.gone, accused, &joined.unwanted);
        let removals = self.propose_due(&mut joined.state, &roster, due, now)?;
        // Who replaces its own leaf is not removed: others that are damaged keep their way back.
        let renewal = if joined.removed.iter().all(|leaf| Some(*leaf) == replaced) {
            Renewal::WhenDue
        } else {
            Renewal::Always
        };
        let mut changes = Changes::advance(&joiner.access, &next, renewal, entropy);
        let old = Some(&joiner.stored_roster);
        changes.put(Part::Roster, old, &roster.encode(), entropy);
        let old = Some(&joiner.stored_state);
        changes.put(Part::State, old, &joined.state.encode(), entropy);
        if changes.bytes() > Rules::new(&self.policy, now).state_bytes_max {
            return Err(Rule::GroupSize.into());
        }
        Ok(Ready {
            hash,
            digest: ContentDigest::of_commit(joiner.request.commit.as_slice()),
            changes,
            roster,
            joined,
            replaced,
            removals,
            proof,
            joiner,
        })
    }

    /// What the joiner's proof shows of the commit that ended the epoch of its state key, and whose
    /// that is if the proof holds. [DS-PROOF-2]
    fn judge_proof(&self, joiner: &Joiner) -> Result<(ProofVerdict, Option<PublicKey>), Error> {
        let (stored, accused) = match &joiner.charge {
            Charge::Settled(verdict) => return Ok((*verdict, None)),
            Charge::Open(open) => &**open,
        };
        let before = State::open(stored, &joiner.request.group)?;
        Ok(match accused.convict(before, &self.crypto)? {
            Some(key) => (ProofVerdict::Holds, Some(key)),
            None => (ProofVerdict::Fails, None),
        })
    }

    /// Acceptance, the new state and what must be told: all of it or nothing. [DS-COMMIT-6]
    fn accept_join(
        &self,
        tx: &mut Tx<'_>,
        ready: &Ready,
        (now, entropy): (Timestamp, &dyn Entropy),
    ) -> Result<JoinGroupReply, Error> {
        let Joiner {
            request,
            key,
            group: seen,
            roster: before,
            ..
        } = &*ready.joiner;
        let mut group = Group::load(tx)?.ok_or(Error::Denied)?;
        let mut history = History::load(tx)?;
        if let Some(committed) = history.repeated(ready.hash) {
            return Ok(reply(&committed));
        }
        group.check_unchanged(seen)?;
        let old = group.clone();
        let announcement = Announcement {
            content: ready.event(),
            key: &before.fan_out(),
            tickets: match ready.replaced {
                Some(leaf) => before.tickets_without(leaf),
                None => before.tickets(),
            },
        };
        let id = &request.group;
        group.append_digest(&ready.digest);
        let receipt = self.announce_last(tx, (id, &mut group), announcement, (now, entropy))?;
        let committer = (*key, recipients(before, ready.replaced), ready.digest);
        self.leave_epoch(tx, (&old, &group), &mut history, committer, now)?;
        group.epoch = group.epoch.next();
        group.key = KeyHash::of(id, &request.next_state_key);
        ready.changes.write(tx, &mut group, &mut history)?;
        history.sweep(tx, &group, now)?;
        let removals = (ready.removals.as_slice(), &ready.roster);
        self.announce_all(tx, (id, &mut group), removals, (now, entropy))?;
        Gone::forget(tx, &ready.roster, &ready.joined.state.leaving()?)?;
        group.save(tx)?;
        let accepted = Accepted {
            request: ready.hash,
            key: *key,
        };
        let committed = Committed {
            accepted,
            epoch: group.epoch,
            leaf: ready.joined.member.leaf,
            receipt,
            proof: ready.proof,
        };
        history.committed = Some(committed);
        history.joinable = None;
        history.save(tx)?;
        Ok(reply(&committed))
    }
}

impl Ready {
    fn event(&self) -> GroupEventContent {
        GroupEventContent::Commit(CommitEvent {
            commit: self.joiner.request.commit.clone(),
            link_keys: vec![self.joined.link_key],
        })
    }
}

/// What a joiner's proof is about: the commit that ended the epoch of its state key, and the state
/// from before it, if they are kept still. The state is not looked at for another commit.
fn find_charge(
    tx: &Tx<'_>,
    history: &History,
    (request, key): (&mut JoinGroup, &PublicKey),
    now: Timestamp,
) -> Result<Charge, Error> {
    let Some(proof) = request.proof.take() else {
        return Ok(Charge::Settled(ProofVerdict::Absent));
    };
    let epoch = KeyHash::of(&request.group, &request.state_key);
    let Some((kept, undo)) = history.ended(epoch, now) else {
        return Ok(Charge::Settled(ProofVerdict::Late));
    };
    let Some(accused) = Accused::new(proof, &undo, key) else {
        return Ok(Charge::Settled(ProofVerdict::Fails));
    };
    let access = Access::open(tx, request.group, kept.root, &request.state_key)?;
    let before = access.load(tx, Part::State)?;
    Ok(Charge::Open(Box::new((before, accused))))
}

/// How many members a joiner's commit goes to.
fn recipients(roster: &Roster, replaced: Option<LeafIndex>) -> usize {
    roster.len() - usize::from(replaced.is_some())
}

fn reply(committed: &Committed) -> JoinGroupReply {
    JoinGroupReply {
        epoch: committed.epoch,
        leaf: committed.leaf,
        receipt: committed.receipt,
        proof: committed.proof,
    }
}
