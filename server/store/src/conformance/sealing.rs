//! Nothing on the disk says what it is, and a row opens only in its own place.

use std::sync::Arc;

use crate::backend::{Backend, Commit, Found, Read};
use crate::changes::Changes;
use crate::conformance::{ALPHA, CLIENT_SEALED, ENTRIES, Fixture, NAMES, Name, op, open};
use crate::error::StoreError;
use crate::record::Raw;
use crate::row_key::RowKey;
use crate::sealed::StorageKey;
use crate::space::{OpId, Partition};
use crate::store::Store;

const SECRET: &str = "the content nobody may read";
const WHO: &str = "the name nobody may learn";
const CIPHERTEXT: &str = "what the client has sealed already";

pub(super) fn run(make: &dyn Fn() -> Box<dyn Fixture>) {
    let fixture = make();
    let store = open(&*fixture);
    let partitions = [
        store.partition(ALPHA, WHO.as_bytes()),
        store.partition(ALPHA, b"b"),
    ];
    for partition in &partitions {
        let put: Result<(), StoreError> = store.transact(partition, op(99), |tx| {
            for key in 1..=2 {
                tx.put(&ENTRIES, &key, &Raw(SECRET.as_bytes().to_vec()))?;
                tx.put(&CLIENT_SEALED, &key, &Raw(CIPHERTEXT.as_bytes().to_vec()))?;
            }
            tx.put(&NAMES, &Name(WHO), &Raw(SECRET.as_bytes().to_vec()))
        });
        assert_eq!(put, Ok(()));
        let name = store.view(partition, |tx| tx.get(&NAMES, &Name(WHO)));
        assert_eq!(name, Ok(Some(Raw(SECRET.as_bytes().to_vec()))));
    }
    a_moved_row_is_corrupt(&store, &*fixture.backend(), &partitions);
    another_key_finds_nothing(&*fixture);
    drop(store);
    let fixture = fixture.reopen();
    let stored = fixture.stored_bytes();
    let has = |needle: &[u8]| stored.windows(needle.len()).any(|window| window == needle);
    assert!(
        !has(SECRET.as_bytes()) && !has(WHO.as_bytes()),
        "plaintext on the disk"
    );
    assert!(
        !has(&op(99).0),
        "an operation id on the disk links partitions"
    );
    assert!(
        has(CIPHERTEXT.as_bytes()),
        "client-sealed values are stored as they are"
    );
}

fn a_moved_row_is_corrupt(store: &Store, backend: &dyn Backend, partitions: &[Partition; 2]) {
    let key = |table: u8, partition: &Partition, suffix: u64| {
        let mut bytes = RowKey::new(table, partition).as_ref().to_vec();
        bytes.extend_from_slice(&suffix.to_be_bytes());
        RowKey::from_stored(bytes)
    };
    let [first, second] = partitions;
    let value = raw(backend, first, &key(ENTRIES.id(), first, 1));
    let mut altered = value.clone();
    altered[20] ^= 1;
    let places = [
        (first, key(ENTRIES.id(), first, 1), altered),
        (first, key(ENTRIES.id(), first, 2), value.clone()),
        (
            second,
            key(ENTRIES.id(), second, 1),
            value[..value.len() - 1].to_vec(),
        ),
        (second, key(ENTRIES.id(), second, 1), Vec::new()),
        (second, key(ENTRIES.id(), second, 1), value),
    ];
    for (n, (partition, place, value)) in (1..).zip(places) {
        overwrite(backend, partition, n, place.clone(), value);
        let suffix = place
            .suffix()
            .last_chunk()
            .copied()
            .map_or(0, u64::from_be_bytes);
        let read = store.view(partition, |tx| tx.get(&ENTRIES, &suffix));
        assert_eq!(
            read,
            Err(StoreError::Corrupt {
                table: ENTRIES.name()
            })
        );
    }
}

fn another_key_finds_nothing(fixture: &dyn Fixture) {
    let entropy = Arc::new(crate::conformance::SeededEntropy::new(2));
    let other = Store::new(fixture.backend(), &StorageKey::from_bytes([8; 32]), entropy);
    let partition = other.partition(ALPHA, WHO.as_bytes());
    assert_eq!(other.view(&partition, |tx| tx.get(&ENTRIES, &1)), Ok(None));
}

fn raw(backend: &dyn Backend, partition: &Partition, key: &RowKey) -> Vec<u8> {
    let view = backend.read(partition, &[Read::Row(key.clone())]).unwrap();
    let [Found::Row(Some(value))] = view.found.as_slice() else {
        panic!("the row is missing")
    };
    value.clone()
}

fn overwrite(backend: &dyn Backend, partition: &Partition, n: u8, key: RowKey, value: Vec<u8>) {
    let expected = backend.read(partition, &[]).unwrap().head.version;
    let mut changes = Changes::default();
    changes.put(key, value);
    let (op, changes) = (OpId([n; 16]), Arc::new(changes));
    let commit = Commit {
        partition: *partition,
        op,
        expected,
        changes,
    };
    assert!(backend.commit(vec![commit])[0].is_ok());
}
