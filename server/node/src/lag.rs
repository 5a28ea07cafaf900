//! How far the server lags behind: how late a task is woken that asked to be woken at a moment.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use metrics::Gauge;

use crate::clock;

/// Levels of lag, the calm one included.
pub(crate) const LEVELS: usize = 6;
/// How often it is looked at: a quarter of the shortest lag that matters.
const EVERY: Duration = Duration::from_millis(10);
/// A lag beyond this raises the level.
const TOLERABLE: Duration = Duration::from_millis(20);
/// Time without such a lag after which the level is lowered by one.
const CALM_DOWN: Duration = Duration::from_secs(1);

/// How hard flows are cut, from not at all. [NODE-FLOOD-1]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Level(u8);

impl Level {
    /// The server keeps up.
    pub(crate) const CALM: Self = Self(0);

    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The next level, or the highest.
    pub(crate) fn raised(self) -> Self {
        let highest = u8::try_from(LEVELS - 1).unwrap_or(u8::MAX);
        Self(self.0.saturating_add(1).min(highest))
    }

    fn lowered(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

/// The lag at present, and the level that follows from how it has been.
#[derive(Debug, Default)]
pub(crate) struct Lag {
    micros: AtomicU64,
    level: AtomicU8,
}

impl Lag {
    /// How late the last wake was.
    pub(crate) fn current(&self) -> Duration {
        Duration::from_micros(self.micros.load(Ordering::Relaxed))
    }

    /// How hard flows are to be cut.
    pub(crate) fn level(&self) -> Level {
        Level(self.level.load(Ordering::Relaxed))
    }

    /// Look at it until the task is ended from outside.
    pub(crate) async fn watch(&self, gauge: &Gauge) {
        let mut calm = Duration::ZERO;
        loop {
            let asked = clock::instant();
            tokio::time::sleep(EVERY).await;
            let lag = clock::instant()
                .saturating_duration_since(asked)
                .saturating_sub(EVERY);
            gauge.set(lag.as_secs_f64());
            calm = self.note(lag, calm);
        }
    }

    /// Note a lag after `calm` time without; gives the time without since.
    fn note(&self, lag: Duration, calm: Duration) -> Duration {
        let micros = u64::try_from(lag.as_micros()).unwrap_or(u64::MAX);
        self.micros.store(micros, Ordering::Relaxed);
        let level = self.level();
        if lag > TOLERABLE {
            self.level.store(level.raised().0, Ordering::Relaxed);
            return Duration::ZERO;
        }
        let calm = calm + EVERY + lag;
        if calm < CALM_DOWN {
            return calm;
        }
        self.level.store(level.lowered().0, Ordering::Relaxed);
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_raises_the_level_and_calm_lowers_it() {
        let lag = Lag::default();
        let mut calm = Duration::ZERO;
        for _ in 0..20 {
            calm = lag.note(Duration::from_millis(21), calm);
        }
        assert_eq!(lag.level().index(), LEVELS - 1);
        assert_eq!(lag.current(), Duration::from_millis(21));
        let mut ticks = 0;
        while lag.level() != Level::CALM {
            calm = lag.note(Duration::ZERO, calm);
            ticks += 1;
        }
        assert_eq!(ticks, 100 * (LEVELS - 1));
    }

    #[test]
    fn small_lags_do_not_count() {
        let lag = Lag::default();
        lag.note(Duration::from_millis(20), Duration::ZERO);
        assert_eq!(lag.level(), Level::CALM);
    }
}
