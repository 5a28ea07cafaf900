//! Linearizable per partition: threads count together, and every acknowledged step is there once.

use std::collections::BTreeSet;
use std::thread;

use crate::conformance::{ALPHA, ENTRIES, Fixture, count, entry, increment, op, open};
use crate::error::StoreError;
use crate::record::Raw;
use crate::space::Partition;
use crate::store::Store;

const THREADS: u64 = 16;
const STEPS: u64 = 25;
const PARTITIONS: u64 = 3;

pub(super) fn run(make: &dyn Fn() -> Box<dyn Fixture>) {
    let fixture = make();
    let store = open(&*fixture);
    let partitions: Vec<_> = (0..PARTITIONS)
        .map(|n| store.partition(ALPHA, &n.to_be_bytes()))
        .collect();
    let counts = thread::scope(|scope| {
        let worker = |worker| {
            let (store, partitions) = (&store, &partitions);
            scope.spawn(move || count_up(store, partitions, worker))
        };
        let workers: Vec<_> = (0..THREADS).map(worker).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap())
            .collect::<Vec<_>>()
    });
    let distinct: BTreeSet<_> = counts.iter().copied().collect();
    assert_eq!(distinct.len(), counts.len(), "two steps saw the same count");
    drop(store);
    let fixture = fixture.reopen();
    let store = open(&*fixture);
    let total: u64 = partitions
        .iter()
        .map(|partition| count(&store, partition).unwrap())
        .sum();
    assert_eq!(total, THREADS * STEPS);
    rows_of_a_commit_appear_together(&store);
}

/// The partition and count after each step. Every step is submitted twice.
fn count_up(store: &Store, partitions: &[Partition], worker: u64) -> Vec<(usize, u64)> {
    let step = |step: u64| {
        let number = worker * STEPS + step;
        let index = usize::try_from(number % PARTITIONS).unwrap();
        let partition = &partitions[index];
        let counted = increment(store, partition, op(number)).unwrap();
        let seen = count(store, partition).unwrap();
        assert!(seen >= counted, "a view missed an acknowledged commit");
        (index, counted)
    };
    (0..STEPS).map(step).collect()
}

fn rows_of_a_commit_appear_together(store: &Store) {
    let partition = &store.partition(ALPHA, b"together");
    let write = |n: u64| -> Result<(), StoreError> {
        store.transact(partition, op(n), |tx| {
            let previous = (tx.get(&ENTRIES, &1)?, tx.get(&ENTRIES, &2)?);
            assert_eq!(previous.0, previous.1, "a body saw half a commit");
            tx.put(&ENTRIES, &1, &entry(n))?;
            tx.put(&ENTRIES, &2, &entry(n))
        })
    };
    let look = || -> Result<(Option<Raw>, Option<Raw>), StoreError> {
        store.view(partition, |tx| {
            Ok((tx.get(&ENTRIES, &1)?, tx.get(&ENTRIES, &2)?))
        })
    };
    thread::scope(|scope| {
        for worker in 0..4 {
            scope.spawn(move || (0..50).for_each(|n| write(worker * 50 + n).unwrap()));
        }
        for _ in 0..2 {
            scope.spawn(move || {
                for _ in 0..200 {
                    let (one, two) = look().unwrap();
                    assert_eq!(one, two, "a view saw half a commit");
                }
            });
        }
    });
}
