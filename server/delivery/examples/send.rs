//! What the delivery service costs: CPU per create, commit and send, by the size of the group.
//!
//! `cargo run --release -p delivery --example send`
//!
//! The store is RocksDB in a temporary directory, every commit synced; the CPU time is that of the
//! whole process (the committer's thread included) while the operation runs. Making the requests
//! is not counted. "send" includes putting the parcels into the outbox, "settle" fetching them and
//! recording their delivery.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::panic,
    dead_code,
    reason = "a measurement: it prints, it may fail, and it uses a part of the tests' client"
)]

#[path = "../src/tests/client.rs"]
mod client;

use std::sync::Arc;
use std::time::Duration;

use delivery::{Delivery, Keys, Outbox, Policy, SPACES};
use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::signed::{Binding, Signed};
use protocol::id::GroupId;
use protocol::time::Timestamp;
use store::{StorageKey, Store};
use store_rocksdb::{RocksBackend, RocksOptions};

use crate::client::{Client, Counter, now};

const POLICY: Policy = Policy {
    members_max: 1_000,
    state_bytes_max: delivery::STATE_BYTES_MAX,
    past_state_seconds: 86_400,
    parcel_seconds: 86_400,
    parcels_max: 100_000,
};
const SENDS: usize = 400;
const COMMITS: usize = 20;

struct Server {
    delivery: Delivery,
    binding: Binding,
    entropy: Counter,
    now: Timestamp,
}

fn main() {
    println!("members   create ms   add-all ms   update ms   send ms   settle ms");
    for members in [2, 10, 100, 1_000] {
        let directory = tempfile::tempdir().unwrap();
        let options = RocksOptions::default();
        let backend = RocksBackend::open(directory.path(), SPACES, options).unwrap();
        let key = StorageKey::from_bytes([1; 32]);
        let store = Store::new(Arc::new(backend), &key, Arc::new(Counter::default()));
        let domain: protocol::id::Domain = "here.example".parse().unwrap();
        let keys = Keys { link: SymmetricKey([2; 32]) };
        let server = Server {
            delivery: Delivery::new(store, domain.clone(), POLICY, keys),
            binding: Binding { domain, exporter: [3; 32] },
            entropy: Counter::default(),
            now: now(),
        };
        server.measure(members);
    }
}

impl Server {
    fn measure(&self, members: u16) {
        let mut a = Client::new(0, "here.example");
        let request = a.create(GroupId([9; 16]));
        let request = a.sign(request, &self.binding);
        let create = cpu(|| {
            self.delivery.create_group(request, &self.binding, self.now, &self.entropy).unwrap();
        });
        let others: Vec<_> = (1..members).map(|n| Client::new(n, "here.example")).collect();
        let request = a.add(&others.iter().collect::<Vec<_>>());
        let request = a.sign(request, &self.binding);
        let mut outbox = None;
        let add = cpu(|| {
            let commit = self.delivery.commit_group(request, &self.binding, self.now, &self.entropy);
            outbox = Some(commit.unwrap().1);
        });
        let outbox = outbox.unwrap();
        a.merge();
        self.drain(outbox);
        let mut update = Duration::ZERO;
        for _ in 0..COMMITS {
            let request = a.update();
            let request = a.sign(request, &self.binding);
            update += cpu(|| {
                let to = &self.delivery;
                to.commit_group(request, &self.binding, self.now, &self.entropy).unwrap();
            });
            a.merge();
            self.drain(outbox);
        }
        let (mut send, mut settle) = (Duration::ZERO, Duration::ZERO);
        // A few at a time, as a courier would find them.
        for _ in 0..SENDS / 10 {
            let requests: Vec<Signed<_>> = (0..10)
                .map(|_| {
                    let request = a.message(b"see you at nine, by the old oak");
                    a.sign(request, &self.binding)
                })
                .collect();
            send += cpu(|| {
                for request in requests {
                    let to = &self.delivery;
                    to.send_message(request, &self.binding, self.now, &self.entropy).unwrap();
                }
            });
            settle += cpu(|| self.drain(outbox));
        }
        println!(
            "{members:7} {:11.3} {:12.3} {:11.3} {:9.4} {:11.4}",
            ms(create, 1),
            ms(add, 1),
            ms(update, COMMITS),
            ms(send, SENDS),
            ms(settle, SENDS),
        );
    }

    fn drain(&self, outbox: Outbox) {
        loop {
            let parcels = self.delivery.parcels(outbox, 100).unwrap();
            if parcels.is_empty() {
                break;
            }
            let done: Vec<_> = parcels.iter().map(|parcel| (parcel.key, vec![])).collect();
            self.delivery.settle(outbox, &done, &self.entropy).unwrap();
        }
    }
}

fn ms(total: Duration, operations: usize) -> f64 {
    let operations = u32::try_from(operations).unwrap();
    (total / operations).as_secs_f64() * 1_000.0
}

/// The process's CPU time while `work` runs.
fn cpu(work: impl FnOnce()) -> Duration {
    let before = process_cpu();
    work();
    process_cpu() - before
}

/// Nanoseconds on a CPU of all threads, from `/proc/self/task/*/schedstat`.
fn process_cpu() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let spent = tasks.filter_map(|task| {
        let stat = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        stat.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(spent.sum())
}
