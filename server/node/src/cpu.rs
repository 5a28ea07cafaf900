//! Who has used how much CPU time recently: by account, address and network, in fixed memory.
//!
//! Use decays with a half-life. Instead of making every number smaller all the time, what is added
//! is made larger the later it is, so that numbers only grow, as a [`Sketch`] wants them.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::identity::Identity;
use crate::sketch::Sketch;

/// Server time of a handshake, measured with nothing but handshakes.
pub(crate) const HANDSHAKE: Duration = Duration::from_micros(220);
/// Server time of a packet that carries little, measured likewise.
pub(crate) const PACKET: Duration = Duration::from_micros(12);
/// Time in which use counts half: long enough to see a pattern, short enough to forgive.
const HALF_LIFE_SECONDS: f64 = 10.0;
/// Half-lives after which all numbers are scaled down: far from where they lose precision.
const RESCALE_HALF_LIVES: f64 = 200.0;
/// 2^15 cells in four rows of 8 bytes: 1 MiB.
const CELL_BITS: u32 = 15;

/// Recent use of the processors. [NODE-CPU-1]
#[derive(Debug)]
pub(crate) struct Use {
    inner: Mutex<Decaying>,
}

#[derive(Debug)]
struct Decaying {
    sketch: Sketch,
    /// Half-lives since the beginning at which a number means itself.
    base: f64,
}

impl Use {
    pub(crate) fn new() -> Self {
        Self {
            inner: Mutex::new(Decaying {
                sketch: Sketch::new(CELL_BITS),
                base: 0.0,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Decaying> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Charge everybody that `identity` names. [NODE-CPU-1]
    pub(crate) fn charge(&self, identity: &Identity, spent: Duration, now: Duration) {
        let mut decaying = self.lock();
        for key in identity.keys() {
            decaying.add(key, spent, now);
        }
    }

    /// CPU time of a key, each half-life worth half of the one after it; at least the truth.
    pub(crate) fn recent(&self, key: u64, now: Duration) -> Duration {
        self.lock().read(key, now)
    }
}

impl Decaying {
    fn add(&mut self, key: u64, spent: Duration, now: Duration) {
        let scale = self.scale(now);
        let number = f64::from_bits(self.sketch.read(&key)) + spent.as_secs_f64() * scale;
        // Positive numbers have the order of their bits.
        self.sketch.raise(&key, number.to_bits());
    }

    fn read(&self, key: u64, now: Duration) -> Duration {
        let number = f64::from_bits(self.sketch.read(&key));
        let recent = number / (half_lives(now) - self.base).exp2();
        Duration::try_from_secs_f64(recent).unwrap_or(Duration::MAX)
    }

    /// What a second that is spent now counts.
    fn scale(&mut self, now: Duration) -> f64 {
        let late = half_lives(now) - self.base;
        if late < RESCALE_HALF_LIVES {
            return late.exp2();
        }
        let shrink = (-late).exp2();
        self.sketch
            .rescale(|bits| (f64::from_bits(bits) * shrink).to_bits());
        self.base += late;
        1.0
    }
}

fn half_lives(now: Duration) -> f64 {
    now.as_secs_f64() / HALF_LIFE_SECONDS
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// [NODE-CPU-1]
        #[test]
        fn use_is_never_underestimated_and_decays(
            charges in prop::collection::vec((0_u64..40, 1_u64..50_000, 0_u64..400_000), 1..300),
        ) {
            let mut decaying = Decaying { sketch: Sketch::new(3), base: 0.0 };
            let mut truth = BTreeMap::<u64, f64>::new();
            let mut now = Duration::ZERO;
            for (key, micros, wait) in charges {
                let wait = Duration::from_millis(wait);
                now += wait;
                truth.values_mut().for_each(|spent| *spent *= (-half_lives(wait)).exp2());
                let spent = Duration::from_micros(micros);
                decaying.add(key, spent, now);
                *truth.entry(key).or_default() += spent.as_secs_f64();
            }
            for (key, spent) in truth {
                let read = decaying.read(key, now).as_secs_f64();
                prop_assert!(read >= spent * (1.0 - 1e-9) - 1e-9, "{} < {}", read, spent);
            }
        }
    }

    #[test]
    fn half_is_left_after_a_half_life() {
        let used = Use::new();
        let identity = Identity::for_test(1, 2, 3);
        let [account, ..] = identity.keys();
        used.charge(&identity, Duration::from_secs(8), Duration::ZERO);
        let left = |seconds| {
            used.recent(account, Duration::from_secs(seconds))
                .as_millis()
        };
        assert_eq!([left(0), left(10), left(20)], [8_000, 4_000, 2_000]);
        let late = Duration::from_secs(100_000);
        used.charge(&identity, Duration::from_secs(1), late);
        assert_eq!(used.recent(account, late).as_millis(), 1_000);
    }
}
