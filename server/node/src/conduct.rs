//! What one connection may do: requests, bytes, and mistakes.

use std::time::{Duration, Instant};

use crate::clock;
use crate::config::Budget;
use crate::gcra::{Bucket, Quota};

/// How long the misbehaviour budget takes to come back.
const FORGIVENESS: Duration = Duration::from_secs(600);

/// The quotas of every connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quotas {
    requests: Quota,
    bytes: Quota,
    misbehaviour: Quota,
    start: Instant,
}

impl Quotas {
    pub(crate) fn new(budget: &Budget) -> Self {
        let second = Duration::from_secs(1);
        let points = u64::from(budget.misbehaviour);
        Self {
            requests: Quota::new(budget.requests_per_second, second, budget.requests_burst),
            bytes: Quota::new(budget.bytes_per_second, second, budget.bytes_burst),
            misbehaviour: Quota::new(points, FORGIVENESS, points),
            start: clock::instant(),
        }
    }

    fn now(&self) -> Duration {
        clock::instant().saturating_duration_since(self.start)
    }
}

/// What a peer did wrong. [NODE-BUDGET-1]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offence {
    /// A frame that is none, or stays unfinished.
    BadFrame,
    /// An operation that is in no registry, or a request that does not decode.
    BadRequest,
    /// A request that was refused: a wrong signature, another's queue.
    Refused,
    /// More requests or bytes than agreed.
    TooFast,
    /// A request taken back before it was complete.
    Abandoned,
}

impl Offence {
    /// What it takes from the budget.
    fn points(self) -> u64 {
        match self {
            Self::BadFrame | Self::BadRequest => 10,
            Self::Refused => 4,
            Self::TooFast | Self::Abandoned => 1,
        }
    }
}

/// What is left of a connection's budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Something.
    Tolerated,
    /// Nothing: close the connection.
    UsedUp,
}

/// How one connection has behaved so far.
#[derive(Debug, Default)]
pub(crate) struct Conduct {
    requests: Bucket,
    bytes: Bucket,
    misbehaviour: Bucket,
}

impl Conduct {
    /// Pay for one request, or learn how long to wait. [NODE-RATE-1]
    pub(crate) fn admit_request(&self, quotas: &Quotas, bytes: usize) -> Result<(), Duration> {
        self.requests.take(quotas.requests, 1, quotas.now())?;
        self.admit_bytes(quotas, bytes)
    }

    /// Pay for bytes alone.
    pub(crate) fn admit_bytes(&self, quotas: &Quotas, bytes: usize) -> Result<(), Duration> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.bytes.take(quotas.bytes, bytes, quotas.now())
    }

    /// Charge the misbehaviour budget.
    pub(crate) fn charge(&self, quotas: &Quotas, offence: Offence) -> Verdict {
        match self
            .misbehaviour
            .take(quotas.misbehaviour, offence.points(), quotas.now())
        {
            Ok(()) => Verdict::Tolerated,
            Err(_) => Verdict::UsedUp,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quotas() -> Quotas {
        Quotas::new(&Budget {
            misbehaviour: 30,
            ..Budget::default()
        })
    }

    #[test]
    fn mistakes_are_tolerated_until_the_budget_is_used_up() {
        let quotas = quotas();
        let conduct = Conduct::default();
        let verdicts = [(); 4].map(|()| conduct.charge(&quotas, Offence::BadFrame));
        use Verdict::{Tolerated, UsedUp};
        assert_eq!(verdicts, [Tolerated, Tolerated, Tolerated, UsedUp]);
    }

    #[test]
    fn requests_and_bytes_are_both_limited() {
        let budget = Budget {
            requests_burst: 2,
            bytes_burst: 1_000,
            ..Budget::default()
        };
        let quotas = Quotas::new(&budget);
        let by_requests = Conduct::default();
        assert!((0..2).all(|_| by_requests.admit_request(&quotas, 1).is_ok()));
        assert!(by_requests.admit_request(&quotas, 1).is_err());
        let by_bytes = Conduct::default();
        assert!(by_bytes.admit_request(&quotas, 999_999_999).is_err());
    }
}
