//! The places for handshakes on one shard. When all are taken, a newcomer gets that of the oldest.
//!
//! An honest handshake takes two round trips. Whoever leaves handshakes half-open keeps a place only
//! until so many others have begun as there are places, and those are bounded by the budget of all
//! handshakes: a flood shortens the deadline, and keeps nobody out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Places for handshakes in progress. [NODE-ADMIT-7]
#[derive(Clone, Debug)]
pub(crate) struct Places {
    most: usize,
    taken: Arc<Mutex<Taken>>,
}

/// Who has a place, the oldest first. Whoever is put out has its end of the channel closed.
#[derive(Debug, Default)]
struct Taken {
    next: u64,
    handshakes: BTreeMap<u64, oneshot::Sender<()>>,
}

/// The place of a handshake in progress.
#[derive(Debug)]
pub(crate) struct Place {
    number: u64,
    places: Places,
    lost: oneshot::Receiver<()>,
}

impl Places {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            taken: Arc::default(),
        }
    }

    /// Places that are taken.
    pub(crate) fn taken(&self) -> usize {
        self.lock().handshakes.len()
    }

    /// Whether all places are taken.
    pub(crate) fn are_taken(&self) -> bool {
        self.taken() >= self.most
    }

    /// Take a place; that of the oldest handshake if there is no other.
    pub(crate) fn take(&self) -> Place {
        let (holder, lost) = oneshot::channel();
        let mut taken = self.lock();
        if taken.handshakes.len() >= self.most {
            taken.handshakes.pop_first();
        }
        let number = taken.next;
        taken.next += 1;
        taken.handshakes.insert(number, holder);
        drop(taken);
        Place {
            number,
            places: self.clone(),
            lost,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Wait until another has got this place.
    pub(crate) async fn lost(&mut self) {
        // Nothing is ever sent: that the other end is gone is the message.
        let _closed = (&mut self.lost).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().handshakes.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_lost(place: &mut Place) -> bool {
        matches!(
            place.lost.try_recv(),
            Err(oneshot::error::TryRecvError::Closed)
        )
    }

    /// [NODE-ADMIT-7]
    #[test]
    fn a_newcomer_gets_the_place_of_the_oldest() {
        let places = Places::new(2);
        let [mut first, mut second] = [places.take(), places.take()];
        assert!(!is_lost(&mut first));
        let mut third = places.take();
        assert!(is_lost(&mut first));
        assert!(!is_lost(&mut second) && !is_lost(&mut third));
        assert_eq!(places.taken(), 2);
        // Who has lost its place gives none back.
        drop(first);
        assert_eq!(places.taken(), 2);
        drop(second);
        let _fourth = places.take();
        assert!(!is_lost(&mut third));
    }
}
