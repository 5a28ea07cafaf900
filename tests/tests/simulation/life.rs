//! What people do: they become contacts, then whatever the seed says, and at last they come to rest.

use client_core::{Error, JobId, MemberEntry};
use protocol::group_policy::Role;
use protocol::id::GroupId;
use rand::Rng;
use tests::journal::Who;

use crate::person::username;
use crate::weather::Weather;
use crate::world::World;

/// Rounds until everything is done: more than any chain of retries takes.
const ROUNDS_MAX: usize = 1_000;
/// Jobs that somebody has open at a time.
const JOBS_MAX: usize = 6;
/// Groups of a world.
const GROUPS_MAX: usize = 3;
/// Seconds that may pass in one step.
const PASS_SECONDS_MAX: u64 = 6;

impl World {
    /// Everybody signs up and becomes everybody's contact.
    pub(crate) fn begin(&mut self) {
        for who in self.everybody() {
            let name = username(who).name().to_owned();
            self.start(who, |world| {
                let clock = world.people[who.0].clock(world.now);
                let domain = crate::server::domain();
                world.person(who).core.register(&domain, &name, clock)
            });
        }
        self.rest();
        for who in self.everybody() {
            self.start(who, |world| {
                let clock = world.people[who.0].clock(world.now);
                world.person(who).core.claim_username(&username(who), clock)
            });
        }
        self.rest();
        for who in self.everybody() {
            for other in self.everybody().filter(|other| *other > who) {
                self.start(who, |world| {
                    let clock = world.people[who.0].clock(world.now);
                    world.person(who).core.connect(&username(other), clock)
                });
            }
        }
        self.rest();
        for who in self.everybody() {
            let clock = self.people[who.0].clock(self.now);
            self.person(who)
                .core
                .fetch_connection_requests(clock)
                .unwrap();
        }
        self.rest();
        for who in self.everybody() {
            for request in self.person(who).core.connection_requests().unwrap() {
                self.start(who, |world| {
                    let clock = world.people[who.0].clock(world.now);
                    world.person(who).core.accept_connection(request.id, clock)
                });
            }
        }
        self.rest();
    }

    /// One thing happens.
    pub(crate) fn step(&mut self) {
        self.trace.step += 1;
        self.strike();
        match self.rng.random_range(0..100) {
            0..30 if !self.flights.is_empty() => {
                let place = self.rng.random_range(0..self.flights.len());
                self.fly(place);
            }
            0..55 => self.work(),
            55..76 => {
                let who = self.somebody();
                self.read(who);
            }
            76..88 => drop(self.ship()),
            88..90 => self.deliver_late(),
            90..93 => {
                let seconds = self.rng.random_range(1..=PASS_SECONDS_MAX);
                self.pass(seconds);
            }
            _ => self.wish(),
        }
    }

    /// Somebody takes one of its jobs a step further.
    fn work(&mut self) {
        let who = self.somebody();
        let jobs = self.jobs(who);
        if !jobs.is_empty() {
            let job = jobs[self.rng.random_range(0..jobs.len())];
            self.advance(who, job.id);
        }
    }

    /// Somebody wants something.
    fn wish(&mut self) {
        let who = self.somebody();
        if self.jobs(who).len() >= JOBS_MAX {
            return;
        }
        let groups = self.people[who.0].groups();
        let is_crowded = groups.len() >= GROUPS_MAX;
        if groups.is_empty() || (!is_crowded && self.rng.random_range(0..20) == 0) {
            return self.found(who);
        }
        let group = groups[self.rng.random_range(0..groups.len())];
        match self.rng.random_range(0..100) {
            0..48 => self.say(who, &group),
            48..56 => self.whisper(who, &group),
            56..70 => self.invite(who, &group),
            70..76 => self.remove(who, &group),
            76..82 => self.change_role(who, &group),
            _ => self.change_oneself(who, &group),
        }
    }

    /// Somebody changes what is its own in a group.
    fn change_oneself(&mut self, who: Who, group: &GroupId) {
        let wish = self.rng.random_range(0..18);
        let what = match wish {
            0..8 => "renews its keys",
            8..12 => "changes its ticket",
            12..17 => "leaves",
            _ => "deletes a group",
        };
        self.trace.note(who, || what.to_owned());
        self.start(who, |world| {
            let clock = world.people[who.0].clock(world.now);
            let core = &mut world.person(who).core;
            match wish {
                0..8 => core.update_keys(group, clock),
                8..12 => core.update_ticket(group, clock),
                12..17 => core.leave(group, clock),
                _ => core.delete_group(group, clock),
            }
        });
    }

    /// Another member of a group, if there is one.
    fn another(&mut self, who: Who, group: &GroupId) -> Option<MemberEntry> {
        let mut members = self.people[who.0].core.members(group).unwrap();
        members.retain(|member| !member.person.is_self);
        match members.is_empty() {
            true => None,
            false => Some(members.swap_remove(self.rng.random_range(0..members.len()))),
        }
    }

