//! The SDK's only clock and only source of entropy.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use protocol::time::Timestamp;
use ring::rand::{SecureRandom, SystemRandom};

/// The time of this machine.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place in the SDK that asks the time; the core takes it as an argument"
)]
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp(since.map_or(0, |since| since.as_secs()))
}

/// A moment on the clock that the runtime's timers go by.
pub(crate) fn instant() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

/// A random part of `span`: what spreads the retries of many clients.
pub(crate) fn jitter(span: Duration) -> Duration {
    let mut random = [0; 2];
    if SystemRandom::new().fill(&mut random).is_err() {
        return span / 2;
    }
    span * u32::from(u16::from_be_bytes(random)) / u32::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_inside_its_span() {
        let span = Duration::from_secs(30);
        assert!((0..100).all(|_| jitter(span) <= span));
    }
}
