//! Random operations against a map: the same answers after each, and after reopening.

use std::collections::BTreeMap;

use crate::conformance::{ALPHA, ENTRIES, Fixture, SeededEntropy, op, open};
use crate::error::StoreError;
use crate::record::Raw;
use crate::sealed::Entropy;
use crate::tx::ScanLimit;

const STEPS: u64 = 600;

pub(super) fn run(make: &dyn Fn() -> Box<dyn Fixture>) {
    let entropy = SeededEntropy::new(3);
    let draw = |below: u64| {
        let mut bytes = [0; 8];
        entropy.fill(&mut bytes);
        u64::from_be_bytes(bytes) % below
    };
    let mut fixture = make();
    let mut model: BTreeMap<u64, Raw> = BTreeMap::new();
    for step in 0..STEPS {
        let store = open(&*fixture);
        let partition = store.partition(ALPHA, b"model");
        let (a, b) = (draw(40), draw(40));
        let length = usize::try_from(draw(300)).unwrap();
        let value = Raw(step
            .to_be_bytes()
            .into_iter()
            .cycle()
            .take(length)
            .collect());
        let kind = draw(10);
        let done: Result<(), StoreError> = store.transact(&partition, op(step), |tx| match kind {
            0..=5 => tx.put(&ENTRIES, &a, &value),
            6 | 7 => tx.delete(&ENTRIES, &a),
            8 => tx.delete_range(&ENTRIES, &a, &b),
            _ => {
                tx.put(&ENTRIES, &b, &value)?;
                tx.delete_range(&ENTRIES, &a, &b)?;
                tx.put(&ENTRIES, &a, &value)
            }
        });
        assert_eq!(done, Ok(()));
        match kind {
            0..=5 => drop(model.insert(a, value)),
            6 | 7 => drop(model.remove(&a)),
            8 => model.retain(|key, _| *key < a || *key >= b),
            _ => {
                model.insert(b, value.clone());
                model.retain(|key, _| *key < a || *key >= b);
                model.insert(a, value);
            }
        }
        let limit = ScanLimit {
            rows: usize::try_from(draw(20)).unwrap(),
            bytes: 1 << 20,
        };
        let (from, to) = (draw(40), draw(60));
        let found = store.view(&partition, |tx| {
            assert_eq!(tx.get(&ENTRIES, &a)?, model.get(&a).cloned());
            tx.scan(&ENTRIES, &from, &to, limit)
        });
        let found: Vec<_> = found
            .unwrap_or_else(|error: StoreError| panic!("{error}"))
            .into_iter()
            .map(|(key, value)| (key.ordered_u64().unwrap(), value))
            .collect();
        let expected: Vec<_> = model
            .range(from..to.max(from))
            .take(limit.rows)
            .map(|(key, value)| (*key, value.clone()))
            .collect();
        assert_eq!(found, expected, "step {step}");
        drop(store);
        if step % 100 == 99 {
            fixture = fixture.reopen();
        }
    }
}
