//! A sweep over groups whose rows are damaged.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use protocol::crypto::credential::{IntermediateCredential, RootCredential, ServerKeys};
use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::signature::PrivateKey;
use protocol::id::Domain;
use protocol::time::{Lifetime, Timestamp};
use store::{Entropy, MemoryBackend, OpId, Raw, Space, StorageKey, Store, StoreError, Table};

use super::GROUPS_MAX;
use crate::{
    AuthPolicy, DeliveryPolicy, Difficulty, Engine, EngineConfig, Policies, QueuePolicy, Secrets,
};

const NOW: Timestamp = Timestamp(1_800_000_000);

/// Two of the delivery service's tables, with values that are none of its records.
const GROUPS: Table<(), Raw> = Table::new(SPACE, 1, "delivery/groups");
const SUPERSEDED: Table<(), Raw> = Table::new(SPACE, 6, "delivery/superseded");
const SPACE: Space = Space::new(3, "groups");

struct Counter(AtomicU8);

impl Entropy for Counter {
    fn fill(&self, out: &mut [u8]) {
        out.fill(self.0.fetch_add(1, Ordering::Relaxed));
    }
}

fn engine() -> (Store, Engine) {
    let entropy = Arc::new(Counter(AtomicU8::new(0)));
    let backend = Arc::new(MemoryBackend::new());
    let store = Store::new(backend, &StorageKey::from_bytes([1; 32]), entropy.clone());
    let engine = Engine::new(&store, configuration(), entropy, NOW).unwrap();
    (store, engine)
}

fn configuration() -> EngineConfig {
    let domain: Domain = "here.example".parse().unwrap();
    let [root_key, key] = [1, 2].map(|seed| PrivateKey::from_seed(&[seed; 32]));
    let lifetime = Lifetime::starting(NOW, Duration::from_secs(300 * 86_400));
    let root = RootCredential::new(domain.clone(), &root_key, lifetime);
    let intermediate = IntermediateCredential::new(&root, &root_key, &key, lifetime);
    let easy = Difficulty {
        memory_kib: 8,
        target_bits: 1,
        stamp_bits: 1,
    };
    EngineConfig {
        domain,
        policies: Policies {
            auth: AuthPolicy {
                registration: easy,
                username: easy,
                challenge_seconds: 600,
                registration_open: true,
            },
            delivery: DeliveryPolicy {
                members_max: 10,
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

/// A group of which nothing can be read.
fn damage(store: &Store, group: u8) {
    let partition = store.partition(SPACE, &[group; 16]);
    let written = store.transact(&partition, OpId([group; 16]), |tx| {
        tx.put(&GROUPS, &(), &Raw(vec![0xff]))?;
        tx.put(&SUPERSEDED, &(), &Raw(vec![0xff]))?;
        Ok::<_, StoreError>(())
    });
    written.unwrap();
}

/// [DS-STATE-5]
#[test]
fn a_group_that_fails_keeps_no_other_waiting() {
    let (store, engine) = engine();
    let groups = u8::try_from(GROUPS_MAX + 4).unwrap();
    (0..groups).for_each(|group| damage(&store, group));
    let first = engine.sweep(None, NOW).unwrap();
    assert_eq!(first.failed, 16, "all that one call looks at");
    let second = engine.sweep(first.last, NOW).unwrap();
    assert_eq!(second.failed, 4);
    let third = engine.sweep(second.last, NOW).unwrap();
    assert!(third.last.is_none() && third.failed == 0);
}
