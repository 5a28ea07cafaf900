//! One function per clause that needs no threads and no crash.

use std::sync::Arc;

use crate::backend::{Backend, Commit, CommitError, Committed};
use crate::changes::Changes;
use crate::conformance::{
    ALPHA, BETA, BLOBS, CLIENT_SEALED, COUNTERS, ENTRIES, Fixture, OTHERS, count, entry, increment,
    op, open, put_entries,
};
use crate::error::StoreError;
use crate::limit::{COMMIT_BYTES_MAX, COMMIT_ROWS_MAX, LARGE_BYTES_MAX, VALUE_BYTES_MAX};
use crate::record::Raw;
use crate::row_key::RowKey;
use crate::space::{OpId, Partition, Version};
use crate::store::Store;
use crate::tx::{ScanLimit, Tx};

const ALL: ScanLimit = ScanLimit {
    rows: 1000,
    bytes: 1 << 20,
};

pub(super) fn run(make: &dyn Fn() -> Box<dyn Fixture>) {
    let fixture = make();
    let store = open(&*fixture);
    let partition = |name: &str| store.partition(ALPHA, name.as_bytes());

    reads_see_own_writes(&store, &partition("own writes"));
    a_refused_body_changes_nothing(&store, &partition("refused"));
    versions_grow_with_commits_only(&store, &partition("versions"));
    a_repeated_operation_is_applied_once(&store, &partition("repeated"));
    a_conflict_runs_the_body_again(&store, &partition("conflict"));
    commits_are_conditional(&*fixture.backend(), &partition("conditional"));
    scans_keep_order_and_limits(&store, &partition("scans"));
    ranges_are_deleted(&store, &partition("ranges"));
    limits_are_kept(&store, &partition("limits"));
    large_values_come_back_whole(&store, &partition("large"));
    many_partitions_commit_together(&store);
    tables_stay_in_their_space(&store, &partition("spaces"));
    sweeps_find_partitions(&store);
}

fn reads_see_own_writes(store: &Store, partition: &Partition) {
    put_entries(store, partition, 1, &[1, 2, 3, 4]);
    let seen: Result<_, StoreError> = store.transact(partition, op(2), |tx| {
        tx.prefetch(&[&ENTRIES.at(&2), &ENTRIES.at(&9)])?;
        assert_eq!(tx.get(&ENTRIES, &9)?, None);
        tx.delete(&ENTRIES, &2)?;
        tx.put(&ENTRIES, &9, &Raw(b"nine".to_vec()))?;
        tx.put(&ENTRIES, &3, &Raw(b"three".to_vec()))?;
        assert_eq!(
            (tx.get(&ENTRIES, &2)?, tx.get(&ENTRIES, &1)?),
            (None, Some(entry(1)))
        );
        tx.scan(
            &ENTRIES,
            &1,
            &10,
            ScanLimit {
                rows: 3,
                bytes: 1000,
            },
        )
    });
    let keys: Vec<_> = seen
        .unwrap()
        .iter()
        .map(|(key, _)| key.ordered_u64().unwrap())
        .collect();
    assert_eq!(keys, [1, 3, 4]);
    let rows = scan(store, partition, 0, 100, ALL);
    assert_eq!(
        rows,
        [
            (1, entry(1)),
            (3, Raw(b"three".to_vec())),
            (4, entry(4)),
            (9, Raw(b"nine".to_vec()))
        ]
    );
}

fn a_refused_body_changes_nothing(store: &Store, partition: &Partition) {
    let refused: Result<(), StoreError> = store.transact(partition, op(1), |tx| {
        tx.put(&ENTRIES, &1, &entry(1))?;
        Err(StoreError::Corrupt {
            table: "the body's own error",
        })
    });
    assert_eq!(
        refused,
        Err(StoreError::Corrupt {
            table: "the body's own error"
        })
    );
    assert_eq!(scan(store, partition, 0, 100, ALL), []);
    assert_eq!(version(store, partition), Version(0));
}

