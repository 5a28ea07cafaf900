//! The memory backend keeps the contract, and the store settles what goes wrong below it.

use std::sync::Arc;

use crate::backend::Backend;
use crate::conformance::{self, ALPHA, Fixture, count, increment, op, store_over};
use crate::error::StoreError;
use crate::memory::{Fault, MemoryBackend};
use crate::space::{OpId, Partition};
use crate::store::Store;

struct Memory(Arc<MemoryBackend>);

impl Fixture for Memory {
    fn backend(&self) -> Arc<dyn Backend> {
        Arc::<MemoryBackend>::clone(&self.0)
    }

    fn reopen(self: Box<Self>) -> Box<dyn Fixture> {
        self
    }

    fn crash(self: Box<Self>) -> Box<dyn Fixture> {
        Box::new(Self(Arc::new(self.0.after_crash())))
    }

    fn stored_bytes(&self) -> Vec<u8> {
        let row = |row: crate::Row| [row.key.as_ref(), &row.value].concat();
        self.0.rows().into_iter().flat_map(row).collect()
    }
}

#[test]
fn the_memory_backend_conforms() {
    conformance::run(&|| Box::new(Memory(Arc::new(MemoryBackend::new()))));
}

fn faulty(faults: &[Fault]) -> (Arc<MemoryBackend>, Store, Partition) {
    let backend = Arc::new(MemoryBackend::new());
    faults.iter().for_each(|fault| backend.inject(*fault));
    let store = store_over(Arc::<MemoryBackend>::clone(&backend));
    let partition = store.partition(ALPHA, b"faulty");
    (backend, store, partition)
}

#[test]
fn a_lost_answer_does_not_count_twice() {
    for fault in [
        Fault::AmbiguousApplied,
        Fault::AmbiguousLost,
        Fault::Conflict,
    ] {
        let (_, store, partition) = faulty(&[fault]);
        assert_eq!(increment(&store, &partition, op(1)), Ok(1));
        assert_eq!(count(&store, &partition), Ok(1));
    }
}

#[test]
fn a_commit_that_appears_later_does_not_count_twice() {
    let (backend, store, partition) = faulty(&[Fault::AmbiguousDelayed]);
    assert_eq!(increment(&store, &partition, op(1)), Ok(1));
    backend.deliver_delayed();
    assert_eq!(increment(&store, &partition, op(2)), Ok(2));
    backend.deliver_delayed();
    assert_eq!(count(&store, &partition), Ok(2));
}

#[test]
fn a_doubt_that_lasts_is_told_and_the_same_operation_settles_it() {
    let (_, store, partition) = faulty(&[Fault::AmbiguousApplied; 9]);
    assert_eq!(
        increment(&store, &partition, op(1)),
        Err(StoreError::Ambiguous)
    );
    assert!(increment(&store, &partition, op(1)).is_ok());
    assert_eq!(count(&store, &partition), Ok(1));
    let (_, store, partition) = faulty(&[Fault::AmbiguousLost; 9]);
    assert_eq!(
        increment(&store, &partition, op(1)),
        Err(StoreError::Ambiguous)
    );
    assert_eq!(increment(&store, &partition, op(1)), Ok(1));
}

#[test]
fn lasting_conflicts_are_told_at_last() {
    let (_, store, partition) = faulty(&[Fault::Conflict; 1000]);
    assert_eq!(
        increment(&store, &partition, op(1)),
        Err(StoreError::Conflict)
    );
    let items = [(partition, op(2), ())];
    let results = store.transact_each(&items, |tx, ()| tx.delete(&conformance::COUNTERS, &()));
    assert_eq!(results, [Err(StoreError::Conflict)]);
}

#[test]
fn a_store_that_cannot_write_applies_nothing() {
    let (backend, store, partition) = faulty(&[Fault::Unavailable]);
    assert_eq!(
        increment(&store, &partition, op(1)),
        Err(StoreError::Unavailable)
    );
    backend.refuse_writes(true);
    assert_eq!(
        increment(&store, &partition, op(1)),
        Err(StoreError::Unavailable)
    );
    assert_eq!(count(&store, &partition), Ok(0));
    backend.refuse_writes(false);
    assert_eq!(increment(&store, &partition, op(1)), Ok(1));
}

#[test]
fn faults_in_a_fan_out_are_settled_one_by_one() {
    use Fault::{AmbiguousApplied, AmbiguousDelayed, AmbiguousLost, Conflict};
    let faults = [
        Conflict,
        AmbiguousApplied,
        AmbiguousLost,
        Conflict,
        AmbiguousDelayed,
    ];
    let (backend, store, _) = faulty(&faults);
    let items: Vec<(Partition, OpId, u8)> = (0..10)
        .map(|n| (store.partition(ALPHA, &[n]), op(1), n))
        .collect();
    let results = store.transact_each(&items, |tx, n| {
        tx.put(
            &conformance::COUNTERS,
            &(),
            &crate::Raw(u64::from(*n).to_be_bytes().to_vec()),
        )
    });
    assert!(results.iter().all(Result::is_ok));
    backend.deliver_delayed();
    for (partition, _, n) in &items {
        assert_eq!(count(&store, partition), Ok(u64::from(*n)));
    }
}
