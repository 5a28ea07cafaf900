//! What a group's state costs: CPU, bytes read and bytes written per operation, by the group's size.
//!
//! `cargo run --release -p delivery --example state -- [rocksdb] [undo=SECONDS] [MEMBERS..]`
//!
//! Over the memory backend, which shows the service's own share, or over RocksDB in a temporary
//! directory, every commit synced alone. Bytes are those of rows, as sealed, of all tables; "of
//! state" leaves out what waits for delivery; "system" is what the process handed to the system to
//! write. The CPU time is that of the whole process, the store's threads included, while the server
//! works: on average and at the least. Making the requests is not counted. Memory comes from the
//! allocator that `hearthd` uses. Nobody but the creator has committed, so its commits hold a secret
//! for each member: the longest there are.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::panic,
    dead_code,
    reason = "a measurement: it prints, it may fail, and it uses a part of the tests' client"
)]

#[path = "../src/tests/client.rs"]
mod client;
#[path = "measure/counted.rs"]
mod counted;
#[path = "measure/cpu.rs"]
mod cpu;

use std::sync::Arc;
use std::time::Duration;

use delivery::{Delivery, Keys, Outbox, Policy, SPACES};
use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::signed::Binding;
use protocol::delivery::{CommitGroup, FetchExternalState, FetchWelcomeState};
use protocol::id::{GroupId, LeafIndex};
use protocol::time::Timestamp;
use store::{Backend, MemoryBackend, StorageKey, Store};
use store_rocksdb::{RocksBackend, RocksOptions};

use crate::client::{Client, Counter, delivery_credential, delivery_key, now};
use crate::counted::{Bytes, Counted};
use crate::cpu::cpu;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const POLICY: Policy = Policy {
    members_max: 5_000,
    state_bytes_max: delivery::STATE_BYTES_MAX,
    past_state_seconds: 86_400,
    undo_seconds: 600,
    undo_quorum_percent: 50,
    inactive_months: 0,
    parcel_seconds: 86_400,
    parcels_max: 100_000,
};
const SENDS: usize = 50;
/// With those that fill the largest group they are fewer than can wait to be undone: a member that
/// has made so many has to wait itself.
const UPDATES: usize = 15;
const REMOVALS: usize = 5;
const FETCHES: usize = 10;
/// Added by one commit.
const ADDS: usize = 500;

/// What is measured.
struct Setting {
    rocksdb: bool,
    undo_seconds: u64,
    members: Vec<u16>,
}

struct Server {
    delivery: Delivery,
    backend: Arc<Counted>,
    binding: Binding,
    entropy: Counter,
    now: Timestamp,
}

/// What some operations took.
#[derive(Default)]
struct Cost {
    operations: u32,
    cpu: Duration,
    cpu_least: Option<Duration>,
    bytes: Bytes,
}

fn main() {
    let setting = Setting::from_arguments();
    println!(
        "members  operation         CPU ms    least   read KiB    written   of state     system   commit"
    );
    for members in &setting.members {
        let directory = tempfile::tempdir().unwrap();
        let backend: Arc<dyn Backend> = if setting.rocksdb {
            let options = RocksOptions::default();
            Arc::new(RocksBackend::open(directory.path(), SPACES, options).unwrap())
        } else {
            Arc::new(MemoryBackend::new())
        };
        Server::new(backend, setting.undo_seconds).measure(*members);
    }
}

impl Setting {
    fn from_arguments() -> Self {
        let mut setting = Self {
            rocksdb: false,
            undo_seconds: POLICY.undo_seconds,
            members: Vec::new(),
        };
        for argument in std::env::args().skip(1) {
            if argument == "rocksdb" {
                setting.rocksdb = true;
            } else if let Some(seconds) = argument.strip_prefix("undo=") {
                setting.undo_seconds = seconds.parse().unwrap();
            } else {
                setting.members.push(argument.parse().unwrap());
            }
        }
        if setting.members.is_empty() {
            setting.members = vec![10, 100, 1_000, 5_000];
        }
        setting
    }
}

impl Server {
    fn new(backend: Arc<dyn Backend>, undo_seconds: u64) -> Self {
        let backend = Arc::new(Counted::new(backend));
        let key = StorageKey::from_bytes([1; 32]);
        let store = Store::new(Arc::clone(&backend) as _, &key, Arc::new(Counter));
        let domain: protocol::id::Domain = "here.example".parse().unwrap();
        let keys = Keys {
            link: SymmetricKey([2; 32]),
            signing: delivery_key(),
            credential: delivery_credential(),
        };
        let policy = Policy {
            undo_seconds,
            ..POLICY
        };
        Self {
            delivery: Delivery::new(store, domain.clone(), policy, keys),
            backend,
            binding: Binding {
                domain,
                exporter: [3; 32],
            },
            entropy: Counter,
            now: now(),
        }
    }

