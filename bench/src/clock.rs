//! The load generator's stopwatch.

use std::time::Instant;

/// A moment, to measure spans with.
#[expect(
    clippy::disallowed_methods,
    reason = "measuring time is what this program is for"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}
