//! A table of fixed size from keys to numbers that only grow: it never says less than is true.
//!
//! ```text
//! key ──keyed hash──► a cell in each row      read:  the least of them
//!                                             raise: each to at least the new number
//! ```
//!
//! A peer cannot make it grow, and cannot choose keys that meet another's: the hash is keyed anew
//! in each process. What grows is chosen so that time makes small numbers meaningless: the moment
//! at which a bucket is full again, or use scaled by how late it was.

use std::hash::{BuildHasher, Hash, RandomState};

/// Rows: a key is overestimated only if others meet it in each.
const ROWS: usize = 4;
/// Bits of the hash that choose a cell in one row.
const CELL_BITS: u32 = 16;

/// Numbers by key, in fixed memory. [NODE-SKETCH-1]
pub(crate) struct Sketch {
    hasher: RandomState,
    /// Cells of a row, less one: a power of two less one.
    mask: usize,
    cells: Box<[u64]>,
}

impl Sketch {
    /// A table with `2^bits` cells a row, at most 2^16, all zero.
    pub(crate) fn new(bits: u32) -> Self {
        let cells = 1_usize << bits.min(CELL_BITS);
        Self {
            hasher: RandomState::new(),
            mask: cells - 1,
            cells: vec![0; cells * ROWS].into_boxed_slice(),
        }
    }

    /// At least the number that the key was last raised to.
    pub(crate) fn read(&self, key: &impl Hash) -> u64 {
        let cells = self.places(key).map(|place| self.cells.get(place).copied());
        cells.into_iter().flatten().min().unwrap_or_default()
    }

    /// Let the key's number be at least `number`. Cells that are higher already stay: they are
    /// others' as well, and raising no more than needed keeps those apart.
    pub(crate) fn raise(&mut self, key: &impl Hash, number: u64) {
        for place in self.places(key) {
            if let Some(cell) = self.cells.get_mut(place) {
                *cell = number.max(*cell);
            }
        }
    }

    /// Change every number at once, keeping their order.
    pub(crate) fn rescale(&mut self, change: impl Fn(u64) -> u64) {
        self.cells.iter_mut().for_each(|cell| *cell = change(*cell));
    }

    fn places(&self, key: &impl Hash) -> [usize; ROWS] {
        let hash = self.hasher.hash_one(key);
        let mut row = 0;
        [0, 1, 2, 3].map(|slice: u32| {
            let bits = usize::try_from((hash >> (slice * CELL_BITS)) & 0xffff).unwrap_or_default();
            let place = row * (self.mask + 1) + (bits & self.mask);
            row += 1;
            place
        })
    }
}

impl std::fmt::Debug for Sketch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sketch({} cells)", self.cells.len())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// [NODE-SKETCH-1]
        #[test]
        fn no_key_is_ever_underestimated(
            raises in prop::collection::vec((0_u16..500, 0_u64..1_000_000), 0..2_000),
        ) {
            let mut sketch = Sketch::new(4);
            let mut truth = BTreeMap::<u16, u64>::new();
            for (key, number) in raises {
                sketch.raise(&key, number);
                let most = truth.entry(key).or_default();
                *most = number.max(*most);
            }
            for (key, most) in truth {
                prop_assert!(sketch.read(&key) >= most);
            }
        }
    }

    #[test]
    fn few_keys_in_a_large_table_are_told_apart() {
        let mut sketch = Sketch::new(14);
        for key in 0_u64..1_000 {
            sketch.raise(&key, key);
        }
        let exact = (0_u64..1_000).filter(|key| sketch.read(key) == *key);
        assert!(exact.count() > 990);
        assert_eq!(sketch.read(&5_000_u64), 0);
    }
}
