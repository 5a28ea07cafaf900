//! How many bytes of unfinished frames may be held, for each connection and in all. [NODE-MEMORY-1]

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An account of bytes with a limit.
#[derive(Debug)]
pub(crate) struct Account {
    held: AtomicUsize,
    most: usize,
}

impl Account {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            held: AtomicUsize::new(0),
            most,
        }
    }

    /// Bytes held now.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) -> bool {
        let grow = |held: usize| held.checked_add(bytes).filter(|held| *held <= self.most);
        self.held
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, grow)
            .is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The account of one connection, under the one of the process.
#[derive(Debug)]
pub(crate) struct Buffers {
    connection: Account,
    process: Arc<Account>,
}

/// An account has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// The connection's own.
    Connection,
    /// The one of the process.
    Process,
}

impl Buffers {
    pub(crate) fn new(connection_bytes: usize, process: Arc<Account>) -> Self {
        Self {
            connection: Account::new(connection_bytes),
            process,
        }
    }

    /// A reservation of nothing, to grow.
    pub(crate) fn reservation(self: &Arc<Self>) -> Reservation {
        Reservation {
            buffers: Arc::clone(self),
            bytes: 0,
        }
    }
}

/// Bytes held for one frame; given back when dropped.
pub(crate) struct Reservation {
    buffers: Arc<Buffers>,
    bytes: usize,
}

impl Reservation {
    /// Hold `bytes` more.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Full> {
        if !self.buffers.connection.take(bytes) {
            return Err(Full::Connection);
        }
        if !self.buffers.process.take(bytes) {
            self.buffers.connection.give_back(bytes);
            return Err(Full::Process);
        }
        self.bytes += bytes;
        Ok(())
    }

    /// Give everything back.
    pub(crate) fn release(&mut self) {
        self.buffers.connection.give_back(self.bytes);
        self.buffers.process.give_back(self.bytes);
        self.bytes = 0;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.release();
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reservation({} bytes)", self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_reservation_makes_room_again() {
        let process = Arc::new(Account::new(100));
        let buffers = Arc::new(Buffers::new(60, Arc::clone(&process)));
        let mut first = buffers.reservation();
        assert_eq!(first.grow(50), Ok(()));
        assert_eq!(first.grow(20), Err(Full::Connection));
        drop(first);
        assert_eq!(process.held(), 0);
        assert_eq!(buffers.reservation().grow(60), Ok(()));
    }

    /// [NODE-MEMORY-1]
    #[test]
    fn many_connections_share_the_account_of_the_process() {
        let process = Arc::new(Account::new(100));
        let [one, two] = [(); 2].map(|()| Arc::new(Buffers::new(80, Arc::clone(&process))));
        let mut held = one.reservation();
        assert_eq!(held.grow(80), Ok(()));
        assert_eq!(two.reservation().grow(30), Err(Full::Process));
        assert_eq!(two.reservation().grow(20), Ok(()));
    }
}
