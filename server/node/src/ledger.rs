//! How much memory peers hold, as far as it is known, and how close that is to what they may.
//!
//! ```text
//! connections × 36 KiB + unfinished frames + requests that wait + batches for listeners
//!     + what peers have not confirmed  =  total  ──►  calm │ yellow (70 %) │ red (85 %)
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::buffers::Account;
use crate::config::Memory;

/// What a connection may take with everything that belongs to it while it is idle, a goal that the
/// idle scenario of the load generator measures; half-open ones take as much.
pub(crate) const CONNECTION_BYTES: usize = 36 << 10;

/// How close memory is to its limit. [NODE-MEMORY-2]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Pressure {
    /// There is enough.
    Calm,
    /// Nobody comes in, and everybody's windows shrink.
    Yellow,
    /// Some are sent away.
    Red,
}

/// The memory that peers hold in this process.
#[derive(Debug)]
pub(crate) struct Ledger {
    yellow: usize,
    red: usize,
    held: AtomicUsize,
    unconfirmed: AtomicUsize,
    frames: Arc<Account>,
}

/// Memory that is held; given back when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    ledger: Arc<Ledger>,
    bytes: usize,
}

impl Ledger {
    pub(crate) fn new(memory: &Memory, frames: Arc<Account>) -> Self {
        let bytes = memory.budget();
        let percent = |percent: usize| bytes / 100 * percent;
        Self {
            yellow: percent(memory.yellow_percent),
            red: percent(memory.red_percent),
            held: AtomicUsize::new(0),
            unconfirmed: AtomicUsize::new(0),
            frames,
        }
    }

    /// Enter bytes that a peer holds.
    pub(crate) fn hold(self: &Arc<Self>, bytes: usize) -> Held {
        self.held.fetch_add(bytes, Ordering::Relaxed);
        Held {
            ledger: Arc::clone(self),
            bytes,
        }
    }

    /// Enter what all peers together have been sent and have not confirmed, as last measured.
    pub(crate) fn note_unconfirmed(&self, bytes: usize) {
        self.unconfirmed.store(bytes, Ordering::Relaxed);
    }

    /// Bytes that peers hold.
    pub(crate) fn total(&self) -> usize {
        self.held.load(Ordering::Relaxed)
            + self.unconfirmed.load(Ordering::Relaxed)
            + self.frames.held()
    }

    /// How close that is to what they may.
    pub(crate) fn pressure(&self) -> Pressure {
        match self.total() {
            total if total >= self.red => Pressure::Red,
            total if total >= self.yellow => Pressure::Yellow,
            _ => Pressure::Calm,
        }
    }

    /// Connections that have to go until the pressure is no longer red.
    pub(crate) fn surplus(&self) -> usize {
        let beyond = self.total().saturating_sub(self.red);
        match self.pressure() {
            Pressure::Red => beyond / CONNECTION_BYTES + 1,
            Pressure::Calm | Pressure::Yellow => 0,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.ledger.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(bytes: usize) -> Arc<Ledger> {
        let memory = Memory {
            bytes,
            ..Memory::default()
        };
        Arc::new(Ledger::new(&memory, Arc::new(Account::new(usize::MAX))))
    }

    /// [NODE-MEMORY-2]
    #[test]
    fn pressure_rises_with_what_is_held_and_falls_again() {
        let ledger = ledger(1_000);
        let first = ledger.hold(690);
        assert_eq!(ledger.pressure(), Pressure::Calm);
        let second = ledger.hold(20);
        assert_eq!(ledger.pressure(), Pressure::Yellow);
        ledger.note_unconfirmed(200);
        assert_eq!(ledger.pressure(), Pressure::Red);
        assert_eq!(ledger.surplus(), 1);
        drop(first);
        assert_eq!((ledger.pressure(), ledger.surplus()), (Pressure::Calm, 0));
        drop(second);
        assert_eq!(ledger.total(), 200);
    }

    #[test]
    fn the_surplus_brings_the_pressure_below_red() {
        let ledger = ledger(100 * CONNECTION_BYTES);
        let mut held: Vec<_> = (0..100).map(|_| ledger.hold(CONNECTION_BYTES)).collect();
        held.truncate(held.len() - ledger.surplus());
        assert_eq!(ledger.pressure(), Pressure::Yellow);
        assert_eq!(held.len(), 84);
    }
}
