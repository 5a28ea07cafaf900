//! A homeserver in memory, in which somebody has a username and a queue.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use engine::{
    AuthPolicy, DeliveryPolicy, Difficulty, Engine, EngineConfig, Policies, QueuePolicy, Secrets,
    Served,
};
use protocol::contact::Ticket;
use protocol::crypto::credential::{IntermediateCredential, RootCredential, ServerKeys};
use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::signature::PrivateKey;
use protocol::crypto::signed::Binding;
use protocol::crypto::work::Challenge;
use protocol::id::{Domain, Fingerprint};
use protocol::request::{Operation, decode_reply};
use protocol::time::{Lifetime, Timestamp};
use protocol::{auth, queue};
use store::{Entropy, MemoryBackend, Row, StorageKey, Store};

use crate::server::template;

pub(super) const NOW: Timestamp = Timestamp(1_800_000_000);

const EASY: Difficulty = Difficulty {
    memory_kib: 8,
    target_bits: 1,
    stamp_bits: 1,
};

/// What requests are made from and answered by.
pub(super) struct World {
    backend: Arc<MemoryBackend>,
    engine: Engine,
    pub(super) binding: Binding,
    pub(super) challenge: Challenge,
    pub(super) issuer: Fingerprint,
    /// Into the queue.
    pub(super) ticket: Ticket,
}

/// Distinct bytes: no store repeats a nonce, and every run is like every other.
struct Counting(AtomicU64);

impl Entropy for Counting {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            let count = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            for (byte, from) in chunk.iter_mut().zip(count.iter().rev()) {
                *byte = *from;
            }
        }
    }
}

impl World {
    /// The same world every time: made once, then copied.
    pub(super) fn prepared() -> Self {
        static PREPARED: OnceLock<World> = OnceLock::new();
        let prepared = PREPARED.get_or_init(|| {
            let mut world = Self::over(MemoryBackend::new(), 0);
            world.furnish();
            world
        });
        Self {
            challenge: prepared.challenge,
            ticket: prepared.ticket,
            ..Self::over(prepared.backend.after_crash(), 1 << 32)
        }
    }

    fn over(backend: MemoryBackend, entropy: u64) -> Self {
        let backend = Arc::new(backend);
        let entropy: Arc<dyn Entropy> = Arc::new(Counting(AtomicU64::new(entropy)));
        let key = StorageKey::from_bytes([1; 32]);
        let store = Store::new(backend.clone(), &key, entropy.clone());
        let binding = Binding {
            domain: domain(),
            exporter: [0xe0; 32],
        };
        let config = configuration(NOW);
        let keys = config.secrets.server_keys.verify(&domain(), NOW);
        #[expect(clippy::expect_used, reason = "a world without an engine is no world")]
        Self {
            backend,
            issuer: keys.expect("the server's keys verify").issuer(),
            engine: Engine::new(&store, config, entropy, NOW).expect("the engine starts"),
            binding,
            challenge: Challenge::new([0; 16], NOW, EASY, &SymmetricKey([0; 32])),
            ticket: Ticket([0; 64]),
        }
    }

    /// Claim the username, create the queue, and take a ticket into it.
    fn furnish(&mut self) {
        let fetched = self.ask::<auth::FetchChallenge>(&template::fetch_challenge(self));
        self.challenge = fetched.challenge;
        self.ask::<auth::ClaimUsername>(&template::claim_username(self));
        self.ask::<queue::CreateQueue>(&template::create_queue(self));
        let taken = self.ask::<queue::TakeTickets>(&template::take_tickets(self));
        #[expect(clippy::expect_used, reason = "the world is made of what succeeds")]
        let ticket = taken.tickets.first().expect("a ticket was asked for");
        self.ticket = *ticket;
    }

    #[expect(clippy::expect_used, reason = "the world is made of what succeeds")]
    fn ask<T: Operation>(&self, template: &template::Template) -> T::Reply {
        let payload = template.payload(&template.body, &self.binding);
        let answer = self.answer(&payload.expect("templates decode"));
        let reply = decode_reply::<T::Reply>(&answer).expect("the answer is a reply");
        reply.expect("the request is granted")
    }

    /// The payload that answers a payload.
    pub(super) fn answer(&self, payload: &[u8]) -> Vec<u8> {
        match self.engine.serve(payload, &self.binding, NOW) {
            Served::Reply { payload, .. } | Served::Listen { payload, .. } => payload,
        }
    }

    /// All rows as they are stored.
    pub(super) fn rows(&self) -> Vec<Row> {
        self.backend.rows()
    }
}

pub(crate) fn domain() -> Domain {
    #[expect(clippy::expect_used, reason = "a constant")]
    "a.example".parse().expect("a domain")
}

/// What a server that starts now is made from.
pub(crate) fn configuration(now: Timestamp) -> EngineConfig {
    let (root_key, key) = (
        PrivateKey::from_seed(&[1; 32]),
        PrivateKey::from_seed(&[2; 32]),
    );
    let lifetime = Lifetime::starting(now, Duration::from_secs(300 * 86_400));
    let root = RootCredential::new(domain(), &root_key, lifetime);
    let intermediate = IntermediateCredential::new(&root, &root_key, &key, lifetime);
    EngineConfig {
        domain: domain(),
        policies: Policies {
            auth: AuthPolicy {
                registration: EASY,
                username: EASY,
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
                parcels_max: 100,
            },
            queue: QueuePolicy {
                entries_max: 8,
                bytes_max: 1 << 16,
                key_packages_low: 1,
                ticket_share_percent: 50,
            },
        },
        secrets: Secrets {
            storage_key: SymmetricKey([1; 32]),
            server_keys: ServerKeys { root, intermediate },
            intermediate_key: key,
        },
    }
}
