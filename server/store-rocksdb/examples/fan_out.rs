//! What a commit costs: CPU time per partition of a fan-out, and commits a second.
//!
//! `cargo run --release -p store-rocksdb --example fan_out -- [directory [fan-out|mixes|singles]]`
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a measurement for people; nothing runs it"
)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use store::{Entropy, OpId, Partition, Raw, Space, StorageKey, Store, StoreError, Table, Tx};
use store_rocksdb::{RocksBackend, RocksOptions};

const SEALED: Space = Space::new(1, "sealed");
const PLAIN: Space = Space::new(2, "plain");
const PARTITIONS: u64 = 1000;
const ROUNDS: u64 = 200;

struct Rows {
    header: Table<(), Raw>,
    links: Table<u64, Raw>,
    entries: Table<u64, Raw>,
    bytes: [usize; 3],
}

const ROWS_SEALED: Rows = Rows {
    header: Table::new(SEALED, 1, "sealed/header"),
    links: Table::new(SEALED, 2, "sealed/links"),
    entries: Table::new(SEALED, 3, "sealed/entries"),
    bytes: [150, 40, 600],
};

const ROWS_PLAIN: Rows = Rows {
    header: Table::new(PLAIN, 1, "plain/header").client_sealed(),
    links: Table::new(PLAIN, 2, "plain/links").client_sealed(),
    entries: Table::new(PLAIN, 3, "plain/entries").client_sealed(),
    bytes: [150, 40, 600],
};

/// The rows of a queue: a small tail and ticket sealed here, items sealed by clients.
const ROWS_QUEUE: Rows = Rows {
    header: Table::new(SEALED, 1, "sealed/header"),
    links: Table::new(SEALED, 2, "sealed/links"),
    entries: Table::new(SEALED, 4, "sealed/items").client_sealed(),
    bytes: [100, 30, 400],
};

/// Unique, not random: what entropy costs is the node's affair.
struct Counter(AtomicU64);

impl Entropy for Counter {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            let count = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            chunk
                .iter_mut()
                .zip(count)
                .for_each(|(out, byte)| *out = byte);
        }
    }
}

fn main() {
    let directory = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "fan_out.db".to_owned());
    let spaces = [SEALED, PLAIN];
    let backend =
        RocksBackend::open(Path::new(&directory), &spaces, RocksOptions::default()).unwrap();
    let store = Store::new(
        Arc::new(backend),
        &StorageKey::from_bytes([1; 32]),
        Arc::new(Counter(AtomicU64::new(0))),
    );
    let part = std::env::args().nth(2);
    let runs = |name| part.as_ref().is_none_or(|part| part == name);
    if runs("fan-out") {
        fan_out(&store, SEALED, &ROWS_QUEUE, "fan-out, rows of a queue");
    }
    if runs("mixes") {
        fan_out(&store, PLAIN, &ROWS_PLAIN, "fan-out, client-sealed rows");
        fan_out(&store, SEALED, &ROWS_SEALED, "fan-out, sealed rows");
    }
    if runs("singles") {
        singles(&store, 1);
        singles(&store, 64);
    }
    println!("{:?}", store.statistics());
}

fn deliver(tx: &mut Tx<'_>, rows: &Rows, seq: u64) -> Result<(), StoreError> {
    tx.prefetch(&[&rows.header.at(&()), &rows.links.at(&7), &rows.links.at(&8)])?;
    let header = tx.get(&rows.header, &())?;
    let link = tx.get(&rows.links, &7)?;
    let missing = tx.get(&rows.links, &8)?;
    assert!(missing.is_none() && header.is_some() == link.is_some());
    let [header, link, entry] = rows.bytes;
    tx.put(&rows.header, &(), &Raw(vec![1; header]))?;
    tx.put(&rows.links, &7, &Raw(vec![2; link]))?;
    tx.put(&rows.entries, &seq, &Raw(vec![3; entry]))
}

fn fan_out(store: &Store, space: Space, rows: &Rows, title: &str) {
    let partitions: Vec<Partition> = (0..PARTITIONS)
        .map(|n| store.partition(space, &n.to_be_bytes()))
        .collect();
    let (start, cpu) = (Instant::now(), cpu_time());
    for round in 0..ROUNDS {
        let seq = store.statistics().commits;
        let items: Vec<_> = partitions
            .iter()
            .map(|partition| (*partition, op(seq), round))
            .collect();
        let results = store.transact_each(&items, |tx, _| deliver(tx, rows, seq));
        assert!(results.iter().all(Result::is_ok));
    }
    report(
        title,
        PARTITIONS * ROUNDS,
        start.elapsed(),
        cpu_time() - cpu,
    );
}

fn singles(store: &Store, threads: u64) {
    let each = if threads == 1 { 2000 } else { 400 };
    let base = store.statistics().commits << 32;
    let (start, cpu) = (Instant::now(), cpu_time());
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                let partition = store.partition(SEALED, &thread.to_be_bytes());
                for n in 0..each {
                    let seq = base + thread * each + n;
                    store
                        .transact(&partition, op(seq), |tx| deliver(tx, &ROWS_QUEUE, seq))
                        .unwrap();
                }
            });
        }
    });
    let title = format!("single transactions, {threads} threads");
    report(&title, threads * each, start.elapsed(), cpu_time() - cpu);
    hot(store, threads, each);
}

fn hot(store: &Store, threads: u64, each: u64) {
    let partition = &store.partition(SEALED, b"hot");
    let base = store.statistics().commits << 32;
    let (start, cpu) = (Instant::now(), cpu_time());
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                for n in 0..each {
                    let seq = base + thread * each + n;
                    store
                        .transact(partition, op(seq), |tx| deliver(tx, &ROWS_QUEUE, seq))
                        .unwrap();
                }
            });
        }
    });
    let title = format!("one hot partition, {threads} threads");
    report(&title, threads * each, start.elapsed(), cpu_time() - cpu);
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn report(title: &str, count: u64, wall: Duration, cpu: Duration) {
    let cpu = cpu.as_micros() as f64 / count as f64;
    let rate = count as f64 / wall.as_secs_f64();
    println!("{title}: {cpu:.1} us CPU each, {rate:.0} a second");
}

fn op(n: u64) -> OpId {
    let mut id = [0; 16];
    id.iter_mut()
        .zip(n.to_be_bytes())
        .for_each(|(out, byte)| *out = byte);
    OpId(id)
}

/// User and system time of this process; Linux counts it in hundredths of a second.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit_once(") ").unwrap().1;
    let ticks: u64 = fields
        .split(' ')
        .skip(11)
        .take(2)
        .map(|n| n.parse::<u64>().unwrap())
        .sum();
    Duration::from_millis(ticks * 10)
}