fn versions_grow_with_commits_only(store: &Store, partition: &Partition) {
    assert_eq!(version(store, partition), Version(0));
    increment(store, partition, op(1)).unwrap();
    assert_eq!(version(store, partition), Version(1));
    let read: Result<_, StoreError> = store.transact(partition, op(2), |tx| tx.get(&COUNTERS, &()));
    assert!(read.unwrap().is_some());
    assert_eq!(version(store, partition), Version(1));
}

/// [STORE-COMMIT-1]
fn a_repeated_operation_is_applied_once(store: &Store, partition: &Partition) {
    increment(store, partition, op(1)).unwrap();
    let replay: Result<_, StoreError> = store.transact(partition, op(1), |tx| {
        tx.put(&COUNTERS, &(), &Raw(vec![0xff; 8]))?;
        Ok(tx.is_replay())
    });
    assert_eq!(replay, Ok(true));
    assert_eq!(count(store, partition), Ok(1));
    increment(store, partition, op(2)).unwrap();
    increment(store, partition, op(1)).unwrap();
    assert_eq!(count(store, partition), Ok(2));
}

fn a_conflict_runs_the_body_again(store: &Store, partition: &Partition) {
    let mut runs = 0;
    let seen: Result<u64, StoreError> = store.transact(partition, op(1), |tx| {
        runs += 1;
        if runs == 1 {
            increment(store, partition, op(2))?;
        }
        let seen = tx.version().0;
        tx.put(&ENTRIES, &seen, &entry(seen))?;
        Ok(seen)
    });
    assert_eq!((seen, runs), (Ok(1), 2));
    assert_eq!(scan(store, partition, 0, 100, ALL), [(1, entry(1))]);
}

/// Below the store: a commit applies at its version only, and once.
/// [STORE-COMMIT-1]
fn commits_are_conditional(backend: &dyn Backend, partition: &Partition) {
    let key = RowKey::new(2, partition);
    let commit = |n: u8, expected: u64| {
        let mut changes = Changes::default();
        changes.put(key.clone(), vec![n]);
        let (op, expected) = (OpId([n; 16]), Version(expected));
        Commit {
            partition: *partition,
            op,
            expected,
            changes: Arc::new(changes),
        }
    };
    let submit = |commits| backend.commit(commits);
    let applied = |version| {
        Ok(Committed {
            version: Version(version),
            is_replay: false,
        })
    };
    let replay = |version| {
        Ok(Committed {
            version: Version(version),
            is_replay: true,
        })
    };
    let conflict = |version| {
        Err(CommitError::Conflict {
            version: Version(version),
        })
    };
    assert_eq!(
        submit(vec![commit(1, 0), commit(2, 0), commit(3, 1)]),
        [applied(1), conflict(1), applied(2)]
    );
    assert_eq!(
        submit(vec![commit(1, 0), commit(1, 2), commit(4, 1)]),
        [replay(2), replay(2), conflict(2)]
    );
    assert_eq!(backend.settle(partition, Version(2)), Ok(()));
    assert_eq!(
        backend.settle(partition, Version(1)),
        Err(CommitError::Conflict {
            version: Version(2)
        })
    );
}

