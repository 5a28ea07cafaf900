//! A homeserver in memory and people with clients, for tests. Nothing is faked: requests go through
//! the engine that the node runs, entries through its queues.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use engine::{
    AuthPolicy, DeliveryPolicy, Difficulty, Effects, Engine, EngineConfig, Listener, Policies,
    QueuePolicy, Secrets, Served,
};
use protocol::crypto::credential::{IntermediateCredential, RootCredential, ServerKeys};
use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::signature::PrivateKey;
use protocol::crypto::signed::Binding;
use protocol::id::{Domain, GroupId, Seq, Username};
use protocol::queue::Ack;
use protocol::time::{Lifetime, Timestamp};
use ring::rand::{SecureRandom, SystemRandom};
use store::{Entropy, MemoryBackend, StorageKey, Store};

use crate::{
    ContactId, Core, Disorder, Error, Event, HomeKey, Isolation, JobId, Outcome, Outgoing, Problem,
    RequestId, Step, Stock, StoredEvent,
};

struct System;

impl Entropy for System {
    fn fill(&self, out: &mut [u8]) {
        SystemRandom::new().fill(out).unwrap();
    }
}

/// A server.
pub(crate) struct World {
    engine: Engine,
    pub(crate) domain: Domain,
    pub(crate) now: Timestamp,
}

/// What became of a request and its reply.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Answered,
    /// The server did it, but nobody heard.
    ReplyLost,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with([1; 32], 1_000_000)
    }

    /// A server whose root credential has another key.
    pub(crate) fn with_root(seed: [u8; 32]) -> Self {
        Self::with(seed, 1_000_000)
    }

    /// A server whose queues are full with so many entries.
    pub(crate) fn with_small_queues(entries_max: u64) -> Self {
        Self::with([1; 32], entries_max)
    }

    fn with(seed: [u8; 32], entries_max: u64) -> Self {
        // openmls checks lifetimes against the system's clock.
        #[expect(clippy::disallowed_methods, reason = "so tests live in the present")]
        let now = std::time::SystemTime::now();
        let now = Timestamp(now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs());
        let domain: Domain = "a.example".parse().unwrap();
        let (root_key, key) = (
            PrivateKey::from_seed(&seed),
            PrivateKey::from_seed(&[2; 32]),
        );
        let days = |days: u64| Lifetime::starting(now, Duration::from_secs(days * 86_400));
        let root = RootCredential::new(domain.clone(), &root_key, days(3_000));
        let intermediate = IntermediateCredential::new(&root, &root_key, &key, days(300));
        let easy = Difficulty {
            memory_kib: 8,
            target_bits: 1,
            stamp_bits: 1,
        };
        let config = EngineConfig {
            domain: domain.clone(),
            policies: Policies {
                auth: AuthPolicy {
                    registration: easy,
                    username: easy,
                    challenge_seconds: 600,
                    registration_open: true,
                },
                delivery: DeliveryPolicy {
                    members_max: 1_000,
                    state_bytes_max: 1 << 20,
                    past_state_seconds: 86_400,
                    undo_seconds: 600,
                    undo_quorum_percent: 50,
                    inactive_months: 6,
                    parcel_seconds: 86_400,
                    parcels_max: 100_000,
                },
                queue: QueuePolicy {
                    entries_max,
                    bytes_max: 1 << 32,
                    key_packages_low: 2,
                    ticket_share_percent: 100,
                },
            },
            secrets: Secrets {
                storage_key: SymmetricKey([9; 32]),
                server_keys: ServerKeys { root, intermediate },
                intermediate_key: key,
            },
        };
        let key = StorageKey::from_bytes([8; 32]);
        let store = Store::new(Arc::new(MemoryBackend::new()), &key, Arc::new(System));
        let engine = Engine::new(&store, config, Arc::new(System), now).unwrap();
        Self {
            engine,
            domain,
            now,
        }
    }

    /// Connections of different isolations have different exporters, as they have different TLS.
    fn binding(&self, isolation: Isolation) -> Binding {
        let mut exporter = [0; 32];
        let name = format!("{isolation:?}");
        exporter
            .iter_mut()
            .zip(name.bytes())
            .for_each(|(to, from)| *to = from);
        Binding {
            domain: self.domain.clone(),
            exporter,
        }
    }

    pub(crate) fn serve(&self, outgoing: &Outgoing) -> Vec<u8> {
        assert_eq!(*outgoing.domain(), self.domain);
        let binding = self.binding(outgoing.isolation());
        match self
            .engine
            .serve(&outgoing.payload(&binding), &binding, self.now)
        {
            Served::Reply {
                payload, effects, ..
            } => {
                self.ship(effects);
                payload
            }
            Served::Listen { .. } => panic!("a job does not listen"),
        }
    }

    fn ship(&self, effects: Effects) {
        for outbox in effects.ship {
            self.engine.ship(outbox, self.now).unwrap();
        }
    }

    /// The frames of a listen stream from where the client is: first the answer, then entries.
    pub(crate) fn listen(&self, outgoing: &Outgoing) -> Stream {
        let binding = self.binding(outgoing.isolation());
        let payload = outgoing.payload(&binding);
        let Served::Listen {
            listener, payload, ..
        } = self.engine.serve(&payload, &binding, self.now)
        else {
            panic!("listening is refused");
        };
        let (mut frames, mut from) = (Vec::new(), Seq(0));
        loop {
            let batch = self.engine.entries(&listener, from).unwrap();
            if batch.is_empty {
                break;
            }
            frames.push(batch.event);
            from = batch.next;
        }
        Stream {
            answer: payload,
            frames,
            listener,
        }
    }

    /// Write a frame back on a listen stream.
    fn acknowledge(&self, stream: &Stream, ack: &[u8]) {
        self.engine.ack(&stream.listener, ack).unwrap();
    }
}

