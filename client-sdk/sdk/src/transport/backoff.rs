//! How long to wait before the next attempt.

use std::time::Duration;

use crate::clock::jitter;

/// Capped exponential back-off with jitter. [SDK-RETRY-1]
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(30);

impl Backoff {
    /// Nothing has failed.
    pub(crate) fn new() -> Self {
        Self { next: FIRST }
    }

    /// The wait after one more failure: between half and all of a span that doubles.
    pub(crate) fn after_failure(&mut self) -> Duration {
        let half = self.next / 2;
        self.next = (self.next * 2).min(LONGEST);
        half + jitter(half)
    }

    /// The wait that a server asks for, with jitter, so that those whom it turned away together
    /// do not come back together; bounded, whatever it asks for.
    pub(crate) fn asked_for(milliseconds: u64) -> Duration {
        let asked = Duration::from_millis(milliseconds).clamp(FIRST / 10, LONGEST);
        asked + jitter(asked / 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [SDK-RETRY-1]
    #[test]
    fn waits_grow_to_a_cap() {
        let mut backoff = Backoff::new();
        assert!(backoff.after_failure() <= FIRST);
        let waits: Vec<_> = (0..20).map(|_| backoff.after_failure()).collect();
        assert!(waits.iter().all(|wait| *wait <= LONGEST));
        assert!(waits.last().unwrap() >= &(LONGEST / 2));
    }

    #[test]
    fn a_server_cannot_ask_for_ages() {
        assert!(Backoff::asked_for(u64::MAX) <= LONGEST * 2);
    }
}