fn scans_keep_order_and_limits(store: &Store, partition: &Partition) {
    let keys = [
        0,
        1,
        255,
        256,
        65_536,
        u64::from(u32::MAX),
        1 << 40,
        u64::MAX,
    ];
    put_entries(store, partition, 1, &keys);
    let limit = |rows, bytes| ScanLimit { rows, bytes };
    let found = |from, to, limit| -> Vec<u64> {
        scan(store, partition, from, to, limit)
            .into_iter()
            .map(|(key, _)| key)
            .collect()
    };
    assert_eq!(found(0, u64::MAX, ALL), keys[..7]);
    assert_eq!(found(1, 256, ALL), [1, 255]);
    assert_eq!(found(256, 1, ALL), [0; 0]);
    assert_eq!(found(2, u64::MAX, limit(2, 1 << 20)), [255, 256]);
    assert_eq!(found(0, u64::MAX, limit(0, 1 << 20)), [0; 0]);
    // "entry 0" has 7 bytes, "entry 255" 9.
    assert_eq!(found(0, u64::MAX, limit(9, 14)), [0, 1]);
    assert_eq!(found(0, u64::MAX, limit(9, 22)), [0, 1]);
    assert_eq!(found(0, u64::MAX, limit(9, 23)), [0, 1, 255]);
    assert_eq!(found(0, u64::MAX, limit(9, 1)), [0]);
    // A scan that passes over what its own transaction deleted still fills its limit.
    let seen: Result<_, StoreError> = store.transact(partition, op(2), |tx| {
        tx.delete_range(&ENTRIES, &0, &256)?;
        tx.scan(&ENTRIES, &0, &u64::MAX, limit(2, 1 << 20))
    });
    let keys: Vec<_> = seen
        .unwrap()
        .iter()
        .map(|(key, _)| key.ordered_u64().unwrap())
        .collect();
    assert_eq!(keys, [256, 65_536]);
}

fn ranges_are_deleted(store: &Store, partition: &Partition) {
    put_entries(store, partition, 1, &[1, 2, 3, 4, 5]);
    let deleted: Result<(), StoreError> = store.transact(partition, op(2), |tx| {
        tx.put(&ENTRIES, &2, &entry(200))?;
        tx.delete_range(&ENTRIES, &2, &4)?;
        tx.put(&ENTRIES, &3, &entry(300))?;
        tx.delete_range(&ENTRIES, &5, &5)
    });
    assert_eq!(deleted, Ok(()));
    let left = [(1, entry(1)), (3, entry(300)), (4, entry(4)), (5, entry(5))];
    assert_eq!(scan(store, partition, 0, 100, ALL), left);
}

fn limits_are_kept(store: &Store, partition: &Partition) {
    let attempt = |n, body: &dyn Fn(&mut Tx<'_>) -> Result<(), StoreError>| {
        store.transact(partition, op(n), |tx| body(tx))
    };
    let refused = |result| matches!(result, Err(StoreError::TooLarge { .. }));
    let rows = |rows: usize| {
        move |tx: &mut Tx<'_>| {
            (0..rows as u64).try_for_each(|key| tx.put(&ENTRIES, &key, &entry(0)))
        }
    };
    let value =
        |bytes: usize| move |tx: &mut Tx<'_>| tx.put(&CLIENT_SEALED, &1, &Raw(vec![1; bytes]));
    let full = COMMIT_BYTES_MAX / VALUE_BYTES_MAX;
    assert!(refused(attempt(1, &rows(COMMIT_ROWS_MAX + 1))));
    assert!(refused(attempt(2, &value(VALUE_BYTES_MAX + 1))));
    assert!(refused(attempt(3, &|tx| {
        let value = Raw(vec![1; VALUE_BYTES_MAX]);
        (0..full as u64).try_for_each(|key| tx.put(&ENTRIES, &key, &value))
    })));
    assert_eq!(version(store, partition), Version(0));
    assert_eq!(attempt(4, &rows(COMMIT_ROWS_MAX)), Ok(()));
    assert_eq!(attempt(5, &value(VALUE_BYTES_MAX)), Ok(()));
}