/// What a listen stream has brought.
pub(crate) struct Stream {
    pub(crate) answer: Vec<u8>,
    pub(crate) frames: Vec<Vec<u8>>,
    listener: Listener,
}

/// A person with a client.
pub(crate) struct Person {
    pub(crate) core: Core,
    home: Option<(PathBuf, HomeKey)>,
}

impl Person {
    /// A client in memory.
    pub(crate) fn new() -> Self {
        let mut core = Core::open_in_memory().unwrap();
        core.set_stock(Stock {
            key_packages: 2,
            tickets: 4,
            connection_packages: 1,
        });
        Self { core, home: None }
    }

    /// A client on disk, which loses its process whenever it can.
    pub(crate) fn mortal(directory: PathBuf) -> Self {
        let key = HomeKey::Raw([5; 32]);
        let core = Core::open(&directory, &key).unwrap();
        let mut person = Self {
            core,
            home: Some((directory, key)),
        };
        person.die();
        person
    }

    /// Lose the process, if the home outlives it.
    pub(crate) fn die(&mut self) {
        let Some((directory, key)) = &self.home else {
            return;
        };
        self.core = Core::open_in_memory().unwrap();
        self.core = Core::open(directory, key).unwrap();
        self.core.set_stock(Stock {
            key_packages: 2,
            tickets: 4,
            connection_packages: 1,
        });
    }

    /// Drive a job to its end.
    pub(crate) fn finish(&mut self, world: &World, job: JobId) -> Result<Outcome, Error> {
        self.finish_with(world, job, |_| Fate::Answered)
    }

