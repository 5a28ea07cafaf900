//! complain — spec/delivery.md#complain

use std::collections::BTreeMap;

use protocol::contact::Ticket;
use protocol::crypto::signed::{Binding, Signed};
use protocol::delivery::{Complain, ComplainReply, Complaint};
use protocol::entry::{GroupEventContent, RevertedEvent};
use protocol::error::Rule;
use protocol::id::{Domain, GroupId, Seq};
use protocol::limit::GROUP_MEMBERS_MAX;
use protocol::time::Timestamp;
use store::{Entropy, ScanLimit, Tx};

use crate::announce::Announcement;
use crate::error::Error;
use crate::group::{Access, Changes, Part, ProposalMessage, Roster, State, Stored};
use crate::outbox::Outbox;
use crate::tables::{
    COMPLAINTS, ComplaintKey, Edition, Group, History, KeyHash, Reverted, StoredComplaint, Undo,
};
use crate::{Delivery, operation};

/// What the service finds before it judges.
enum Seen {
    /// The commit was undone by this complaint, or with it.
    Reverted(ComplainReply),
    /// A complaint that the commit's window is open for.
    Open(Box<Open>),
}

/// A complaint by a member of the epoch that the commit ended.
struct Open {
    id: GroupId,
    complaint: Complaint,
    key: KeyHash,
    /// The group as it was seen.
    group: Group,
    undo: Undo,
    access: Access,
    roster: Roster,
    /// The MLS state, if the complaint may be the last that it takes.
    state: Option<Stored>,
}

/// What undoing the commit writes, prepared outside of the transaction.
struct Reversal {
    /// With the service's proposal, if there is one.
    changes: Option<Changes>,
    proposal: Option<ProposalMessage>,
}

/// So many changes of the parts may come between the preparation of a reversal and its transaction:
/// who is complained about cannot hold it up by being quick.
const EDITIONS_AHEAD: u64 = 64;

/// The most bytes of complaints about one commit: one of each member.
const COMPLAINTS_BYTES_MAX: usize = 1024 * 1024;

impl Reversal {
    /// Whether what it writes comes after all that the group has.
    fn follows(&self, group: &Group) -> bool {
        let changes = self.changes.as_ref();
        changes.is_none_or(|changes| group.root.edition.next() < changes.edition())
    }
}

