//! A client of the world: the core that the SDK runs, over a home that outlives its process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use client_core::{Core, Event, HomeKey, JobId, MessageState, Problem, Remedy, Stock};
use protocol::id::{Epoch, GroupId, Seq, Username};
use protocol::time::Timestamp;
use tests::journal::{Heard, Journal, Said, View, Who};

use crate::sabotage::Sabotage;
use crate::server::{Stream, domain};

/// Little stock: it is used up and made anew all the time.
const STOCK: Stock = Stock {
    key_packages: 2,
    tickets: 4,
    connection_packages: 1,
};
/// Texts of one history.
const TEXTS_MAX: usize = 10_000;
const EVENTS_MAX: usize = 10_000;

/// What a job waits for: an epoch of a group, and an event.
pub(crate) type Target = (GroupId, Epoch, u64);

/// Why a job does nothing.
pub(crate) struct Pause {
    /// Until then.
    pub(crate) until: Timestamp,
    /// Or until the queue has brought this.
    pub(crate) target: Option<Target>,
}

/// Somebody with a client.
pub(crate) struct Person {
    pub(crate) who: Who,
    pub(crate) core: Core,
    /// On a disk, or in a memory that no crash touches.
    home: Option<PathBuf>,
    /// Seconds that its clock is ahead.
    skew: i64,
    /// Counts processes: what is under way belongs to one of them.
    pub(crate) process: u32,
    /// Jobs that do nothing before these moments.
    pub(crate) pauses: BTreeMap<JobId, Pause>,
    pub(crate) stream: Option<Stream>,
}

impl Person {
    /// With a home in this directory.
    pub(crate) fn on_disk(who: Who, directory: &Path, skew: i64) -> Self {
        let home = directory.join(format!("{}", who.0));
        let core = opened(&home);
        Self::new(who, core, Some(home), skew)
    }

    /// With a home in memory.
    pub(crate) fn in_memory(who: Who, skew: i64) -> Self {
        let core = Core::open_in_memory().unwrap();
        Self::new(who, core, None, skew)
    }

    fn new(who: Who, mut core: Core, home: Option<PathBuf>, skew: i64) -> Self {
        core.set_stock(STOCK);
        Self {
            who,
            core,
            home,
            skew,
            process: 0,
            pauses: BTreeMap::new(),
            stream: None,
        }
    }

    /// Lose the process, if the home outlives it; whether it was lost.
    pub(crate) fn crash(&mut self) -> bool {
        let Some(home) = &self.home else { return false };
        // The home is locked until its core is gone.
        self.core = Core::open_in_memory().unwrap();
        self.core = opened(home);
        self.core.set_stock(STOCK);
        self.process += 1;
        self.pauses.clear();
        self.stream = None;
        true
    }

    /// What its clock shows.
    pub(crate) fn clock(&self, now: Timestamp) -> Timestamp {
        Timestamp(now.0.checked_add_signed(self.skew).unwrap())
    }

    /// Whether a job waits.
    pub(crate) fn rests(&self, job: JobId, now: Timestamp) -> bool {
        let Some(pause) = self.pauses.get(&job) else {
            return false;
        };
        let has_reached = |(group, epoch, number): &Target| {
            let reached = self.core.has_reached(group, *epoch, *number);
            reached.unwrap_or(true)
        };
        now < pause.until && !pause.target.as_ref().is_some_and(has_reached)
    }

    /// Write down what it told its user, and how it sees its groups.
    pub(crate) fn observe(
        &mut self,
        journal: &mut Journal,
        sabotage: &mut Sabotage,
    ) -> Vec<String> {
        let events = self.core.unseen_events(EVENTS_MAX).unwrap();
        if let Some(last) = events.last() {
            self.core.mark_seen(last.id).unwrap();
        }
        for event in &events {
            for _ in 0..sabotage.tellings(&event.event) {
                self.hear(&event.event, journal);
                self.hear_directly(&event.event, journal);
            }
        }
        for group in self.groups() {
            let epoch = self.core.group_epoch(&group).unwrap();
            let view = self.view(&group);
            journal.entered.insert((self.who, group));
            let views = journal.views.entry((group, epoch)).or_default();
            views.insert(view);
        }
        events.iter().map(|event| name(&event.event)).collect()
    }

    /// The groups that it is in.
    pub(crate) fn groups(&self) -> Vec<GroupId> {
        let groups = self.core.groups().unwrap();
        let active = groups.into_iter().filter(|group| group.active);
        active.map(|group| group.id).collect()
    }

    /// The people in a group as it sees it.
    pub(crate) fn view(&self, group: &GroupId) -> View {
        let members = self.core.members(group).unwrap();
        View {
            authenticator: self.core.epoch_authenticator(group).unwrap(),
            members: members.iter().map(|member| who(&member.person)).collect(),
        }
    }