    /// Drive a job to its end while some replies are lost; the process dies with each.
    pub(crate) fn finish_with(
        &mut self,
        world: &World,
        job: JobId,
        mut fate: impl FnMut(&Outgoing) -> Fate,
    ) -> Result<Outcome, Error> {
        let mut step = self.core.step(job, world.now)?;
        for _ in 0..1_000 {
            self.die();
            step = match step {
                Step::Send(outgoing) => {
                    let reply = world.serve(&outgoing);
                    self.die();
                    match fate(&outgoing) {
                        Fate::Answered => self.core.reply(job, &reply, world.now)?,
                        Fate::ReplyLost => self.core.step(job, world.now)?,
                    }
                }
                Step::Solve(order) => {
                    let work = order.solve(|_| true).unwrap();
                    self.core.solved(job, work, world.now)?
                }
                Step::Wait(other) => {
                    self.finish(world, other)?;
                    self.core.step(job, world.now)?
                }
                Step::CatchUp {
                    group,
                    epoch,
                    number,
                    patience,
                } => {
                    self.read(world);
                    let reached = self.core.has_reached(&group, epoch, number).unwrap();
                    let late = patience.filter(|_| !reached).unwrap_or_default();
                    assert!(reached || !late.is_zero());
                    self.core.step(job, world.now.after(late))?
                }
                Step::Retry(pause) => panic!("the server asks for {pause:?}"),
                Step::Done(outcome) => return Ok(outcome),
            };
        }
        panic!("the job does not end");
    }

    /// The request that a job has next.
    pub(crate) fn request(&mut self, world: &World, job: JobId) -> Outgoing {
        let step = self.core.step(job, world.now).unwrap();
        let Step::Send(outgoing) = step else {
            panic!("{step:?}")
        };
        outgoing
    }

    /// Do all upkeep that is due, and whatever else is not done.
    pub(crate) fn keep(&mut self, world: &World) {
        for _ in 0..100 {
            let Some(job) = self.core.jobs(world.now).unwrap().first().copied() else {
                return;
            };
            self.finish(world, job.id).unwrap();
        }
        panic!("upkeep does not end");
    }

    /// Read the queue without joining groups; gives what is told.
    pub(crate) fn read(&mut self, world: &World) -> Vec<StoredEvent> {
        let Some(outgoing) = self.core.listen().unwrap() else {
            return Vec::new();
        };
        let stream = world.listen(&outgoing);
        self.core.listening(&stream.answer).unwrap();
        let mut events = Vec::new();
        for frame in &stream.frames {
            self.die();
            let received = self.core.receive(frame, world.now).unwrap();
            events.extend(received.events);
            world.acknowledge(&stream, &received.ack.unwrap());
        }
        events
    }

    /// Read the queue and do what follows from it; gives everything not seen before.
    pub(crate) fn sync(&mut self, world: &World) -> Vec<Event> {
        self.read(world);
        let unfinished = self.core.jobs(world.now).unwrap();
        for job in unfinished.iter().filter(|job| job.kind.is_upkeep()) {
            self.finish(world, job.id).unwrap();
        }
        self.events()
    }

    /// Events not seen before; sees them.
    pub(crate) fn events(&mut self) -> Vec<Event> {
        let events = self.core.unseen_events(10_000).unwrap();
        if let Some(last) = events.last() {
            self.core.mark_seen(last.id).unwrap();
        }
        events.into_iter().map(|event| event.event).collect()
    }

    /// Sign up and stock up.
    pub(crate) fn register(mut self, world: &World, display_name: &str) -> Self {
        let job = self
            .core
            .register(&world.domain, display_name, world.now)
            .unwrap();
        assert_eq!(self.finish(world, job).unwrap(), Outcome::Registered);
        self.keep(world);
        self
    }

    /// Claim a username and stock up.
    pub(crate) fn claim(&mut self, world: &World, name: &str) -> Username {
        let username = Username::new(name, world.domain.clone()).unwrap();
        let job = self.core.claim_username(&username, world.now).unwrap();
        assert!(matches!(
            self.finish(world, job),
            Ok(Outcome::UsernameClaimed { .. })
        ));
        self.keep(world);
        username
    }

    /// Become contacts with the holder of a username; gives the contact.
    pub(crate) fn befriend(
        &mut self,
        world: &World,
        username: &Username,
        other: &mut Self,
    ) -> ContactId {
        let job = self.core.connect(username, world.now).unwrap();
        assert_eq!(
            self.finish(world, job).unwrap(),
            Outcome::ConnectionRequested
        );
        for request in other.fetch_requests(world) {
            let job = other.core.accept_connection(request, world.now).unwrap();
            other.finish(world, job).unwrap();
        }
        self.sync(world);
        self.core
            .find_contact(&username.to_string())
            .unwrap()
            .unwrap()
    }

