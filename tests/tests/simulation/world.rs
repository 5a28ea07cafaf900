//! One server, several clients, and the wires between them: what can be under way, what can happen
//! to it, and the clock. One seed decides everything.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use client_core::{Error, Isolation, JobId, Outcome, Outgoing, Step};
use protocol::crypto::signed::Binding;
use protocol::error::ErrorCode;
use protocol::id::{GroupId, Seq};
use protocol::queue;
use protocol::request::Request;
use protocol::time::Timestamp;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use store::Fault;
use tempfile::TempDir;
use tests::journal::{Delivery, Journal, Who};

use crate::acceptance;
use crate::person::{Pause, Person, Target};
use crate::sabotage::Sabotage;
use crate::server::{Answer, Server, binding};
use crate::trace::Trace;
use crate::weather::{Weather, happens};

/// The virtual clock begins so many seconds before the real one, and may pass it by as much: OpenMLS
/// asks the system's clock whether a KeyPackage is valid.
const HEAD_START_SECONDS: u64 = 1_200;
/// Clocks of clients differ from the server's by less than this many seconds: together with the head
/// start, within what the protocol allows.
const SKEW_SECONDS: i64 = 1_200;
/// How long a client waits for its queue to bring something, unless the step says otherwise.
const PATIENCE: Duration = Duration::from_secs(30);
/// Requests that are late.
const LATE_MAX: usize = 16;

/// Everything there is.
pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) rng: StdRng,
    pub(crate) weather: Weather,
    pub(crate) server: Server,
    pub(crate) people: Vec<Person>,
    pub(crate) journal: Journal,
    pub(crate) trace: Trace,
    pub(crate) sabotage: Sabotage,
    pub(crate) flights: Vec<Flight>,
    /// How many texts were begun: each is another.
    pub(crate) texts: usize,
    late: Vec<Asked>,
    /// Short names for the trace, in the order of appearance.
    groups: BTreeMap<GroupId, usize>,
    /// The last request of each connection: what may be sent again.
    answered: BTreeMap<(Who, Isolation), Asked>,
    _homes: TempDir,
}

/// A request or its reply, under way.
pub(crate) struct Flight {
    who: Who,
    process: u32,
    pub(crate) job: JobId,
    outgoing: Outgoing,
    reply: Option<Vec<u8>>,
}

/// A request as it was on the wire.
#[derive(Clone)]
struct Asked {
    who: Who,
    operation: &'static str,
    isolation: Isolation,
    payload: Vec<u8>,
    binding: Binding,
}

