//! A process killed at any moment loses nothing it has acknowledged.
//!
//! The test starts itself as a child that counts in several partitions and prints each count once
//! it is acknowledged, kills it, and looks for what was printed.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use store::conformance::{ALPHA, count, increment, op, store_over};
use store::{Partition, Store};
use store_rocksdb::{RocksBackend, RocksOptions};

/// Names the directory of the database, and makes this process the child.
const DIRECTORY: &str = "HEARTH_KILL_TEST_DIRECTORY";

const PARTITIONS: u8 = 4;

fn open(path: &Path) -> Store {
    // A small buffer, so that files are written and rewritten all the time.
    let options = RocksOptions {
        write_buffer_bytes: 1 << 18,
        ..RocksOptions::default()
    };
    store_over(Arc::new(
        RocksBackend::open(path, &[ALPHA], options).unwrap(),
    ))
}

fn partition(store: &Store, n: u8) -> Partition {
    store.partition(ALPHA, &[n])
}

/// Does nothing unless it runs in the child, where it never ends by itself.
#[test]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let store = open(Path::new(&directory));
    thread::scope(|scope| {
        for worker in 0..8_u8 {
            let store = &store;
            scope.spawn(move || {
                let name = worker % PARTITIONS;
                let partition = partition(store, name);
                let base = count(store, &partition).unwrap() << 8;
                for step in 0_u64.. {
                    let op = op((base + step) << 8 | u64::from(worker));
                    let counted = increment(store, &partition, op).unwrap();
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "\nacknowledged {name} {counted}").unwrap();
                    out.flush().unwrap();
                }
            });
        }
    });
}

#[test]
fn what_was_acknowledged_survives_kill() {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged: BTreeMap<u8, u64> = (0..PARTITIONS).map(|name| (name, 0)).collect();
    for lines in [1, 40, 300, 7, 1000, 2, 150, 600] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(DIRECTORY, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut seen = 0;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let Ok(line) = line else { break };
            let Some(rest) = line.strip_prefix("acknowledged ") else {
                continue;
            };
            // The last line may be cut.
            let Some((name, counted)) = rest.split_once(' ') else {
                continue;
            };
            let (name, counted): (u8, u64) = (name.parse().unwrap(), counted.parse().unwrap());
            let highest = acknowledged.entry(name).or_default();
            *highest = counted.max(*highest);
            seen += 1;
            if seen == lines {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(seen >= lines, "the child ended by itself");
        let store = open(directory.path());
        for (name, highest) in &mut acknowledged {
            let counted = count(&store, &partition(&store, *name)).unwrap();
            assert!(
                counted >= *highest,
                "{highest} was acknowledged, {counted} is there"
            );
            // At most the unacknowledged commit of each worker of the partition.
            assert!(
                counted <= *highest + 2,
                "{counted} is there, {highest} was acknowledged"
            );
            *highest = counted;
        }
    }
}