impl Delivery {
    /// Take a complaint about a commit; at the quorum, undo the commit. [DS-COMPLAIN-1]
    /// [DS-COMPLAIN-2]
    ///
    /// # Errors
    /// `Denied` if the sender has not shown that it was a member in the epoch that the commit ended;
    /// `Invalid` if there is no such commit to complain about, or it is the sender's own; `Backlog`
    /// if too much of the group waits.
    pub fn complain(
        &self,
        request: Signed<Complain>,
        binding: &Binding,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<(ComplainReply, Outbox), Error> {
        self.check_domain(binding)?;
        let partition = self.partition(&request.unverified().group);
        let seen = self
            .store
            .view(&partition, |tx| self.look(tx, request, binding, now))?;
        let open = match seen {
            Seen::Reverted(reply) => return Ok((reply, Outbox(partition))),
            Seen::Open(open) => open,
        };
        let reversal = self.prepare(&open, entropy)?;
        let reply = self.store.transact(&partition, operation(entropy), |tx| {
            self.accept_complaint(tx, &open, reversal.as_ref(), (now, entropy))
        })?;
        Ok((reply, Outbox(partition)))
    }

    /// Find the commit and the complaining member, and check both signatures.
    fn look(
        &self,
        tx: &Tx<'_>,
        request: Signed<Complain>,
        binding: &Binding,
        now: Timestamp,
    ) -> Result<Seen, Error> {
        let claimed = request.unverified();
        let (id, complaint) = (claimed.group, claimed.complaint);
        let group = Group::load(tx)?.ok_or(Error::Denied)?;
        let mut history = History::load(tx)?;
        let key = KeyHash::of(&id, &claimed.state_key);
        let found = history.undoable((complaint.commit, key), now);
        let found = found.map(|(kept, undo)| (*kept, undo));
        let root = match found {
            Some((kept, _)) => kept.root,
            None if key == group.key => group.root,
            None if history.remembers(key) => return Err(Rule::Complaint.into()),
            None => return Err(Error::Denied),
        };
        let access = Access::open(tx, id, root, &claimed.state_key)?;
        let roster = Roster::open(&access.load(tx, Part::Roster)?)?;
        let member = roster.key(complaint.leaf).ok_or(Error::Denied)?;
        let epoch = claimed.epoch;
        request
            .verify(&member, binding)
            .map_err(|_| Error::Denied)?;
        let Some((kept, undo)) = found else {
            return repeated(&history, &complaint);
        };
        let is_about_it = complaint.chain == undo.chain && epoch == kept.epoch;
        let is_signed = complaint.verify(&member, id).is_ok();
        if !is_about_it || !is_signed || member == undo.committer {
            return Err(Rule::Complaint.into());
        }
        let may_be_last = undo.complaints.saturating_add(1) >= self.quorum(&undo);
        let state = may_be_last
            .then(|| access.load(tx, Part::State))
            .transpose()?;
        Ok(Seen::Open(Box::new(Open {
            id,
            complaint,
            key,
            group,
            undo,
            access,
            roster,
            state,
        })))
    }

    /// How many must complain about a commit.
    fn quorum(&self, undo: &Undo) -> u32 {
        let percent = u64::from(self.policy.undo_quorum_percent.clamp(1, 100));
        let quorum = (u64::from(undo.recipients) * percent).div_ceil(100);
        u32::try_from(quorum).unwrap_or(u32::MAX).max(1)
    }

    /// The service's proposal to remove who made the commit, in the epoch that is to be again.
    fn prepare(&self, open: &Open, entropy: &dyn Entropy) -> Result<Option<Reversal>, Error> {
        let Some(stored) = &open.state else {
            return Ok(None);
        };
        let mut state = State::open(stored, &open.id)?;
        let proposal = match open.roster.leaf(&open.undo.committer) {
            Some(leaf) => state.propose_removal(leaf, &self.keys.signing, &self.crypto)?,
            // Who came in with the commit is not in this epoch.
            None => None,
        };
        let changes = proposal.is_some().then(|| {
            let edition = Edition(open.group.root.edition.0.saturating_add(EDITIONS_AHEAD));
            let mut changes = Changes::within(&open.access, edition);
            changes.put(Part::State, Some(stored), &state.encode(), entropy);
            changes
        });
        Ok(Some(Reversal { changes, proposal }))
    }

    fn accept_complaint(
        &self,
        tx: &mut Tx<'_>,
        open: &Open,
        reversal: Option<&Reversal>,
        (now, entropy): (Timestamp, &dyn Entropy),
    ) -> Result<ComplainReply, Error> {
        let mut group = Group::load(tx)?.ok_or(Error::Denied)?;
        let mut history = History::load(tx)?;
        let commit = open.undo.commit;
        let Some((kept, mut undo)) = history.undoable((commit, open.key), now) else {
            return repeated(&history, &open.complaint).map(|seen| match seen {
                Seen::Reverted(reply) => reply,
                Seen::Open(_) => self.counted(&open.undo),
            });
        };
        let place = ComplaintKey::new(commit, open.complaint.leaf);
        if tx.get(&COMPLAINTS, &place)?.is_some() {
            return Ok(self.counted(&undo));
        }
        undo.complaints = undo.complaints.saturating_add(1);
        kept.undo = Some(undo);
        let kept = *kept;
        let complaint = open.complaint;
        tx.put(&COMPLAINTS, &place, &StoredComplaint { complaint })?;
        let reply = self.counted(&undo);
        if reply.complaints < reply.quorum {
            let told = GroupEventContent::Complaint(complaint);
            let tickets = open.roster.tickets_without(complaint.leaf);
            self.tell(tx, &mut group, (open, told, tickets), (now, entropy))?;
        } else {
            // Another complaint, or many changes of the parts, came between.
            let reversal = reversal.filter(|reversal| reversal.follows(&group));
            let conflict = Error::Store(store::StoreError::Conflict);
            let reversal = reversal.ok_or(conflict)?;
            let complaints = complaints(tx, commit)?;
            history.revert(tx, &mut group, &kept)?;
            history.reverted = Some(Reverted {
                commit,
                complaints: reply.complaints,
                quorum: reply.quorum,
            });
            if let Some(changes) = &reversal.changes {
                changes.write(tx, &mut group, &mut history)?;
            }
            self.tell_of_reversal(tx, &mut group, (open, complaints, reversal), (now, entropy))?;
        }
        history.sweep(tx, &group, now)?;
        group.save(tx)?;
        history.save(tx)?;
        Ok(reply)
    }

    fn tell_of_reversal(
        &self,
        tx: &mut Tx<'_>,
        group: &mut Group,
        (open, complaints, reversal): (&Open, Vec<Complaint>, &Reversal),
        at: (Timestamp, &dyn Entropy),
    ) -> Result<(), Error> {
        let reverted = GroupEventContent::Reverted(RevertedEvent {
            epoch: group.epoch,
            commit: open.undo.commit,
            complaints,
        });
        self.tell(tx, group, (open, reverted, open.roster.tickets()), at)?;
        if let Some(proposal) = &reversal.proposal {
            let proposal = GroupEventContent::Proposal(proposal.clone());
            self.tell(tx, group, (open, proposal, open.roster.tickets()), at)?;
        }
        Ok(())
    }

    /// Tell members of the epoch that the commit ended.
    fn tell(
        &self,
        tx: &mut Tx<'_>,
        group: &mut Group,
        (open, content, tickets): (&Open, GroupEventContent, BTreeMap<&Domain, Vec<Ticket>>),
        at: (Timestamp, &dyn Entropy),
    ) -> Result<(), Error> {
        let announcement = Announcement {
            content,
            key: &open.roster.fan_out(),
            tickets,
        };
        self.announce(tx, (&open.id, group), announcement, at)?;
        Ok(())
    }

    fn counted(&self, undo: &Undo) -> ComplainReply {
        ComplainReply {
            complaints: undo.complaints,
            quorum: self.quorum(undo),
        }
    }
}

/// The answer to a complaint about the commit that was undone last.
fn repeated(history: &History, complaint: &Complaint) -> Result<Seen, Error> {
    let reverted = history
        .reverted
        .filter(|reverted| reverted.commit == complaint.commit);
    let Reverted {
        complaints, quorum, ..
    } = reverted.ok_or(Rule::Complaint)?;
    Ok(Seen::Reverted(ComplainReply { complaints, quorum }))
}

/// All complaints about a commit.
fn complaints(tx: &Tx<'_>, commit: Seq) -> Result<Vec<Complaint>, Error> {
    let [from, to] = [commit, commit.next()].map(ComplaintKey::first);
    let limit = ScanLimit {
        rows: GROUP_MEMBERS_MAX,
        bytes: COMPLAINTS_BYTES_MAX,
    };
    let mut complaints: Vec<Complaint> = tx
        .scan(&COMPLAINTS, &from, &to, limit)?
        .into_iter()
        .map(|(_, StoredComplaint { complaint })| complaint)
        .collect();
    complaints.sort_unstable_by_key(|complaint| complaint.leaf);
    Ok(complaints)
}