    fn hear(&self, event: &Event, journal: &mut Journal) {
        self.note_trouble(event, journal);
        if let Event::MessageReceived {
            group,
            sender,
            number,
            body,
            ..
        } = event
        {
            let group = self.core.find_group(group).unwrap().unwrap();
            let said = Said {
                by: who(sender),
                text: body.clone(),
            };
            let number = Seq(*number);
            let heard = journal.heard.entry((self.who, group)).or_default();
            heard.push(Heard { number, said });
        }
    }

    fn note_trouble(&self, event: &Event, journal: &mut Journal) {
        if let Event::Problem { problem, .. } = event {
            if matches!(problem, Problem::WelcomeLate) {
                journal.late.push(self.who);
            } else {
                journal.problems.push((self.who, format!("{problem:?}")));
            }
        }
        if matches!(
            event,
            Event::OrderBroken { .. }
                | Event::GroupDamaged {
                    number: Some(_),
                    ..
                }
                | Event::CommitDisputed { .. }
                | Event::GroupReverted { .. }
                | Event::HelpNeeded { .. }
        ) {
            journal.problems.push((self.who, name(event)));
        }
        let known = |group: &str| self.core.find_group(group).unwrap().unwrap();
        if let Event::GroupDamaged {
            group,
            number: None,
            ..
        } = event
        {
            journal.suspicions.insert((self.who, known(group)));
        }
        // Somebody who is out suspects nobody any more.
        if let Event::GroupHealed {
            group,
            how: Remedy::CaughtUp,
            ..
        }
        | Event::RemovedFromGroup { group, .. }
        | Event::LeftGroup { group, .. }
        | Event::GroupDeleted { group, .. } = event
        {
            journal.suspicions.remove(&(self.who, known(group)));
        }
        if let Event::GroupDeleted { group, by, .. } = event {
            journal.ended.insert((who(by), known(group)));
        }
    }

    fn hear_directly(&self, event: &Event, journal: &mut Journal) {
        if let Event::DirectReceived {
            group,
            sender,
            body,
            ..
        } = event
        {
            let group = self.core.find_group(group).unwrap().unwrap();
            let said = Said {
                by: who(sender),
                text: body.clone(),
            };
            journal.heard_directly.push((self.who, group, said));
        }
    }

    /// Write down what it believes at the end.
    pub(crate) fn conclude(&self, journal: &mut Journal) {
        for entry in self.core.groups().unwrap() {
            if entry.active {
                journal.standing.insert((self.who, entry.id), entry.epoch);
            }
            for message in self.core.messages(&entry.id, None, TEXTS_MAX).unwrap() {
                let said = Said {
                    by: self.who,
                    text: String::from_utf8(message.body).unwrap(),
                };
                match (message.state, message.number) {
                    (MessageState::Received, _) => {}
                    (MessageState::Sent, _) if message.direct => {
                        let to = message.to.as_ref().and_then(known);
                        journal
                            .said_directly
                            .extend(to.map(|to| (to, entry.id, said)));
                    }
                    (MessageState::Sent, Some(number)) => {
                        journal.said.insert((entry.id, Seq(number)), said);
                    }
                    (MessageState::Failed, _) => journal.given_up.push(said),
                    (MessageState::Sending | MessageState::Sent, _) => {
                        journal.leftovers.push(format!("{said:?}"));
                    }
                }
            }
        }
    }
}

/// What kind of event it is.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a trace for people; the rest is rare"
)]
fn name(event: &Event) -> String {
    let name = match event {
        Event::MessageReceived { number, .. } => return format!("text {number}"),
        Event::MembersChanged { number, .. } => return format!("of comers and goers in {number}"),
        Event::KeysUpdated { number, .. } => return format!("of new keys in {number}"),
        Event::Problem { problem, .. } => return format!("of a problem: {problem:?}"),
        Event::DirectReceived { .. } => "a whisper",
        Event::GroupJoined { .. } => "that it is in",
        Event::RemovedFromGroup { .. } | Event::LeftGroup { .. } => "that it is out",
        Event::GroupDeleted { .. } => "that a group is over",
        Event::LeaveProposed { .. } => "a wish to leave",
        Event::RolesChanged { .. } => "of new roles",
        Event::OrderBroken { .. } => "that the order is broken",
        Event::GroupDamaged { .. } => "that a group is damaged",
        Event::CommitDisputed { .. } => "that a commit is disputed",
        Event::GroupReverted { .. } => "that a group is reverted",
        Event::HelpNeeded { .. } => "that it needs help",
        _ => "something",
    };
    name.to_owned()
}

/// Everybody's username and display name.
pub(crate) fn username(who: Who) -> Username {
    Username::new(&format!("person{}", who.0), domain()).unwrap()
}

/// Who is meant: people are known by their usernames where they are contacts, and by their display
/// names to themselves.
fn who(person: &client_core::Person) -> Who {
    known(person).expect("everybody knows everybody")
}

/// Who is meant, unless it left and was forgotten.
fn known(person: &client_core::Person) -> Option<Who> {
    let name = person.display_name.as_deref()?;
    name.strip_prefix("person")?.parse().ok().map(Who)
}

fn opened(home: &Path) -> Core {
    Core::open(home, &HomeKey::Raw([5; 32])).unwrap()
}
