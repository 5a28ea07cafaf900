//! RocksDB keeps the contract of the store, across closing and crashes.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use store::conformance::{self, ALPHA, BETA, Fixture, count, increment, op, store_over};
use store::{Backend, StoreError};
use store_rocksdb::{RocksBackend, RocksOptions};
use tempfile::TempDir;

struct Rocks {
    directory: TempDir,
    backend: Arc<RocksBackend>,
}

fn open(path: &Path) -> Result<RocksBackend, StoreError> {
    RocksBackend::open(path, &[ALPHA, BETA], RocksOptions::default())
}

impl Rocks {
    fn in_directory(directory: TempDir) -> Self {
        let backend = Arc::new(open(directory.path()).unwrap());
        Self { directory, backend }
    }
}

fn files(path: &Path) -> BTreeSet<OsString> {
    fs::read_dir(path)
        .unwrap()
        .map(|file| file.unwrap().file_name())
        .collect()
}

impl Fixture for Rocks {
    fn backend(&self) -> Arc<dyn Backend> {
        Arc::<RocksBackend>::clone(&self.backend)
    }

    fn reopen(self: Box<Self>) -> Box<dyn Fixture> {
        let Self { directory, backend } = *self;
        drop(Arc::into_inner(backend).expect("someone still uses the database"));
        Box::new(Self::in_directory(directory))
    }

    fn crash(self: Box<Self>) -> Box<dyn Fixture> {
        // A copy is what a crash leaves if no file came or went meanwhile.
        loop {
            let copy = tempfile::tempdir().unwrap();
            let before = files(self.directory.path());
            let copied = before
                .iter()
                .filter(|name| *name != "LOCK")
                .try_for_each(|name| {
                    fs::copy(self.directory.path().join(name), copy.path().join(name)).map(drop)
                });
            if copied.is_ok() && before == files(self.directory.path()) {
                return Box::new(Self::in_directory(copy));
            }
        }
    }

    fn stored_bytes(&self) -> Vec<u8> {
        let files = fs::read_dir(self.directory.path()).unwrap();
        files
            .flat_map(|file| fs::read(file.unwrap().path()).unwrap())
            .collect()
    }
}

#[test]
fn rocksdb_conforms() {
    conformance::run(&|| Box::new(Rocks::in_directory(tempfile::tempdir().unwrap())));
}

#[test]
fn a_database_is_open_once() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path()).unwrap();
    assert_eq!(open(directory.path()).unwrap_err(), StoreError::Locked);
    drop(first);
    assert!(open(directory.path()).is_ok());
}

#[test]
fn a_space_that_is_not_open_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let store = store_over(Arc::new(open(directory.path()).unwrap()));
    let partition = store.partition(BETA, b"left alone");
    let beta = store::Table::<u64, store::Raw>::new(BETA, 1, "beta/rows");
    let value = store::Raw(vec![1]);
    store
        .transact(&partition, op(1), |tx| tx.put(&beta, &1, &value))
        .unwrap();
    drop(store);

    let only_alpha = RocksBackend::open(directory.path(), &[ALPHA], RocksOptions::default());
    let store = store_over(Arc::new(only_alpha.unwrap()));
    let counter = store.partition(ALPHA, b"counter");
    assert_eq!(increment(&store, &counter, op(1)), Ok(1));
    drop(store);

    let store = store_over(Arc::new(open(directory.path()).unwrap()));
    assert_eq!(
        store.view(&partition, |tx| tx.get(&beta, &1)),
        Ok(Some(value))
    );
    assert_eq!(count(&store, &counter), Ok(1));
}
