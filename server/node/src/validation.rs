//! Whether a peer must show that it receives at its address before its handshake begins.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::config::{Connections, Retry, Transport};
use crate::lag::Lag;

/// How much of a threshold is reached, in thousandths.
const WHOLE: u64 = 1_000;
/// Below this much of every threshold it is calm.
const CALM: u64 = WHOLE / 2;

/// The policy, and what it goes by. [NODE-RETRY-1]
#[derive(Debug)]
pub(crate) struct Validation {
    policy: Retry,
    handshakes_most: u64,
    first_packets_most: u64,
    lag_most: Duration,
    calm_down: Duration,
    lag: Arc<Lag>,
    handshakes: AtomicUsize,
    first_packets: Mutex<Rate>,
    /// Milliseconds on the caller's clock until which validation is asked for.
    until: AtomicU64,
}

/// Events in the present second and in the one before.
#[derive(Debug, Default)]
struct Rate {
    second: u64,
    count: u64,
    before: u64,
}

impl Validation {
    pub(crate) fn new(connections: &Connections, transport: &Transport, lag: Arc<Lag>) -> Self {
        let shards = u64::from(transport.shards());
        Self {
            policy: connections.retry,
            handshakes_most: shards * connections.retry_threshold as u64,
            first_packets_most: transport.retry_first_packets_per_second,
            lag_most: Duration::from_millis(transport.retry_lag_millis),
            calm_down: Duration::from_secs(transport.retry_calm_seconds),
            lag,
            handshakes: AtomicUsize::new(0),
            first_packets: Mutex::default(),
            until: AtomicU64::new(0),
        }
    }

    /// A first packet without a token has come.
    pub(crate) fn note_first_packet(&self, now: Duration) {
        if self.policy == Retry::Adaptive {
            self.rate(now, 1);
        }
    }

    /// A handshake begins; it is in progress as long as the returned value lives.
    pub(crate) fn begin(self: &Arc<Self>) -> InProgress {
        self.handshakes.fetch_add(1, Ordering::Relaxed);
        InProgress(Arc::clone(self))
    }

    /// Whether a peer that shows no token must be asked for one.
    pub(crate) fn is_asked(&self, now: Duration) -> bool {
        match self.policy {
            Retry::Always => true,
            Retry::Never => false,
            Retry::Adaptive => self.is_troubled(now),
        }
    }

    fn is_troubled(&self, now: Duration) -> bool {
        let trouble = self.trouble(now);
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let still = millis(now) < self.until.load(Ordering::Relaxed);
        if trouble >= WHOLE || (still && trouble >= CALM) {
            let until = millis(now + self.calm_down);
            self.until.store(until, Ordering::Relaxed);
            return true;
        }
        still
    }

    /// The threshold that is nearest to being reached, in thousandths of it.
    fn trouble(&self, now: Duration) -> u64 {
        let share = |value: u64, most: u64| value.saturating_mul(WHOLE) / most.max(1);
        let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let handshakes = self.handshakes.load(Ordering::Relaxed) as u64;
        share(handshakes, self.handshakes_most)
            .max(share(self.rate(now, 0), self.first_packets_most))
            .max(share(micros(self.lag.current()), micros(self.lag_most)))
    }

    /// Count `more` first packets; the number in the fuller of the last two seconds.
    fn rate(&self, now: Duration, more: u64) -> u64 {
        let mut rate = self
            .first_packets
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let second = now.as_secs();
        if second != rate.second {
            let is_next = second == rate.second + 1;
            rate.before = if is_next { rate.count } else { 0 };
            rate.count = 0;
            rate.second = second;
        }
        rate.count += more;
        rate.count.max(rate.before)
    }
}

/// A handshake in progress.
#[derive(Debug)]
pub(crate) struct InProgress(Arc<Validation>);

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.handshakes.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(retry: Retry) -> Arc<Validation> {
        let connections = Connections {
            retry,
            retry_threshold: 10,
            ..Connections::default()
        };
        let transport = Transport {
            shards: 1,
            ..Transport::default()
        };
        Arc::new(Validation::new(&connections, &transport, Arc::default()))
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(1_000 + seconds)
    }

    #[test]
    fn always_and_never_mean_what_they_say() {
        assert!(policy(Retry::Always).is_asked(at(0)));
        let never = policy(Retry::Never);
        let held: Vec<_> = (0..100).map(|_| never.begin()).collect();
        assert!(!never.is_asked(at(0)));
        drop(held);
    }

    /// [NODE-RETRY-1]
    #[test]
    fn many_handshakes_turn_validation_on_until_it_has_been_calm() {
        let adaptive = policy(Retry::Adaptive);
        let mut held: Vec<_> = (0..9).map(|_| adaptive.begin()).collect();
        assert!(!adaptive.is_asked(at(0)));
        held.push(adaptive.begin());
        assert!(adaptive.is_asked(at(0)));
        held.truncate(5);
        assert!(adaptive.is_asked(at(29)), "half is not calm");
        held.truncate(4);
        assert!(adaptive.is_asked(at(58)));
        assert!(!adaptive.is_asked(at(60)));
    }

    /// [NODE-RETRY-1]
    #[test]
    fn many_first_packets_turn_validation_on() {
        let adaptive = policy(Retry::Adaptive);
        (0..199).for_each(|_| adaptive.note_first_packet(at(0)));
        assert!(!adaptive.is_asked(at(0)));
        adaptive.note_first_packet(at(0));
        assert!(adaptive.is_asked(at(0)));
        assert!(adaptive.is_asked(at(1)));
        assert!(!adaptive.is_asked(at(40)));
    }
}
