//! The homeserver of the world: the engine that the node runs, over a disk in memory. A crash
//! leaves it the disk and nothing else.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use client_core::{Isolation, Outgoing};
use engine::{Engine, EngineConfig, Listener, Outbox, Secrets, Served};
use protocol::codec::{decode_exact, encode};
use protocol::crypto::credential::{IntermediateCredential, RootCredential, ServerKeys};
use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::signature::PrivateKey;
use protocol::crypto::signed::Binding;
use protocol::entry::NumberedEntry;
use protocol::id::{Domain, Seq};
use protocol::queue::{Entries, ListenEvent};
use protocol::time::{Lifetime, Timestamp};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use store::{Entropy, MemoryBackend, StorageKey, Store};

use crate::disk::Disk;
use crate::policies::policies;

/// Outboxes asked for at a time.
const OUTBOXES_MAX: usize = 16;

/// What a server is at one moment.
pub(crate) struct Server {
    pub(crate) disk: Arc<Disk>,
    engine: Engine,
    entropy: Arc<Seeded>,
    started: Timestamp,
    /// Outboxes that may hold parcels: hints, gone with the process.
    pub(crate) due: BTreeSet<Outbox>,
}

/// A stream of entries, as long as server and client live.
pub(crate) struct Stream {
    listener: Listener,
    next: Seq,
}

/// How a request was answered.
pub(crate) enum Answer {
    /// With this payload.
    Reply(Vec<u8>),
    /// With a stream that begins with this payload.
    Listening(Vec<u8>, Stream),
    /// Not at all: the server is dead.
    Nothing,
}

/// Randomness from the seed, that can be had twice.
struct Seeded(Mutex<StdRng>);

impl Seeded {
    fn again(&self) -> Self {
        Self(Mutex::new(self.lock().clone()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, StdRng> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entropy for Seeded {
    fn fill(&self, out: &mut [u8]) {
        self.lock().fill_bytes(out);
    }
}

impl Server {
    /// An empty server that starts now.
    pub(crate) fn new(seed: u64, now: Timestamp) -> Self {
        let entropy = Arc::new(Seeded(Mutex::new(StdRng::seed_from_u64(seed))));
        Self::over(MemoryBackend::new(), entropy, now)
    }

    fn over(memory: MemoryBackend, entropy: Arc<Seeded>, started: Timestamp) -> Self {
        let disk = Arc::new(Disk::new(memory));
        let key = StorageKey::from_bytes([8; 32]);
        let store = Store::new(Arc::clone(&disk) as _, &key, Arc::clone(&entropy) as _);
        let engine = Engine::new(
            &store,
            configuration(started),
            Arc::clone(&entropy) as _,
            started,
        );
        let mut server = Self {
            disk,
            engine: engine.unwrap(),
            entropy,
            started,
            due: BTreeSet::new(),
        };
        server.due = server.pending().into_iter().collect();
        server
    }

    /// The server that starts after this one was killed. Its credentials are the same.
    pub(crate) fn restarted(&self) -> Self {
        Self::over(
            self.disk.after_crash(),
            Arc::clone(&self.entropy),
            self.started,
        )
    }

    /// A server as this one would be after a restart, to be compared with it: what it does shows
    /// nowhere.
    pub(crate) fn shadow(&self) -> Self {
        let entropy = Arc::new(self.entropy.again());
        Self::over(self.disk.after_crash(), entropy, self.started)
    }

    /// Answer a request.
    pub(crate) fn serve(&mut self, payload: &[u8], binding: &Binding, now: Timestamp) -> Answer {
        let served = self.engine.serve(payload, binding, now);
        let answer = match served {
            Served::Reply {
                payload, effects, ..
            } => {
                self.due.extend(effects.ship);
                Answer::Reply(payload)
            }
            Served::Listen {
                listener,
                payload,
                effects,
            } => {
                self.due.extend(effects.ship);
                let stream = Stream {
                    listener,
                    next: Seq(0),
                };
                Answer::Listening(payload, stream)
            }
        };
        if self.disk.is_dead() {
            Answer::Nothing
        } else {
            answer
        }
    }

    /// The next entry of a stream as a frame, with its place: frames of one entry each, so that
    /// clients can crash between any two.
    pub(crate) fn next_frame(&self, stream: &mut Stream) -> Option<(Vec<u8>, Seq)> {
        let batch = self.engine.entries(&stream.listener, stream.next).ok()?;
        if batch.is_empty {
            return None;
        }
        let event: ListenEvent = decode_exact(&batch.event).unwrap();
        let ListenEvent::Entries(entries) = event else {
            panic!("a batch holds entries")
        };
        let entry: NumberedEntry = entries.entries.into_iter().next().unwrap();
        let seq = entry.seq;
        stream.next = seq.next();
        let event = ListenEvent::Entries(Entries {
            entries: vec![entry],
        });
        Some((encode(&event), seq))
    }

    /// Take an acknowledgement; gives the first place that is still needed.
    pub(crate) fn acknowledge(&self, stream: &Stream, ack: &[u8]) -> Option<Seq> {
        self.engine.ack(&stream.listener, ack).ok()
    }

    /// Deliver what an outbox holds; whether it is empty then.
    pub(crate) fn ship(&mut self, outbox: Outbox, now: Timestamp) -> bool {
        let shipped = self.engine.ship(outbox, now);
        let is_done = shipped.is_ok_and(|shipped| !shipped.retry);
        if is_done {
            self.due.remove(&outbox);
        }
        is_done
    }

    /// Every outbox that holds parcels, hint or no hint.
    pub(crate) fn pending(&self) -> Vec<Outbox> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = self.engine.pending(after, OUTBOXES_MAX).unwrap_or_default();
            let is_last = page.len() < OUTBOXES_MAX;
            after = page.last().copied();
            all.extend(page);
            if is_last {
                return all;
            }
        }
    }
}

/// The domain of the world.
pub(crate) fn domain() -> Domain {
    "a.example".parse().unwrap()
}

/// The connection that carries a request. Those of different people and isolations have different
/// exporters, as they have different TLS.
pub(crate) fn binding(person: usize, outgoing: &Outgoing) -> Binding {
    let mut exporter = [0; 32];
    let name = match outgoing.isolation() {
        Isolation::Group(group) => group.0.to_vec(),
        Isolation::Username(hash) => hash.0.to_vec(),
        isolation @ (Isolation::Account | Isolation::Queue | Isolation::Anonymous) => {
            format!("{isolation:?}").into_bytes()
        }
    };
    let bytes = [&[u8::try_from(person).unwrap()], name.as_slice()].concat();
    exporter
        .iter_mut()
        .zip(bytes)
        .for_each(|(to, from)| *to = from);
    Binding {
        domain: domain(),
        exporter,
    }
}

fn configuration(started: Timestamp) -> EngineConfig {
    let [root_key, key] = [1, 2].map(|seed| PrivateKey::from_seed(&[seed; 32]));
    let days = |days: u64| Lifetime::starting(started, Duration::from_secs(days * 86_400));
    let root = RootCredential::new(domain(), &root_key, days(3_000));
    let intermediate = IntermediateCredential::new(&root, &root_key, &key, days(300));
    EngineConfig {
        domain: domain(),
        policies: policies(),
        secrets: Secrets {
            storage_key: SymmetricKey([9; 32]),
            server_keys: ServerKeys { root, intermediate },
            intermediate_key: key,
        },
    }
}
