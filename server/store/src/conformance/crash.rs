//! Committed means durable: what was acknowledged is there after a crash at any point.

use crate::conformance::{ALPHA, ENTRIES, Fixture, count, increment, op, open, put_entries};
use crate::error::StoreError;
use crate::tx::ScanLimit;

const CRASHES: u64 = 8;

pub(super) fn run(make: &dyn Fn() -> Box<dyn Fixture>) {
    let mut fixture = make();
    for crash in 0..CRASHES {
        let store = open(&*fixture);
        let partition = store.partition(ALPHA, b"crash");
        assert_eq!(
            count(&store, &partition),
            Ok(crash),
            "an acknowledged commit is lost"
        );
        assert_eq!(increment(&store, &partition, op(crash)), Ok(crash + 1));
        let queue = store.partition(ALPHA, b"queue");
        put_entries(&store, &queue, crash, &[crash * 2, crash * 2 + 1]);
        drop(store);
        fixture = fixture.crash();

        // The operation is remembered across the crash.
        let store = open(&*fixture);
        increment(&store, &partition, op(crash)).unwrap();
        assert_eq!(
            count(&store, &partition),
            Ok(crash + 1),
            "an operation was applied twice"
        );
        let limit = ScanLimit {
            rows: 100,
            bytes: 1 << 20,
        };
        let rows = store.view(&queue, |tx| tx.scan(&ENTRIES, &0, &u64::MAX, limit));
        let length = rows.map_err(|error: StoreError| error).unwrap().len() as u64;
        assert_eq!(length, (crash + 1) * 2);
    }
}
