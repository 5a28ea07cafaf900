//! The only clock and the only source of randomness of a running server.

use std::cell::RefCell;
use std::time::{Duration, Instant, SystemTime};

use protocol::time::Timestamp;
use ring::rand::{SecureRandom, SystemRandom};
use rustix::time::{ClockId, clock_gettime};
use store::Entropy;

/// Random bytes drawn from the operating system at once: a call for each nonce would cost more
/// than the encryption.
const RESERVE_BYTES: usize = 1_024;

/// Seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "this is the only clock")]
pub(crate) fn now() -> Timestamp {
    let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp(elapsed.map_or(0, |elapsed| elapsed.as_secs()))
}

/// A moment, to measure spans with.
#[expect(clippy::disallowed_methods, reason = "this is the only clock")]
pub(crate) fn instant() -> Instant {
    Instant::now()
}

/// Measures time since it was started, for all who hold a copy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(instant())
    }

    pub(crate) fn elapsed(self) -> Duration {
        instant().saturating_duration_since(self.0)
    }
}

/// The moment `wait` from now, on the clock that the runtime's timers go by.
pub(crate) fn deadline(wait: Duration) -> tokio::time::Instant {
    tokio::time::Instant::now() + wait
}

/// CPU time that this thread has used so far.
pub(crate) fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// A random span below `most`.
pub(crate) fn jitter(most: Duration) -> Duration {
    let mut bytes = [0; 4];
    SystemEntropy.fill(&mut bytes);
    let fraction = f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX);
    most.mul_f64(fraction)
}

/// Randomness of the operating system. A thread draws a reserve and hands each byte out once.
#[derive(Clone, Copy, Debug)]
pub struct SystemEntropy;

struct Reserve {
    bytes: [u8; RESERVE_BYTES],
    used: usize,
}

thread_local! {
    static RESERVE: RefCell<Reserve> =
        const { RefCell::new(Reserve { bytes: [0; RESERVE_BYTES], used: RESERVE_BYTES }) };
}

impl Entropy for SystemEntropy {
    fn fill(&self, out: &mut [u8]) {
        if out.len() > RESERVE_BYTES / 4 {
            draw(out);
            return;
        }
        RESERVE.with_borrow_mut(|reserve| reserve.take(out));
    }
}

impl Reserve {
    fn take(&mut self, out: &mut [u8]) {
        if RESERVE_BYTES - self.used < out.len() {
            draw(&mut self.bytes);
            self.used = 0;
        }
        if let Some(fresh) = self.bytes.get_mut(self.used..self.used + out.len()) {
            out.copy_from_slice(fresh);
            fresh.fill(0);
            self.used += out.len();
        }
    }
}

#[expect(clippy::expect_used, reason = "without randomness nothing may go on")]
fn draw(out: &mut [u8]) {
    SystemRandom::new()
        .fill(out)
        .expect("the operating system gives randomness");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_random_bytes_are_handed_out_twice() {
        let mut seen = BTreeSet::new();
        for _ in 0..500 {
            let mut nonce = [0; 12];
            SystemEntropy.fill(&mut nonce);
            assert!(seen.insert(nonce));
            let mut long = [0; 300];
            SystemEntropy.fill(&mut long);
            assert!(seen.insert(*long.last_chunk().unwrap()));
        }
    }

    #[test]
    fn jitter_stays_below_its_bound() {
        let most = Duration::from_millis(20);
        assert!((0..100).all(|_| jitter(most) <= most));
    }
}