impl World {
    /// A world of so many people, each with a fresh client.
    pub(crate) fn new(seed: u64, people: usize, real: Timestamp) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let now = real.before(Duration::from_secs(HEAD_START_SECONDS));
        let homes = homes();
        let make = |number| {
            let skew = rng.random_range(-SKEW_SECONDS..=SKEW_SECONDS);
            match rng.random_bool(0.6) {
                true => Person::on_disk(Who(number), homes.path(), skew),
                false => Person::in_memory(Who(number), skew),
            }
        };
        Self {
            now,
            people: (0..people).map(make).collect(),
            server: Server::new(rng.random(), now),
            rng,
            weather: Weather::FAIR,
            journal: Journal::default(),
            trace: Trace::new(seed),
            sabotage: Sabotage::default(),
            flights: Vec::new(),
            texts: 0,
            late: Vec::new(),
            groups: BTreeMap::new(),
            answered: BTreeMap::new(),
            _homes: homes,
        }
    }

    pub(crate) fn person(&mut self, who: Who) -> &mut Person {
        &mut self.people[who.0]
    }

    /// Everybody.
    pub(crate) fn everybody(&self) -> impl Iterator<Item = Who> + use<> {
        (0..self.people.len()).map(Who)
    }

    /// Somebody.
    pub(crate) fn somebody(&mut self) -> Who {
        Who(self.rng.random_range(0..self.people.len()))
    }

    /// Let time pass.
    pub(crate) fn pass(&mut self, seconds: u64) {
        self.now = self.now.after(Duration::from_secs(seconds));
    }

    /// Jobs of somebody that are not done.
    pub(crate) fn jobs(&mut self, who: Who) -> Vec<client_core::Job> {
        let now = self.now;
        let person = self.person(who);
        let clock = person.clock(now);
        person.core.jobs(clock).unwrap()
    }

    /// Take somebody's job a step further, unless its request is under way or it has to wait.
    pub(crate) fn advance(&mut self, who: Who, job: JobId) {
        let now = self.now;
        let person = self.person(who);
        let (clock, process) = (person.clock(now), person.process);
        let rests = person.rests(job, now);
        let flies =
            |flight: &Flight| flight.who == who && flight.process == process && flight.job == job;
        if rests || self.flights.iter().any(flies) {
            return;
        }
        let step = self.person(who).core.step(job, clock);
        self.take(who, job, step);
    }

    /// Do what a job needs next.
    fn take(&mut self, who: Who, job: JobId, mut step: Result<Step, Error>) {
        if let Ok(Step::Solve(order)) = &step {
            let work = order.solve(|_| true).unwrap();
            let clock = self.people[who.0].clock(self.now);
            step = self.person(who).core.solved(job, work, clock);
        }
        match step {
            Ok(Step::Send(outgoing)) => self.flights.push(Flight {
                who,
                process: self.people[who.0].process,
                job,
                outgoing,
                reply: None,
            }),
            Ok(Step::Retry(pause)) => self.pause(who, job, pause, None),
            Ok(Step::CatchUp {
                group,
                epoch,
                number,
                patience,
            }) => {
                let target = Some((group, epoch, number));
                self.pause(who, job, patience.unwrap_or(PATIENCE), target);
            }
            Ok(Step::Wait(_)) => {}
            Ok(Step::Solve(_)) => self.accuse(who, "a puzzle after a puzzle".to_owned()),
            Ok(Step::Done(Outcome::GroupDeleted { group })) => {
                self.journal.ended.insert((who, group));
                self.trace
                    .note(who, || "done: the end of a group".to_owned());
            }
            Ok(Step::Done(outcome)) => self.trace.note(who, || {
                // Its expiry is as real as the clock that the run began at.
                if matches!(outcome, Outcome::UsernameClaimed { .. }) {
                    return "done: its username".to_owned();
                }
                format!("done: {outcome:?}")
            }),
            Err(error) => {
                self.trace.note(who, || format!("failed: {error:?}"));
                if !is_fair(&error) {
                    self.accuse(who, format!("{error:?}"));
                }
            }
        }
        self.look(who);
    }

    fn pause(&mut self, who: Who, job: JobId, pause: Duration, target: Option<Target>) {
        let until = self.now.after(pause.max(Duration::from_secs(1)));
        let pause = Pause { until, target };
        self.person(who).pauses.insert(job, pause);
    }

    fn accuse(&mut self, who: Who, what: String) {
        self.journal.problems.push((who, what));
    }

    /// Somebody's process may end here; then see what it has to say.
    fn look(&mut self, who: Who) {
        if happens(&mut self.rng, self.weather.client_crash) && self.person(who).crash() {
            self.trace.note(who, || "crashes".to_owned());
        }
        for event in self.people[who.0].observe(&mut self.journal, &mut self.sabotage) {
            self.trace.note(who, || format!("hears {event}"));
        }
    }

    /// Move what is under way at this place.
    pub(crate) fn fly(&mut self, place: usize) {
        let mut flight = self.flights.swap_remove(place);
        if let Some(reply) = flight.reply.take() {
            return self.land(&flight, &reply);
        }
        if happens(&mut self.rng, self.weather.request_lost) {
            let operation = flight.outgoing.operation();
            self.trace
                .note(flight.who, || format!("{operation} is lost"));
            return;
        }
        let asked = Asked::new(&flight);
        // What is sent twice arrives twice before what is sent after it.
        self.late
            .retain(|late| (late.who, late.isolation) != (asked.who, asked.isolation));
        if happens(&mut self.rng, self.weather.doubled) && self.late.len() < LATE_MAX {
            self.late.push(asked.clone());
        }
        let Some(reply) = self.ask(&asked) else {
            return;
        };
        if happens(&mut self.rng, self.weather.reply_lost) {
            self.trace.note(flight.who, || {
                format!("reply to {} is lost", asked.operation)
            });
            return;
        }
        flight.reply = Some(reply);
        self.flights.push(flight);
    }

    fn land(&mut self, flight: &Flight, reply: &[u8]) {
        let person = &mut self.people[flight.who.0];
        if flight.process != person.process {
            return;
        }
        let clock = person.clock(self.now);
        let step = person.core.reply(flight.job, reply, clock);
        self.take(flight.who, flight.job, step);
    }

    /// Let the server answer, if it lives.
    fn ask(&mut self, asked: &Asked) -> Option<Vec<u8>> {
        let answer = self.server.serve(&asked.payload, &asked.binding, self.now);
        let Answer::Reply(reply) = answer else {
            self.restart("dies of a request");
            return None;
        };
        let code = reply.get(..3).unwrap_or(&reply).to_vec();
        self.trace.note(asked.who, || match code.first() {
            Some(0) => format!("{} is granted", asked.operation),
            _ => format!("{} is refused: {code:?}", asked.operation),
        });
        self.journal
            .last_resorts
            .extend(acceptance::last_resort(&asked.payload));
        if let Some(ticket) = acceptance::handed_out(asked.operation, &reply) {
            *self.journal.handed_out.entry(ticket).or_default() += 1;
        }
        if let Isolation::Group(group) = asked.isolation {
            self.record(asked, group, &reply);
        }
        let connection = (asked.who, asked.isolation);
        self.answered.insert(connection, asked.clone());
        Some(reply)
    }

    fn record(&mut self, asked: &Asked, group: GroupId, reply: &[u8]) {
        let Some((number, accepted)) = acceptance::of(asked.who, asked.operation, reply) else {
            return;
        };
        if asked.operation == "join_group" {
            self.journal.rejoined.insert((asked.who, (group, number)));
        }
        let place = self.groups.len();
        let name = *self.groups.entry(group).or_insert(place);
        let kind = accepted.kind;
        self.trace.note(asked.who, || {
            format!("in group {name}: {} is {kind:?}", number.0)
        });
        let answers = self.journal.accepted.entry((group, number)).or_default();
        answers.insert(accepted);
    }

    /// A request that was sent twice arrives the second time.
    pub(crate) fn deliver_late(&mut self) {
        if self.late.is_empty() {
            return;
        }
        let place = self.rng.random_range(0..self.late.len());
        let asked = self.late.swap_remove(place);
        self.trace
            .note(asked.who, || format!("late: {}", asked.operation));
        self.ask(&asked);
    }

    /// What is late never arrives.
    pub(crate) fn forget_late(&mut self) {
        self.late.clear();
    }

    /// Kill the server, and start it again. It answers as it would have without.
    pub(crate) fn restart(&mut self, why: &str) {
        self.trace.note_server(|| why.to_owned());
        if !self.server.disk.is_dead() && !self.answered.is_empty() {
            let place = self.rng.random_range(0..self.answered.len());
            let asked = self.answered.values().nth(place).unwrap().clone();
            // Both answer over a disk that is well.
            self.server.disk.disarm();
            let mut shadow = self.server.shadow();
            let other = shadow.serve(&asked.payload, &asked.binding, self.now);
            let same = match (self.ask(&asked), other) {
                (Some(reply), Answer::Reply(other)) => reply == other,
                _ => false,
            };
            if !same {
                self.journal.changed_answers.push(asked.operation);
            }
        }
        self.server = self.server.restarted();
        for person in &mut self.people {
            person.stream = None;
        }
    }

    /// Something odd happens to the server or its disk.
    pub(crate) fn strike(&mut self) {
        if self.sabotage.forgets() {
            self.server.disk.forget_one();
        }
        if happens(&mut self.rng, self.weather.server_crash) {
            match self.rng.random_bool(0.5) {
                true => self.restart("is killed"),
                false => self.server.disk.light_fuse(self.rng.random_range(0..6)),
            }
        }
        if happens(&mut self.rng, self.weather.disk_fault) {
            let faults = [
                Fault::Conflict,
                Fault::Unavailable,
                Fault::AmbiguousApplied,
                Fault::AmbiguousLost,
                Fault::AmbiguousDelayed,
            ];
            let fault = faults[self.rng.random_range(0..faults.len())];
            self.trace.note_server(|| format!("disk: {fault:?}"));
            self.server.disk.inject(fault);
            self.server.disk.deliver_delayed();
        }
    }

    /// Deliver what one outbox holds; whether there was one.
    pub(crate) fn ship(&mut self) -> bool {
        let due = self.server.due.len();
        if due == 0 {
            return false;
        }
        let place = self.rng.random_range(0..due);
        let outbox = self.server.due.iter().nth(place).copied();
        self.server.ship(outbox.unwrap(), self.now);
        if self.server.disk.is_dead() {
            self.restart("dies while it delivers");
        }
        true
    }

    /// Somebody reads one entry of its queue; whether there was one.
    pub(crate) fn read(&mut self, who: Who) -> bool {
        if self.people[who.0].stream.is_none() && !self.listen(who) {
            return false;
        }
        if happens(&mut self.rng, self.weather.stream_broken) {
            self.people[who.0].stream = None;
            return true;
        }
        let Some(mut stream) = self.people[who.0].stream.take() else {
            return false;
        };
        let next = self.sabotage.next_frame(who, &self.server, &mut stream);
        let Some((frame, seq)) = next else {
            self.people[who.0].stream = Some(stream);
            return false;
        };
        let queue = self.journal.queues.entry(who).or_default();
        queue.push(Delivery::Came(seq));
        let person = &mut self.people[who.0];
        let received = person.core.receive(&frame, person.clock(self.now));
        match received {
            Ok(received) => {
                let ack = received.ack.unwrap_or_default();
                if !happens(&mut self.rng, self.weather.ack_lost)
                    && let Some(next) = self.server.acknowledge(&stream, &ack)
                {
                    let queue = self.journal.queues.entry(who).or_default();
                    queue.push(Delivery::Acknowledged(next));
                }
                self.people[who.0].stream = Some(stream);
            }
            Err(error) => self.accuse(who, format!("{error:?}")),
        }
        self.trace.note(who, || format!("reads {}", seq.0));
        self.look(who);
        true
    }

    fn listen(&mut self, who: Who) -> bool {
        let Some(outgoing) = self.people[who.0].core.listen().unwrap() else {
            return false;
        };
        let binding = binding(who.0, &outgoing);
        let payload = outgoing.payload(&binding);
        let answer = self.server.serve(&payload, &binding, self.now);
        let (first, stream) = match answer {
            Answer::Listening(first, stream) => (first, stream),
            Answer::Reply(_) => return false,
            Answer::Nothing => {
                self.restart("dies of a listener");
                return false;
            }
        };
        let person = &mut self.people[who.0];
        if let Err(error) = person.core.listening(&first) {
            self.accuse(who, format!("{error:?}"));
            return false;
        }
        person.stream = Some(stream);
        let begun = Delivery::Begun(from(&payload));
        self.journal.queues.entry(who).or_default().push(begun);
        true
    }
}

impl Asked {
    fn new(flight: &Flight) -> Self {
        let binding = binding(flight.who.0, &flight.outgoing);
        Self {
            who: flight.who,
            operation: flight.outgoing.operation(),
            isolation: flight.outgoing.isolation(),
            payload: flight.outgoing.payload(&binding),
            binding,
        }
    }
}

/// Whether an honest client may end like this against an honest server: somebody else was faster.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "whatever else there is, it is not fair"
)]
fn is_fair(error: &Error) -> bool {
    match error {
        Error::Unknown(_)
        | Error::AlreadyMember
        | Error::NameTaken
        | Error::NotAdmin
        | Error::LastAdmin
        | Error::Leaving => true,
        Error::Refused(reply) => matches!(reply.code, ErrorCode::Denied | ErrorCode::NotFound),
        _ => false,
    }
}

/// Where a request to listen begins.
fn from(payload: &[u8]) -> Seq {
    let Ok(Request::Queue(queue::Request::Listen(listen))) = Request::decode(payload) else {
        panic!("it listens")
    };
    listen.unverified().from
}

/// In memory if that is possible: a disk that has to be sure takes longer than anything else here.
fn homes() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = match memory.is_dir() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    };
    made.unwrap()
}