    fn measure(&self, members: u16) {
        let mut a = self.group(members);
        let (mut sends, mut updates, mut removals) = Default::default();
        for _ in 0..SENDS {
            self.send(&mut a, &mut sends);
        }
        sends.report(members, "send", 0);
        let mut bytes = 0;
        for _ in 0..UPDATES {
            let request = a.update();
            bytes = request.commit.as_slice().len();
            self.commit(&mut a, request, &mut updates);
        }
        updates.report(members, "update", bytes);
        self.fetch_welcome(&a).report(members, "fetch (joiner)", 0);
        self.fetch_external(&a)
            .report(members, "fetch (external)", 0);
        for leaf in 1..=REMOVALS {
            let request = a.remove(LeafIndex(u32::try_from(leaf).unwrap()));
            bytes = request.commit.as_slice().len();
            self.commit(&mut a, request, &mut removals);
        }
        removals.report(members, "removal", bytes);
    }

    /// A group that its creator has filled.
    fn group(&self, members: u16) -> Client {
        let mut a = Client::new(0, "here.example");
        let request = a.create(GroupId([9; 16]));
        let request = a.sign(request, &self.binding);
        self.delivery
            .create_group(request, &self.binding, self.now, &self.entropy)
            .unwrap();
        let others: Vec<_> = (1..members)
            .map(|n| Client::new(n, "here.example"))
            .collect();
        for some in others.chunks(ADDS) {
            let request = a.add(&some.iter().collect::<Vec<_>>());
            self.commit(&mut a, request, &mut Cost::default());
        }
        a
    }

    fn send(&self, by: &mut Client, cost: &mut Cost) {
        let message = by.message(b"see you at nine, by the old oak");
        let message = by.sign(message, &self.binding);
        let outbox = self.count(cost, || {
            let to = &self.delivery;
            to.send_message(message, &self.binding, self.now, &self.entropy)
                .unwrap()
                .1
        });
        self.drain(outbox);
    }

    fn commit(&self, by: &mut Client, request: CommitGroup, cost: &mut Cost) {
        let request = by.sign(request, &self.binding);
        let outbox = self.count(cost, || {
            let to = &self.delivery;
            to.commit_group(request, &self.binding, self.now, &self.entropy)
                .unwrap()
                .1
        });
        by.merge();
        self.drain(outbox);
    }

    /// All windows of the state, as one operation.
    fn fetch_welcome(&self, member: &Client) -> Cost {
        let mut cost = Cost::default();
        for _ in 0..FETCHES {
            let requests = |from| FetchWelcomeState {
                from,
                ..member.welcome_request(member)
            };
            self.count(&mut cost, || {
                let mut from = 0;
                loop {
                    let fetch = self.delivery.fetch_welcome_state(requests(from), self.now);
                    let window = fetch.unwrap().window;
                    from += u32::try_from(window.bytes.as_slice().len()).unwrap();
                    if from == window.total {
                        break;
                    }
                }
            });
        }
        cost
    }

    fn fetch_external(&self, member: &Client) -> Cost {
        let mut cost = Cost::default();
        for _ in 0..FETCHES {
            let request = FetchExternalState {
                group: member.id(),
                state_key: member.state_key(),
                from: 0,
            };
            self.count(&mut cost, || {
                self.delivery.fetch_external_state(request).unwrap()
            });
        }
        cost
    }

    fn count<T>(&self, cost: &mut Cost, work: impl FnOnce() -> T) -> T {
        let before = self.backend.bytes();
        let (spent, result) = cpu(work);
        let after = self.backend.bytes();
        cost.operations += 1;
        cost.cpu += spent;
        cost.cpu_least = Some(cost.cpu_least.map_or(spent, |least| least.min(spent)));
        cost.bytes.read += after.read - before.read;
        cost.bytes.written += after.written - before.written;
        cost.bytes.state += after.state - before.state;
        cost.bytes.system += after.system - before.system;
        result
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

impl Cost {
    fn report(&self, members: u16, operation: &str, commit: usize) {
        let kib = |bytes: u64| bytes as f64 / 1024.0 / f64::from(self.operations);
        let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
        println!(
            "{members:7}  {operation:16} {:7.3}  {:7.3} {:10.1} {:10.1} {:10.1} {:10.1} {:8.1}",
            ms(self.cpu) / f64::from(self.operations),
            ms(self.cpu_least.unwrap_or_default()),
            kib(self.bytes.read),
            kib(self.bytes.written),
            kib(self.bytes.state),
            kib(self.bytes.system),
            commit as f64 / 1024.0,
        );
    }
}