    fn change_role(&mut self, who: Who, group: &GroupId) {
        let Some(member) = self.another(who, group) else {
            return;
        };
        let role = match member.admin {
            true => Role::Member,
            false => Role::Admin,
        };
        let leaf = member.leaf;
        self.trace
            .note(who, || format!("makes leaf {} {role:?}", leaf.0));
        self.start(who, |world| {
            let clock = world.people[who.0].clock(world.now);
            world.person(who).core.set_role(group, &[leaf], role, clock)
        });
    }

    /// Say something to one member.
    fn whisper(&mut self, who: Who, group: &GroupId) {
        let Some(member) = self.another(who, group) else {
            return;
        };
        self.texts += 1;
        let text = format!("whisper {}", self.texts);
        self.trace
            .note(who, || format!("whispers to leaf {}", member.leaf.0));
        self.start(who, |world| {
            let clock = world.people[who.0].clock(world.now);
            let core = &mut world.person(who).core;
            core.send_to_member(group, member.leaf, text.as_bytes(), clock)
        });
    }

    /// Begin a job. What is impossible is refused at once, and that is fair.
    fn start(&mut self, who: Who, start: impl FnOnce(&mut Self) -> Result<JobId, Error>) {
        match start(self) {
            Ok(job) => self.advance(who, job),
            Err(error) => self.trace.note(who, || format!("cannot: {error:?}")),
        }
    }

    fn found(&mut self, who: Who) {
        self.trace.note(who, || "creates a group".to_owned());
        let name = format!("group {}", self.trace.step);
        self.start(who, |world| {
            let clock = world.people[who.0].clock(world.now);
            world.person(who).core.create_group(&name, clock)
        });
    }

    /// Say something that nobody has said before.
    pub(crate) fn say(&mut self, who: Who, group: &GroupId) {
        self.trace.note(who, || "says something".to_owned());
        self.texts += 1;
        let text = format!("text {}", self.texts);
        self.start(who, |world| {
            let clock = world.people[who.0].clock(world.now);
            world.person(who).core.send(group, text.as_bytes(), clock)
        });
    }

    fn invite(&mut self, who: Who, group: &GroupId) {
        let inside = self.people[who.0].view(group).members;
        let outside: Vec<Who> = self
            .everybody()
            .filter(|other| !inside.contains(other))
            .collect();
        if outside.is_empty() {
            return;
        }
        let count = self.rng.random_range(1..=outside.len());
        let first = self.rng.random_range(0..outside.len());
        let wanted: Vec<Who> = outside
            .iter()
            .cycle()
            .skip(first)
            .take(count)
            .copied()
            .collect();
        self.trace.note(who, || format!("invites {wanted:?}"));
        self.start(who, |world| {
            let clock = world.people[who.0].clock(world.now);
            let core = &mut world.person(who).core;
            let contacts = wanted.iter().map(|other| {
                let found = core.find_contact(username(*other).name());
                found.unwrap().expect("everybody is everybody's contact")
            });
            let contacts: Vec<_> = contacts.collect();
            core.invite(group, &contacts, clock)
        });
    }

    fn remove(&mut self, who: Who, group: &GroupId) {
        let Some(member) = self.another(who, group) else {
            return;
        };
        let leaf = member.leaf;
        self.trace.note(who, || format!("removes leaf {}", leaf.0));
        self.start(who, |world| {
            let clock = world.people[who.0].clock(world.now);
            world.person(who).core.remove(group, &[leaf], clock)
        });
    }

    /// Faults stop; everything that was begun comes to its end.
    pub(crate) fn calm(&mut self) {
        self.weather = Weather::FAIR;
        self.forget_late();
        self.rest();
    }

    /// Go on until nothing is left to do.
    pub(crate) fn rest(&mut self) {
        for _ in 0..ROUNDS_MAX {
            if !self.round() {
                return;
            }
            self.pass(1);
        }
        for who in self.everybody() {
            let kinds: Vec<_> = self.jobs(who).iter().map(|job| job.kind).collect();
            if !kinds.is_empty() {
                self.journal
                    .leftovers
                    .push(format!("{who:?} has {kinds:?}"));
            }
        }
        let pending = self.server.pending().len();
        if pending > 0 {
            self.journal.leftovers.push(format!("{pending} outboxes"));
        }
    }

    /// Whether somebody will do something by itself before long.
    fn has_plans(&self, who: Who) -> bool {
        let person = &self.people[who.0];
        let due = person.core.next_due(person.clock(self.now)).unwrap();
        due.is_some()
    }

    /// Everything goes a step further; whether there was anything.
    fn round(&mut self) -> bool {
        let mut busy = !self.flights.is_empty();
        for place in (0..self.flights.len()).rev() {
            self.fly(place);
        }
        for who in self.everybody() {
            busy |= self.has_plans(who);
            for job in self.jobs(who) {
                busy = true;
                self.advance(who, job.id);
            }
            while self.read(who) {
                busy = true;
            }
        }
        let pending = self.server.pending();
        self.server.due.extend(pending);
        while !self.server.due.is_empty() && self.ship() {
            busy = true;
        }
        busy || !self.server.pending().is_empty()
    }
}