fn large_values_come_back_whole(store: &Store, partition: &Partition) {
    for (n, length) in (1..).zip([
        LARGE_BYTES_MAX,
        0,
        VALUE_BYTES_MAX - 8,
        VALUE_BYTES_MAX - 7,
        9,
    ]) {
        let bytes: Vec<u8> = (0..=250).cycle().take(length).collect();
        let put: Result<(), StoreError> = store.transact(partition, op(n), |tx| {
            tx.put_large(&BLOBS, &1, &bytes)?;
            tx.put_large(&BLOBS, &2, b"a neighbour")
        });
        assert_eq!(put, Ok(()));
        let read = store
            .view(partition, |tx| tx.get_large(&BLOBS, &1))
            .unwrap();
        assert!(read == Some(bytes), "{length} bytes came back otherwise");
    }
    let too_large = store.transact(partition, op(10), |tx| {
        tx.put_large(&BLOBS, &1, &vec![0; LARGE_BYTES_MAX + 1])
    });
    assert!(matches!(too_large, Err(StoreError::TooLarge { .. })));
    store
        .transact(partition, op(11), |tx| tx.delete_large(&BLOBS, &1))
        .unwrap();
    let left = store.view(partition, |tx| {
        Ok((tx.get_large(&BLOBS, &1)?, tx.get_large(&BLOBS, &2)?))
    });
    assert_eq!(
        left.map_err(|error: StoreError| error),
        Ok((None, Some(b"a neighbour".to_vec())))
    );
}

fn many_partitions_commit_together(store: &Store) {
    let batches = store.statistics().batches;
    let items: Vec<_> = (0..300_u64)
        .map(|n| (store.partition(ALPHA, &(n % 100).to_be_bytes()), op(n), n))
        .collect();
    let results = store.transact_each(&items, |tx, n| {
        if *n == 7 {
            return Err(StoreError::Corrupt {
                table: "the body's own error",
            });
        }
        let seen = tx.scan(&ENTRIES, &0, &u64::MAX, ALL)?.len();
        tx.put(&ENTRIES, n, &entry(*n))?;
        Ok(seen)
    });
    for (n, result) in results.into_iter().enumerate() {
        match n {
            7 => assert!(result.is_err()),
            107 | 207 => assert_eq!(result, Ok(n / 100 - 1)),
            _ => assert_eq!(result, Ok(n / 100)),
        }
    }
    let spent = store.statistics().batches - batches;
    assert!(spent <= 3, "300 transactions took {spent} disk writes");
    let ids: Vec<_> = scan(store, &items[250].0, 0, 1000, ALL)
        .into_iter()
        .map(|row| row.0)
        .collect();
    assert_eq!(ids, [50, 150, 250]);
}

fn tables_stay_in_their_space(store: &Store, partition: &Partition) {
    let wrong = store.transact(partition, op(1), |tx| tx.put(&OTHERS, &1, &entry(1)));
    assert_eq!(
        wrong,
        Err(StoreError::WrongSpace {
            name: OTHERS.name()
        })
    );
    let other = store.partition(BETA, b"spaces");
    store
        .transact(&other, op(1), |tx| tx.put(&OTHERS, &1, &entry(1)))
        .unwrap();
    assert_eq!(
        store.view(&other, |tx| tx.get(&OTHERS, &1)),
        Ok(Some(entry(1)))
    );
    assert_eq!(scan(store, partition, 0, 100, ALL), []);
}

fn sweeps_find_partitions(store: &Store) {
    let mut expected: Vec<_> = (0..20_u8).map(|n| store.partition(BETA, &[n])).collect();
    for partition in &expected {
        let put = store.transact(partition, op(1), |tx| {
            tx.put(&OTHERS, &1, &entry(1))?;
            tx.put(&OTHERS, &u64::MAX, &entry(2))
        });
        assert_eq!(put, Ok::<_, StoreError>(()));
    }
    expected.push(store.partition(BETA, b"spaces"));
    expected.sort_unstable();
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = store.sweep(&OTHERS, after, 8).unwrap();
        assert!(page.len() <= 8);
        after = page.last().copied();
        found.extend(page);
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, expected);
}

fn version(store: &Store, partition: &Partition) -> Version {
    store
        .view(partition, |tx| Ok::<_, StoreError>(tx.version()))
        .unwrap()
}

fn scan(
    store: &Store,
    partition: &Partition,
    from: u64,
    to: u64,
    limit: ScanLimit,
) -> Vec<(u64, Raw)> {
    let rows = store
        .view(partition, |tx| tx.scan(&ENTRIES, &from, &to, limit))
        .unwrap();
    rows.into_iter()
        .map(|(key, value)| (key.ordered_u64().unwrap(), value))
        .collect()
}
