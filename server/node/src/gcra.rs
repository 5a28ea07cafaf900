//! A token bucket in one number (generic cell rate algorithm).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How fast a bucket refills and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quota {
    /// Nanoseconds that one unit takes to come back.
    unit_nanos: u64,
    /// Nanoseconds that a whole bucket takes.
    burst_nanos: u64,
}

impl Quota {
    /// `burst` units at once, and `count` units in each `period`.
    pub(crate) fn new(count: u64, period: Duration, burst: u64) -> Self {
        let period = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
        let unit_nanos = (period / count.max(1)).max(1);
        Self {
            unit_nanos,
            burst_nanos: unit_nanos.saturating_mul(burst),
        }
    }

    /// When a bucket that is full again at `full_at` will be if `units` are taken from it, or how
    /// long until they are there. Units of a bucket with `share` come back that much faster.
    pub(crate) fn advance(
        self,
        full_at: u64,
        units: u64,
        share: u64,
        now: Duration,
    ) -> Result<u64, Duration> {
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let cost = self.unit_nanos.saturating_mul(units) / share.max(1);
        let next = full_at.max(now).saturating_add(cost);
        let lead = next - now;
        if lead > self.burst_nanos {
            return Err(Duration::from_nanos(lead - self.burst_nanos));
        }
        Ok(next)
    }
}

/// One bucket; full when made. Times are nanoseconds since some beginning that all calls share.
#[derive(Debug, Default)]
pub(crate) struct Bucket {
    /// When the bucket is full again.
    full_at: AtomicU64,
}

impl Bucket {
    /// Take `units`, or say how long until they are there. Takes nothing if it refuses.
    pub(crate) fn take(&self, quota: Quota, units: u64, now: Duration) -> Result<(), Duration> {
        let mut full_at = self.full_at.load(Ordering::Relaxed);
        loop {
            let next = quota.advance(full_at, units, 1, now)?;
            let swapped = self.full_at.compare_exchange_weak(
                full_at,
                next,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            match swapped {
                Ok(_) => return Ok(()),
                Err(current) => full_at = current,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_is_granted_and_then_the_rate() {
        let quota = Quota::new(10, SECOND, 3);
        let bucket = Bucket::default();
        let granted = |now| bucket.take(quota, 1, now).is_ok();
        assert!((0..3).all(|_| granted(SECOND)));
        assert!(!granted(SECOND));
        assert!(!granted(SECOND + SECOND / 20));
        assert!(granted(SECOND + SECOND / 10));
        assert!(!granted(SECOND + SECOND / 10));
    }

    #[test]
    fn a_refusal_says_when_to_come_back() {
        let quota = Quota::new(10, SECOND, 1);
        let bucket = Bucket::default();
        assert_eq!(bucket.take(quota, 1, SECOND), Ok(()));
        let wait = bucket.take(quota, 1, SECOND).unwrap_err();
        assert_eq!(wait, SECOND / 10);
        assert_eq!(bucket.take(quota, 1, SECOND + wait), Ok(()));
    }

    #[test]
    fn more_than_a_burst_is_never_granted() {
        let quota = Quota::new(10, SECOND, 5);
        assert!(Bucket::default().take(quota, 6, SECOND * 100).is_err());
    }
}
