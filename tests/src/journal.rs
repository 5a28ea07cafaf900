//! What happened in a simulated world, as seen from outside: what the server answered, what its
//! queues delivered, what clients told their users. The invariants read nothing else.

use std::collections::{BTreeMap, BTreeSet};

use protocol::id::{Epoch, GroupId, Seq};

/// A client of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Who(pub usize);

/// A place in the order of a group.
pub type Place = (GroupId, Seq);

/// Everything that happened.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    /// What the server said it accepted, by its place; one answer, however often it is given.
    pub accepted: BTreeMap<Place, BTreeSet<Accepted>>,
    /// Texts by where their senders say that they were accepted.
    pub said: BTreeMap<Place, Said>,
    /// Texts that were begun and of which their sender says that they will not arrive.
    pub given_up: Vec<Said>,
    /// What each client heard in each group, in the order of hearing.
    pub heard: BTreeMap<(Who, GroupId), Vec<Heard>>,
    /// What was said to one member alone and accepted, by group and addressee.
    pub said_directly: Vec<(Who, GroupId, Said)>,
    /// What was heard as said to oneself alone, by hearer and group.
    pub heard_directly: Vec<(Who, GroupId, Said)>,
    /// Groups in each of their epochs, as clients in that epoch saw them.
    pub views: BTreeMap<(GroupId, Epoch), BTreeSet<View>>,
    /// Whoever was in a group at any time, as it says itself.
    pub entered: BTreeSet<(Who, GroupId)>,
    /// Where each client stands at the end, in each group that it is in.
    pub standing: BTreeMap<(Who, GroupId), Epoch>,
    /// What happened on each client's queue.
    pub queues: BTreeMap<Who, Vec<Delivery>>,
    /// How often each KeyPackage was handed out, by its ticket.
    pub handed_out: BTreeMap<[u8; 64], usize>,
    /// The tickets of those that may be handed out again and again.
    pub last_resorts: BTreeSet<[u8; 64]>,
    /// What clients could not use.
    pub problems: Vec<(Who, String)>,
    /// Whoever was invited into a group and found it gone, once for each time.
    pub late: Vec<Who>,
    /// Whoever suspects that something of a group is withheld, and has not found otherwise.
    pub suspicions: BTreeSet<(Who, GroupId)>,
    /// Whoever deleted a group, as it says itself or as members were told: the server's answer may
    /// have been lost.
    pub ended: BTreeSet<(Who, GroupId)>,
    /// Whoever rejoined a group from outside, and where: messages from before may be lost to it.
    pub rejoined: BTreeSet<(Who, Place)>,
    /// Answers that a restarted server gave otherwise, by operation.
    pub changed_answers: Vec<&'static str>,
    /// What is left to do after all has come to rest.
    pub leftovers: Vec<String>,
}

/// Something that the server accepted and numbered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Accepted {
    /// Whose.
    pub by: Who,
    /// What.
    pub kind: Kind,
    /// The chain that its receipt vouches for.
    pub chain: [u8; 32],
}

/// What the server accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A message.
    Message,
    /// A commit, external ones included.
    Commit {
        /// The epoch that it leads to.
        epoch: Epoch,
    },
    /// A proposal.
    Proposal,
    /// The end of the group.
    End,
}

/// A text and its sender.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Said {
    /// The sender.
    pub by: Who,
    /// The text.
    pub text: String,
}

/// A text as it was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Its number in the group.
    pub number: Seq,
    /// Who said it, and what.
    pub said: Said,
}

/// A group as a client in it sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct View {
    /// Stands for all secrets of the epoch: RFC 9420 section 8.7.
    pub authenticator: Vec<u8>,
    /// The members.
    pub members: BTreeSet<Who>,
}

/// Something on a client's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Listening began at this place; the server knows that all before is done.
    Begun(Seq),
    /// An entry came.
    Came(Seq),
    /// The server took the acknowledgement of all before this place.
    Acknowledged(Seq),
}

impl Journal {
    /// The epoch in which something with this place was accepted.
    #[must_use]
    pub fn epoch_at(&self, (group, number): Place) -> Epoch {
        let before = self.accepted.range((group, Seq(0))..(group, number));
        let commits = before.flat_map(|(_, accepted)| accepted);
        let epochs = commits.filter_map(|accepted| match accepted.kind {
            Kind::Commit { epoch } => Some(epoch),
            Kind::Message | Kind::Proposal | Kind::End => None,
        });
        epochs.max().unwrap_or_default()
    }

    /// Who was a member when something with this place was accepted, if any client saw that epoch.
    #[must_use]
    pub fn members_at(&self, place: Place) -> Option<&BTreeSet<Who>> {
        let views = self.views.get(&(place.0, self.epoch_at(place)))?;
        views.first().map(|view| &view.members)
    }

    /// Whether a client ever rejoined the group.
    #[must_use]
    pub fn has_rejoined(&self, who: Who, group: GroupId) -> bool {
        self.has_rejoined_after(who, (group, Seq(0)))
    }

    /// Whether a group was deleted.
    #[must_use]
    pub fn is_over(&self, group: GroupId) -> bool {
        self.enders().any(|(_, over)| over == group)
    }

    /// Whoever deleted a group.
    pub fn enders(&self) -> impl Iterator<Item = (Who, GroupId)> {
        let all = self.accepted.iter();
        let accepted = all.flat_map(|((group, _), accepted)| {
            let ends = accepted.iter().filter(|it| it.kind == Kind::End);
            ends.map(|accepted| (accepted.by, *group))
        });
        accepted.chain(self.ended.iter().copied())
    }

    /// Whether a client rejoined the group behind this place, so that it need not have heard it.
    #[must_use]
    pub fn has_rejoined_after(&self, who: Who, (group, number): Place) -> bool {
        let rejoined =
            |(client, place): &(Who, Place)| *client == who && place.0 == group && place.1 > number;
        self.rejoined.iter().any(rejoined)
    }
}
