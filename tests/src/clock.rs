//! The stopwatch of tests and measurements, and the only place that waits.

use std::time::{Duration, Instant, SystemTime, SystemTimeError};

/// A moment, to measure spans with.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "measuring time is what this crate is for"
)]
pub fn now() -> Instant {
    Instant::now()
}

/// Seconds since 1970.
///
/// # Errors
/// The machine's clock is before that.
#[expect(
    clippy::disallowed_methods,
    reason = "what was made for another day has to say which"
)]
pub fn unix_seconds() -> Result<u64, SystemTimeError> {
    let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    Ok(elapsed.as_secs())
}

/// Let a thread wait until a moment. Not for waiting until another has done something.
#[expect(
    clippy::disallowed_methods,
    reason = "what is sent at a pace has to wait between packets"
)]
pub fn wait_until(moment: Instant) {
    std::thread::sleep(moment.saturating_duration_since(now()));
}

/// How much of something is due by now, at a steady rate.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    start: Instant,
    per_second: u64,
    done: u64,
}

/// How long a paced loop rests when nothing is due.
const REST: Duration = Duration::from_millis(1);

impl Pace {
    /// Begin.
    #[must_use]
    pub fn new(per_second: u64) -> Self {
        Self {
            start: now(),
            per_second,
            done: 0,
        }
    }

    /// What is due; waits a moment if nothing is. Counts it as done. What was missed for want of
    /// processor time is not made up for beyond `at_most`.
    pub fn due(&mut self, at_most: u64) -> u64 {
        let micros = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        let target = micros.saturating_mul(self.per_second) / 1_000_000;
        let due = target.saturating_sub(self.done);
        self.done = target;
        if due == 0 {
            wait_until(now() + REST);
        }
        due.min(at_most)
    }
}

/// How far a long run is, told now and then.
#[derive(Debug)]
pub struct Progress {
    next: Instant,
    every: Duration,
}

impl Progress {
    /// Tell something this often.
    #[must_use]
    pub fn new(every: Duration) -> Self {
        Self {
            next: now() + every,
            every,
        }
    }

    /// Whether it is time to tell something.
    pub fn is_due(&mut self) -> bool {
        let is_due = now() >= self.next;
        if is_due {
            self.next = now() + self.every;
        }
        is_due
    }
}
