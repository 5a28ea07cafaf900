//! How many of something there are at present for each network, in a table of fixed size.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::prefix::Prefix;

/// Counters of one row.
const COUNTERS: usize = 1 << 14;
/// Rows: a network is overestimated only if others meet it in each.
const ROWS: usize = 2;

/// A count-min table: no peer can make it grow. [NODE-SKETCH-1]
#[derive(Debug)]
pub(crate) struct Headcount {
    rows: [(RandomState, Box<[AtomicU32]>); ROWS],
}

impl Headcount {
    pub(crate) fn new() -> Self {
        let row = || {
            let counters = (0..COUNTERS).map(|_| AtomicU32::new(0));
            (RandomState::new(), counters.collect())
        };
        Self {
            rows: [(); ROWS].map(|()| row()),
        }
    }

    /// One more.
    pub(crate) fn add(&self, network: &Prefix) {
        self.counters(network).for_each(|counter| {
            counter.fetch_add(1, Ordering::Relaxed);
        });
    }

    /// One less, of those that were added.
    pub(crate) fn remove(&self, network: &Prefix) {
        self.counters(network).for_each(|counter| {
            counter.fetch_sub(1, Ordering::Relaxed);
        });
    }

    /// At least the number that there are.
    pub(crate) fn count(&self, network: &Prefix) -> u32 {
        let counts = self
            .counters(network)
            .map(|counter| counter.load(Ordering::Relaxed));
        counts.min().unwrap_or_default()
    }

    fn counters(&self, network: &Prefix) -> impl Iterator<Item = &AtomicU32> {
        self.rows.iter().filter_map(move |(hasher, counters)| {
            let hash = usize::try_from(hasher.hash_one(network) >> 32).unwrap_or_default();
            counters.get(hash % COUNTERS)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;
    use crate::prefix;

    proptest! {
        /// [NODE-SKETCH-1]
        #[test]
        fn a_count_is_never_too_low_and_goes_back_to_nothing(
            hosts in prop::collection::vec(any::<u32>(), 0..300),
        ) {
            let headcount = Headcount::new();
            let networks = hosts.iter().map(|bits| prefix::network(IpAddr::from(bits.to_be_bytes())));
            let networks: Vec<_> = networks.collect();
            let mut truth = BTreeMap::<Prefix, u32>::new();
            for network in &networks {
                headcount.add(network);
                *truth.entry(*network).or_default() += 1;
            }
            for (network, count) in &truth {
                prop_assert!(headcount.count(network) >= *count);
            }
            networks.iter().for_each(|network| headcount.remove(network));
            for network in truth.keys() {
                prop_assert_eq!(headcount.count(network), 0);
            }
        }
    }
}
