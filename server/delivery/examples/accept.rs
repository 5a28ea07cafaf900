//! What the delivery service costs: CPU per create, commit and send, by the size of the group.
//!
//! `cargo run --release -p delivery --example accept`
//!
//! Once over RocksDB in a temporary directory, every commit synced alone (a server under load syncs
//! many with one write), and once over the memory backend, which shows the service's own share. The
//! CPU time is that of the whole process, the store's threads included, while the operation runs.
//! Making the requests is not counted. "send" includes putting the parcels into the outbox,
//! "settle" fetching them and recording their delivery.

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
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use delivery::{Delivery, Keys, Outbox, Policy, SPACES};
use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::signed::{Binding, Signed};
use protocol::id::GroupId;
use protocol::time::Timestamp;
use store::{Backend, MemoryBackend, StorageKey, Store};
use store_rocksdb::{RocksBackend, RocksOptions};

use crate::client::{Client, Counter, delivery_credential, delivery_key, now};

const POLICY: Policy = Policy {
    members_max: 1_000,
    state_bytes_max: delivery::STATE_BYTES_MAX,
    past_state_seconds: 86_400,
    undo_seconds: 600,
    undo_quorum_percent: 50,
    inactive_months: 6,
    parcel_seconds: 86_400,
    parcels_max: 100_000,
};
const SENDS: usize = 2_000;
const SENDS_TOGETHER: usize = 100;
const COMMITS: usize = 20;

struct Server {
    delivery: Delivery,
    binding: Binding,
    entropy: Counter,
    now: Timestamp,
}

fn main() {
    println!("           members   create ms   add-all ms   update ms   send ms   settle ms");
    for members in [2, 10, 100, 1_000] {
        let directory = tempfile::tempdir().unwrap();
        let options = RocksOptions::default();
        let rocks = RocksBackend::open(directory.path(), SPACES, options).unwrap();
        Server::new(Arc::new(rocks)).measure("RocksDB", members);
        Server::new(Arc::new(MemoryBackend::new())).measure("memory", members);
    }
    for senders in [1, 8, 64] {
        let directory = tempfile::tempdir().unwrap();
        let rocks = RocksBackend::open(directory.path(), SPACES, RocksOptions::default()).unwrap();
        Server::new(Arc::new(rocks)).measure_together(senders);
    }
}

impl Server {
    fn new(backend: Arc<dyn Backend>) -> Self {
        let key = StorageKey::from_bytes([1; 32]);
        let store = Store::new(backend, &key, Arc::new(Counter));
        let domain: protocol::id::Domain = "here.example".parse().unwrap();
        let keys = Keys {
            link: SymmetricKey([2; 32]),
            signing: delivery_key(),
            credential: delivery_credential(),
        };
        Self {
            delivery: Delivery::new(store, domain.clone(), POLICY, keys),
            binding: Binding {
                domain,
                exporter: [3; 32],
            },
            entropy: Counter,
            now: now(),
        }
    }

    fn measure(&self, backend: &str, members: u16) {
        let mut a = Client::new(0, "here.example");
        let request = a.create(GroupId([9; 16]));
        let request = a.sign(request, &self.binding);
        let create = cpu(|| {
            self.delivery
                .create_group(request, &self.binding, self.now, &self.entropy)
                .unwrap();
        });
        let others: Vec<_> = (1..members)
            .map(|n| Client::new(n, "here.example"))
            .collect();
        let request = a.add(&others.iter().collect::<Vec<_>>());
        let request = a.sign(request, &self.binding);
        let mut outbox = None;
        let add = cpu(|| {
            let commit =
                self.delivery
                    .commit_group(request, &self.binding, self.now, &self.entropy);
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
                to.commit_group(request, &self.binding, self.now, &self.entropy)
                    .unwrap();
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
                    to.send_message(request, &self.binding, self.now, &self.entropy)
                        .unwrap();
                }
            });
            settle += cpu(|| self.drain(outbox));
        }
        println!(
            "{backend:10} {members:7} {:11.3} {:12.3} {:11.3} {:9.4} {:11.4}",
            ms(create, 1),
            ms(add, 1),
            ms(update, COMMITS),
            ms(send, SENDS),
            ms(settle, SENDS),
        );
    }

    /// Many groups of two at once, each sending one message after the other.
    fn measure_together(&self, groups: u8) {
        let mut requests = Vec::new();
        for group in 0..groups {
            let mut a = Client::new(0, "here.example");
            let request = a.create(GroupId([group; 16]));
            let request = a.sign(request, &self.binding);
            let to = &self.delivery;
            to.create_group(request, &self.binding, self.now, &self.entropy)
                .unwrap();
            let request = a.add(&[&Client::new(1, "here.example")]);
            let request = a.sign(request, &self.binding);
            to.commit_group(request, &self.binding, self.now, &self.entropy)
                .unwrap();
            a.merge();
            let sign = |_| {
                let message = a.message(b"see you at nine, by the old oak");
                a.sign(message, &self.binding)
            };
            requests.push((0..SENDS_TOGETHER).map(sign).collect::<Vec<_>>());
        }
        let spent = cpu_of_all(|spent| {
            std::thread::scope(|scope| {
                for requests in requests {
                    scope.spawn(|| {
                        for request in requests {
                            let to = &self.delivery;
                            let (binding, entropy) = (&self.binding, &self.entropy);
                            to.send_message(request, binding, self.now, entropy)
                                .unwrap();
                        }
                        spent.fetch_add(thread_cpu(), Ordering::Relaxed);
                    });
                }
            });
        });
        let sends = usize::from(groups) * SENDS_TOGETHER;
        println!(
            "{groups} groups of 2 at once: {:.4} ms a send",
            ms(spent, sends)
        );
    }

    fn drain(&self, outbox: Outbox) {
        loop {
            let parcels = self.delivery.parcels(outbox, None, 100).unwrap().parcels;
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

/// The same where `work` starts threads, which tell what they spent before they end.
fn cpu_of_all(work: impl FnOnce(&AtomicU64)) -> Duration {
    let ended = AtomicU64::new(0);
    let lasting = cpu(|| work(&ended));
    lasting + Duration::from_nanos(ended.load(Ordering::Relaxed))
}

fn thread_cpu() -> u64 {
    std::thread::yield_now();
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split_whitespace().next().unwrap().parse().unwrap()
}

/// Nanoseconds on a CPU of all threads, from `/proc/self/task/*/schedstat`.
fn process_cpu() -> Duration {
    // The kernel brings the figure up to date when a thread gives way.
    std::thread::yield_now();
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let spent = tasks.filter_map(|task| {
        let stat = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        stat.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(spent.sum())
}