    pub(crate) fn fetch_requests(&mut self, world: &World) -> Vec<RequestId> {
        for job in self.core.fetch_connection_requests(world.now).unwrap() {
            self.finish(world, job).unwrap();
        }
        self.core
            .connection_requests()
            .unwrap()
            .into_iter()
            .map(|request| request.id)
            .collect()
    }

    pub(crate) fn create_group(&mut self, world: &World, name: &str) -> GroupId {
        let job = self.core.create_group(name, world.now).unwrap();
        let outcome = self.finish(world, job).unwrap();
        let Outcome::GroupCreated { group } = outcome else {
            panic!("{outcome:?}")
        };
        group
    }

    /// Invite contacts, and tell them the group's name.
    pub(crate) fn invite(&mut self, world: &World, group: &GroupId, contacts: &[ContactId]) {
        let job = self.core.invite(group, contacts, world.now).unwrap();
        assert!(matches!(
            self.finish(world, job),
            Ok(Outcome::GroupChanged { .. })
        ));
        self.keep(world);
    }

    pub(crate) fn send(&mut self, world: &World, group: &GroupId, text: &str) {
        let job = self.core.send(group, text.as_bytes(), world.now).unwrap();
        assert!(matches!(
            self.finish(world, job),
            Ok(Outcome::MessageSent { .. })
        ));
    }

    /// The leaf of a member by display name.
    pub(crate) fn leaf(&self, group: &GroupId, display_name: &str) -> protocol::id::LeafIndex {
        let members = self.core.members(group).unwrap();
        let named = |name: &Option<String>| name.as_deref() == Some(display_name);
        members
            .iter()
            .find(|member| named(&member.person.display_name))
            .unwrap()
            .leaf
    }
}

/// The texts among events, with their senders' display names.
pub(crate) fn texts(events: &[Event]) -> Vec<(Option<String>, String)> {
    let text = |event: &Event| {
        let Event::MessageReceived { sender, body, .. } = event else {
            return None;
        };
        assert!(sender.verified);
        Some((sender.display_name.clone(), body.clone()))
    };
    events.iter().filter_map(text).collect()
}

/// The problems among events.
pub(crate) fn problems(events: &[Event]) -> Vec<Problem> {
    let problem = |event: &Event| {
        let Event::Problem { problem, .. } = event else {
            return None;
        };
        Some(*problem)
    };
    events.iter().filter_map(problem).collect()
}

/// How the order of events is said to be broken.
pub(crate) fn disorders(events: &[Event]) -> Vec<Disorder> {
    let disorder = |event: &Event| {
        let Event::OrderBroken { how, .. } = event else {
            return None;
        };
        Some(*how)
    };
    events.iter().filter_map(disorder).collect()
}

/// A frame of a listen stream that acknowledges up to here.
pub(crate) fn acked(frame: &[u8]) -> Seq {
    protocol::codec::decode_exact::<Ack>(frame).unwrap().next
}

/// Three people who are contacts of the first, which has a group with the other two.
pub(crate) fn three_in_a_group(world: &World) -> (BTreeMap<&'static str, Person>, GroupId) {
    let mut aspen = Person::new().register(world, "Aspen");
    let mut birch = Person::new().register(world, "Birch");
    let mut cedar = Person::new().register(world, "Cedar");
    let (birch_name, cedar_name) = (birch.claim(world, "birch"), cedar.claim(world, "cedar"));
    let contacts = [
        aspen.befriend(world, &birch_name, &mut birch),
        aspen.befriend(world, &cedar_name, &mut cedar),
    ];
    let group = aspen.create_group(world, "walk");
    aspen.invite(world, &group, &contacts);
    for person in [&mut aspen, &mut birch, &mut cedar] {
        person.sync(world);
    }
    (
        BTreeMap::from([("aspen", aspen), ("birch", birch), ("cedar", cedar)]),
        group,
    )
}
