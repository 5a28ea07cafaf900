//! Connections of each pseudonym: when there is one too many, the oldest goes.

use std::collections::VecDeque;
use std::collections::btree_map::{BTreeMap, Entry};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quinn::Connection;

use crate::close;

/// The connections that have shown whose they are. A row needs an open connection, so there are no
/// more rows than connections. [NODE-ADMIT-6]
pub(crate) struct Accounts<C = Connection> {
    most: usize,
    open: Mutex<BTreeMap<u64, VecDeque<(usize, C)>>>,
}

/// A place among an account's connections; left when dropped.
#[derive(Debug)]
pub(crate) struct Seat<C = Connection> {
    accounts: Arc<Accounts<C>>,
    account: u64,
    id: usize,
}

impl<C> Accounts<C> {
    /// Accounts with at most `most` connections each.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            open: Mutex::new(BTreeMap::new()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, VecDeque<(usize, C)>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sit down; gives the connection that has to go in return, if any.
    fn seat(self: &Arc<Self>, account: u64, id: usize, connection: C) -> (Seat<C>, Option<C>) {
        let mut open = self.lock();
        let line = open.entry(account).or_default();
        line.push_back((id, connection));
        let oldest = (line.len() > self.most).then(|| line.pop_front());
        drop(open);
        let seat = Seat {
            accounts: Arc::clone(self),
            account,
            id,
        };
        (seat, oldest.flatten().map(|(_, connection)| connection))
    }
}

impl Accounts {
    /// Count a connection for an account. A client that comes back before the server has noticed
    /// that it was gone takes its own old place.
    pub(crate) fn enter(self: &Arc<Self>, account: u64, connection: &Connection) -> Entered {
        let id = connection.stable_id();
        let (seat, oldest) = self.seat(account, id, connection.clone());
        let has_displaced = oldest.is_some();
        if let Some(oldest) = oldest {
            oldest.close(close::DISPLACED, b"too many connections of one key");
        }
        Entered {
            seat,
            has_displaced,
        }
    }
}

/// A connection that was counted.
#[derive(Debug)]
pub(crate) struct Entered {
    pub(crate) seat: Seat,
    /// Whether another one had to go.
    pub(crate) has_displaced: bool,
}

impl<C> fmt::Debug for Accounts<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Accounts(at most {} each)", self.most)
    }
}

impl<C> Drop for Seat<C> {
    fn drop(&mut self) {
        if let Entry::Occupied(mut line) = self.accounts.lock().entry(self.account) {
            line.get_mut().retain(|(id, _)| *id != self.id);
            if line.get().is_empty() {
                line.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [NODE-ADMIT-6]
    #[test]
    fn the_oldest_goes_and_nobody_elses() {
        let accounts = Arc::new(Accounts::new(2));
        let (_first, none) = accounts.seat(7, 1, "first");
        assert_eq!(none, None);
        let (second, _) = accounts.seat(7, 2, "second");
        let (_other, none) = accounts.seat(8, 3, "other");
        assert_eq!(none, None);
        let (_third, oldest) = accounts.seat(7, 4, "third");
        assert_eq!(oldest, Some("first"));
        drop(second);
        let (_fourth, none) = accounts.seat(7, 5, "fourth");
        assert_eq!(none, None);
    }

    #[test]
    fn nothing_is_left_of_those_who_are_gone() {
        let accounts = Arc::new(Accounts::new(2));
        let seats: Vec<_> = (0..10).map(|n| accounts.seat(n % 3, 0, ()).0).collect();
        drop(seats);
        assert!(accounts.lock().is_empty());
    }
}
