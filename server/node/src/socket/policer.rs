//! How many datagrams of one source, or for one connection id, go on to the connections.
//!
//! quinn queues datagrams for a connection without a bound. Whoever sends faster than the server
//! works would fill memory; here is where such a flow is cut, before anything is kept of it.

use std::hash::{BuildHasher, Hash, RandomState};
use std::time::Duration;

use crate::gcra::{Bucket, Quota};
use crate::lag::{LEVELS, Level};

/// Buckets of a row. Two flows share one by chance; honest ones are far below what one grants.
const BUCKETS: usize = 1 << 13;

/// Buckets by hash, in two rows: a flow is cut only if others fill its bucket in both. Memory is
/// fixed whatever the sources are. [NODE-FLOOD-1]
#[derive(Debug)]
pub(crate) struct Policer {
    rows: [Row; 2],
    /// By the server's lag: each level halves what a flow may send.
    quotas: [Quota; LEVELS],
}

#[derive(Debug)]
struct Row {
    hasher: RandomState,
    buckets: Vec<Bucket>,
}

impl Policer {
    /// So many units per second, and so many at once.
    pub(crate) fn new(per_second: u64, burst: u64) -> Self {
        let row = || Row {
            hasher: RandomState::new(),
            buckets: (0..BUCKETS).map(|_| Bucket::default()).collect(),
        };
        let second = Duration::from_secs(1);
        Self {
            rows: [row(), row()],
            quotas: std::array::from_fn(|level| {
                Quota::new((per_second >> level).max(1), second, burst)
            }),
        }
    }

    /// Whether a flow may send `units` more.
    pub(crate) fn admits(&self, flow: &impl Hash, units: u64, level: Level, now: Duration) -> bool {
        let Some(quota) = self.quotas.get(level.index()) else {
            return false;
        };
        let mut admits = false;
        for row in &self.rows {
            admits |= row
                .bucket(flow)
                .is_some_and(|bucket| bucket.take(*quota, units, now).is_ok());
        }
        admits
    }
}

impl Row {
    fn bucket(&self, flow: &impl Hash) -> Option<&Bucket> {
        let place = usize::try_from(self.hasher.hash_one(flow) % BUCKETS as u64).ok()?;
        self.buckets.get(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALM: Level = Level::CALM;

    fn granted(policer: &Policer, flow: u32, tries: u32, level: Level, now: Duration) -> usize {
        let tries = (0..tries).filter(|_| policer.admits(&flow, 1, level, now));
        tries.count()
    }

    /// [NODE-FLOOD-1]
    #[test]
    fn a_flow_gets_its_burst_and_then_its_rate() {
        let policer = Policer::new(100, 40);
        let second = Duration::from_secs(1);
        assert_eq!(granted(&policer, 1, 1_000, CALM, second), 40);
        let later = second + Duration::from_millis(100);
        assert_eq!(granted(&policer, 1, 1_000, CALM, later), 10);
    }

    #[test]
    fn a_flow_that_is_cut_does_not_cut_others() {
        let policer = Policer::new(100, 40);
        let now = Duration::from_secs(1);
        for hostile in 1..50 {
            granted(&policer, hostile, 10_000, CALM, now);
        }
        for honest in 1_000..1_100 {
            assert_eq!(granted(&policer, honest, 20, CALM, now), 20);
        }
    }

    #[test]
    fn lag_shrinks_what_a_flow_may_send() {
        let policer = Policer::new(800, 40);
        let now = Duration::from_secs(1);
        let lagging = CALM.raised().raised().raised();
        assert_eq!(granted(&policer, 1, 1_000, lagging, now), 40);
        let later = now + Duration::from_millis(100);
        assert_eq!(granted(&policer, 1, 1_000, lagging, later), 10);
    }
}
