//! Instants and validity periods. Nothing here asks for the time.

use std::time::Duration;

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::limit::CLOCK_SKEW_SECONDS;

/// Seconds since 1970-01-01 UTC.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    TlsSize,
    TlsSerialize,
    TlsDeserializeBytes,
)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The instant `span` later; saturates at the end of time.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span.as_secs()))
    }

    /// The instant `span` earlier; saturates at 1970.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(span.as_secs()))
    }
}

/// From when and until when something is valid, both inclusive.
///
/// ```text
/// struct { uint64 not_before; uint64 not_after; } Lifetime;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Lifetime {
    /// The first valid second.
    pub not_before: Timestamp,
    /// The last valid second.
    pub not_after: Timestamp,
}

impl Lifetime {
    /// Valid from a clock skew before `now` for `span`.
    #[must_use]
    pub fn starting(now: Timestamp, span: Duration) -> Self {
        Self {
            not_before: now.before(Duration::from_secs(CLOCK_SKEW_SECONDS)),
            not_after: now.after(span),
        }
    }

    /// Whether `now` lies inside.
    #[must_use]
    pub fn contains(&self, now: Timestamp) -> bool {
        self.not_before <= now && now <= self.not_after
    }

    /// Whether it spans at most `days` besides the skew that [`Self::starting`] grants, and ends
    /// after it begins.
    #[must_use]
    pub fn is_within_days(&self, days: u64) -> bool {
        let span = self.not_after.0.checked_sub(self.not_before.0);
        span.is_some_and(|span| span <= days * 86_400 + 2 * CLOCK_SKEW_SECONDS)
    }

    /// Whether it lies inside `outer`.
    #[must_use]
    pub fn is_inside(&self, outer: &Self) -> bool {
        outer.not_before <= self.not_before && self.not_after <= outer.not_after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_a_lifetime_are_inside() {
        let lifetime = Lifetime {
            not_before: Timestamp(5),
            not_after: Timestamp(7),
        };
        let inside = (4..=8).map(|second| lifetime.contains(Timestamp(second)));
        assert_eq!(inside.collect::<Vec<_>>(), [false, true, true, true, false]);
    }

    #[test]
    fn a_lifetime_that_ends_before_it_begins_has_no_length() {
        let lifetime = Lifetime {
            not_before: Timestamp(7),
            not_after: Timestamp(5),
        };
        assert!(!lifetime.is_within_days(u64::MAX / 86_400 - 1));
    }
}
