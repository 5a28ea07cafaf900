//! How much of the work was done for whom, against a quarter of it all.

use std::collections::BTreeMap;

use crate::sketch::Sketch;

/// One part of so many is what anybody may have while others wait. [NODE-FAIR-1]
const PARTS: u64 = 4;
/// Nanoseconds of work that somebody may be ahead: a few requests, so that urgency decides among
/// those who behave.
pub(crate) const ADVANCE_NANOS: u64 = 5_000_000;
/// 2^12 cells in four rows of 8 bytes: 128 KiB for some thousands who compete.
const CELL_BITS: u32 = 12;

/// Marks of accounts, or of networks, and the common mark. All are nanoseconds of work.
#[derive(Debug)]
pub(crate) struct Share {
    common: u64,
    marks: Sketch,
    /// Who waits, with how many jobs.
    competing: BTreeMap<u64, usize>,
}

impl Share {
    pub(crate) fn new() -> Self {
        Self {
            common: 0,
            marks: Sketch::new(CELL_BITS),
            competing: BTreeMap::new(),
        }
    }

    /// One more job of `key` waits.
    pub(crate) fn enter(&mut self, key: u64) {
        *self.competing.entry(key).or_default() += 1;
    }

    /// One fewer.
    pub(crate) fn leave(&mut self, key: u64) {
        if let Some(jobs) = self.competing.get_mut(&key) {
            *jobs -= 1;
            if *jobs == 0 {
                self.competing.remove(&key);
            }
        }
    }

    /// Work was done for `key`, or for the server, which has no share.
    pub(crate) fn charge(&mut self, key: Option<u64>, work: u64) {
        let (mut competitors, mut mark) = (self.competing.len(), None);
        if let Some(key) = key {
            competitors += usize::from(!self.competing.contains_key(&key));
            mark = Some((key, self.mark(key).saturating_add(work)));
        }
        let competitors = u64::try_from(competitors).unwrap_or(PARTS);
        self.common += work / competitors.clamp(1, PARTS);
        if let Some((key, mark)) = mark {
            self.marks.raise(&key, mark);
        }
    }

    /// Where work for `key` begins: never behind the common mark.
    pub(crate) fn mark(&self, key: u64) -> u64 {
        self.marks.read(&key).max(self.common)
    }

    /// How much work was done for `key`, as far as it is ahead of the common mark.
    pub(crate) fn rank(&self, key: u64) -> u64 {
        self.marks.read(&key)
    }

    /// How far `key` is ahead of the common mark.
    pub(crate) fn ahead(&self, key: u64) -> u64 {
        self.mark(key) - self.common
    }

    /// Whether `key` has not had its share.
    pub(crate) fn is_within(&self, key: u64) -> bool {
        is_within(self.ahead(key))
    }
}

/// Whether somebody who is so far ahead has not had its share.
pub(crate) fn is_within(ahead: u64) -> bool {
    ahead <= ADVANCE_NANOS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_ahead_without_competition() {
        let mut share = Share::new();
        for _ in 0..1_000 {
            share.charge(Some(1), ADVANCE_NANOS);
        }
        assert_eq!(share.ahead(1), 0);
    }

    #[test]
    fn idle_time_is_not_saved_up() {
        let mut share = Share::new();
        (1..=5).for_each(|key| share.enter(key));
        for _ in 0..1_000 {
            (2..=5).for_each(|key| share.charge(Some(key), ADVANCE_NANOS));
        }
        assert!(share.is_within(1));
        share.charge(Some(1), 2 * ADVANCE_NANOS);
        assert!(!share.is_within(1));
    }
}
