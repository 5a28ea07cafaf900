//! The heads of partitions used lately, so that a commit need not read the database.

use std::collections::HashMap;

use store::{Head, Partition};

/// How many heads a generation holds. A head takes about 150 bytes.
const HEADS_MAX: usize = 32 * 1024;

/// Two generations: when the young one is full it becomes the old one, and the old one is dropped.
#[derive(Default)]
pub(crate) struct Heads {
    young: HashMap<Partition, Head>,
    old: HashMap<Partition, Head>,
    generation: u64,
}

impl Heads {
    pub(crate) fn insert(&mut self, partition: Partition, head: Head) {
        if self.young.len() >= HEADS_MAX {
            self.old = std::mem::take(&mut self.young);
            self.generation += 1;
        }
        self.young.insert(partition, head);
    }

    pub(crate) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
        self.generation += 1;
    }

    pub(crate) fn get(&mut self, partition: &Partition) -> Option<Head> {
        if let Some(head) = self.young.get(partition) {
            return Some(*head);
        }
        let head = self.old.remove(partition)?;
        self.insert(*partition, head);
        Some(head)
    }

    /// Changes whenever a head may have been dropped.
    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }
}
