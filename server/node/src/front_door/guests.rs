//! Who was let in a moment ago: the further packets of a first flight, and those that a client
//! sends again, follow the first one.

use std::hash::{BuildHasher, Hash, RandomState};
use std::time::Duration;

/// Sets, and places in each: far more than handshakes that may be in progress.
const SETS: usize = 1 << 11;
const WAYS: usize = 4;
/// How long a guest is known: longer than a handshake may take.
const LIFETIME: Duration = Duration::from_secs(10);

/// A table of fixed size, by hash. Who is pushed out is asked for a token again.
#[derive(Debug)]
pub(crate) struct Guests {
    hasher: RandomState,
    places: Vec<[Place; WAYS]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    guest: u64,
    until: Duration,
}

impl Guests {
    pub(crate) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            places: vec![[Place::default(); WAYS]; SETS],
        }
    }

    /// Remember a guest.
    pub(crate) fn welcome(&mut self, guest: &impl Hash, now: Duration) {
        let hash = self.hasher.hash_one(guest);
        let place = self.places.get_mut(set(hash)).and_then(|set| {
            let known = set.iter().position(|place| place.guest == hash);
            let oldest = || set.iter().enumerate().min_by_key(|(_, place)| place.until);
            let index = known.or_else(|| oldest().map(|(index, _)| index))?;
            set.get_mut(index)
        });
        if let Some(place) = place {
            *place = Place {
                guest: hash,
                until: now + LIFETIME,
            };
        }
    }

    /// Whether somebody was let in not long ago.
    pub(crate) fn knows(&self, guest: &impl Hash, now: Duration) -> bool {
        let hash = self.hasher.hash_one(guest);
        let is_guest = |place: &Place| place.guest == hash && now < place.until;
        self.places
            .get(set(hash))
            .is_some_and(|set| set.iter().any(is_guest))
    }
}

fn set(hash: u64) -> usize {
    usize::try_from(hash % SETS as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_000);

    #[test]
    fn guests_are_known_for_a_while() {
        let mut guests = Guests::new();
        assert!(!guests.knows(&1, NOW));
        guests.welcome(&1, NOW);
        assert!(guests.knows(&1, NOW + LIFETIME - Duration::from_nanos(1)));
        assert!(!guests.knows(&1, NOW + LIFETIME));
        assert!(!guests.knows(&2, NOW));
    }

    #[test]
    fn the_table_does_not_grow_and_keeps_the_latest() {
        let mut guests = Guests::new();
        let many = 20 * SETS * WAYS;
        for guest in 0..many {
            guests.welcome(&guest, NOW + Duration::from_nanos(guest as u64));
        }
        let later = NOW + Duration::from_secs(1);
        let known = (0..many).filter(|guest| guests.knows(guest, later)).count();
        assert!(known <= SETS * WAYS);
        assert!((many - 100..many).all(|guest| guests.knows(&guest, later)));
    }
}
