//! Partitions used lately: their heads, and the rows that transactions asked for.
//!
//! All commits pass here, so what is remembered is what a read of the sequenced state would find,
//! and the hot rows of a busy partition never touch the database. Rows that do not exist are
//! remembered too. A row that is only written, such as an entry of a queue, is not.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use store::{Changes, Found, Head, Partition, Read, RowKey, View};

/// The most rows remembered of a partition.
const ROWS_MAX: usize = 32;

/// The longest value remembered.
const VALUE_BYTES_MAX: usize = 4 * 1024;

/// About what a partition takes beside its rows, and a row beside its key and value.
const PARTITION_BYTES: usize = 160;
const ROW_BYTES: usize = 80;

/// Two generations: when the young one is full it becomes the old one, and the old one is dropped.
pub(crate) struct Recent {
    young: Generation,
    old: Generation,
    /// About how much the young generation takes.
    bytes: usize,
    bytes_max: usize,
    drops: u64,
}

type Generation = HashMap<Partition, Known, BuildHasherDefault<BlindedHasher>>;

/// What is known of a partition, as last sequenced.
struct Known {
    head: Head,
    rows: Vec<(RowKey, Option<Vec<u8>>)>,
}

impl Recent {
    /// Remembers up to about so many bytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            young: Generation::default(),
            old: Generation::default(),
            bytes: 0,
            bytes_max: bytes_max / 2,
            drops: 0,
        }
    }

    pub(crate) fn head(&mut self, partition: &Partition) -> Option<Head> {
        self.known(partition).map(|known| known.head)
    }

    /// The answer to reads, if all of it is remembered.
    pub(crate) fn view(&mut self, partition: &Partition, reads: &[Read]) -> Option<View> {
        let known = self.known(partition)?;
        let find = |read: &Read| match read {
            Read::Row(key) => known.row(key).cloned().map(Found::Row),
            Read::Range { .. } => None,
        };
        let found = reads.iter().map(find).collect::<Option<_>>()?;
        let head = known.head;
        Some(View { head, found })
    }

    /// Remember the head of a partition nothing is known of.
    pub(crate) fn learn_head(&mut self, partition: &Partition, head: Head) {
        let rows = Vec::new();
        self.insert(*partition, Known { head, rows });
    }

    /// Remember what was found in the sequenced state of a partition.
    pub(crate) fn learn_rows(&mut self, partition: &Partition, reads: &[Read], found: &[Found]) {
        self.change(partition, |known| {
            for (read, found) in reads.iter().zip(found) {
                if let (Read::Row(key), Found::Row(value)) = (read, found) {
                    known.learn(key, value.as_ref());
                }
            }
        });
    }

    /// A commit was sequenced.
    pub(crate) fn apply(&mut self, partition: &Partition, head: Head, changes: &Changes) {
        if !self.change(partition, |known| known.apply(head, changes)) {
            self.learn_head(partition, head);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
        self.bytes = 0;
        self.drops += 1;
    }

    /// Changes whenever a head may have been dropped.
    pub(crate) const fn drops(&self) -> u64 {
        self.drops
    }

    fn known(&mut self, partition: &Partition) -> Option<&mut Known> {
        if !self.young.contains_key(partition) {
            let known = self.old.remove(partition)?;
            self.insert(*partition, known);
        }
        self.young.get_mut(partition)
    }

    fn insert(&mut self, partition: Partition, known: Known) {
        if self.bytes >= self.bytes_max {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
            self.drops += 1;
        }
        self.bytes += known.bytes();
        self.young.insert(partition, known);
    }

    /// Change what is known of a partition, if anything is.
    fn change(&mut self, partition: &Partition, change: impl FnOnce(&mut Known)) -> bool {
        let Some(known) = self.known(partition) else {
            return false;
        };
        let before = known.bytes();
        change(known);
        let after = known.bytes();
        self.bytes = (self.bytes + after).saturating_sub(before);
        true
    }
}

impl Known {
    fn row(&self, key: &RowKey) -> Option<&Option<Vec<u8>>> {
        let row = self.rows.iter().find(|(known, _)| known == key)?;
        Some(&row.1)
    }

    fn learn(&mut self, key: &RowKey, value: Option<&Vec<u8>>) {
        if value.is_some_and(|value| value.len() > VALUE_BYTES_MAX) || self.row(key).is_some() {
            return;
        }
        if self.rows.len() >= ROWS_MAX {
            self.rows.clear();
        }
        self.rows.push((key.clone(), value.cloned()));
    }

    fn apply(&mut self, head: Head, changes: &Changes) {
        self.head = head;
        self.rows.retain_mut(|(key, known)| {
            match changes.get(key) {
                Some(Some(value)) if value.len() > VALUE_BYTES_MAX => return false,
                Some(Some(value)) => known.get_or_insert_default().clone_from(value),
                Some(None) => *known = None,
                None => {}
            }
            true
        });
    }

    fn bytes(&self) -> usize {
        let row = |(key, value): &(RowKey, Option<Vec<u8>>)| {
            ROW_BYTES + key.as_ref().len() + value.as_ref().map_or(0, Vec::len)
        };
        PARTITION_BYTES + self.rows.iter().map(row).sum::<usize>()
    }
}

/// Blinded ids are as good as random already, and nobody without the storage key can choose them.
#[derive(Default)]
struct BlindedHasher(u64);

impl Hasher for BlindedHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let word = chunk
                .iter()
                .fold(0, |word, byte| word << 8 | u64::from(*byte));
            self.0 = self.0.rotate_left(17) ^ word;
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::{OpId, Space, Version};

    const SPACE: Space = Space::new(1, "space");

    fn partition(n: u8) -> Partition {
        Partition::from_blinded(SPACE, [n; 16])
    }

    fn head(n: u8) -> Head {
        (0..n).fold(Head::default(), |head, n| {
            head.after(OpId([n; 16]), Version(0))
        })
    }

    fn key(table: u8) -> RowKey {
        RowKey::new(table, &partition(1))
    }

    /// Knows version 1 of partition 1, with rows of tables 1 (a value) and 2 (none).
    fn recent() -> Recent {
        let mut recent = Recent::new(1 << 16);
        recent.learn_head(&partition(1), head(1));
        let reads = [Read::Row(key(1)), Read::Row(key(2))];
        let found = [Found::Row(Some(vec![1])), Found::Row(None)];
        recent.learn_rows(&partition(1), &reads, &found);
        recent
    }

    fn value(recent: &mut Recent, table: u8) -> Option<Found> {
        let view = recent.view(&partition(1), &[Read::Row(key(table))])?;
        view.found.into_iter().next()
    }

    #[test]
    fn known_rows_and_known_gaps_are_answered_and_others_are_not() {
        let mut recent = recent();
        assert_eq!(value(&mut recent, 1), Some(Found::Row(Some(vec![1]))));
        assert_eq!(value(&mut recent, 2), Some(Found::Row(None)));
        assert_eq!(value(&mut recent, 3), None);
        let both = [Read::Row(key(1)), Read::Row(key(3))];
        assert!(recent.view(&partition(1), &both).is_none());
        assert!(recent.view(&partition(2), &[]).is_none());
    }

    #[test]
    fn a_commit_changes_known_rows_and_adds_none() {
        let mut recent = recent();
        let mut changes = Changes::default();
        changes.delete_range(key(1), key(2));
        changes.put(key(2), vec![2]);
        changes.put(key(3), vec![3]);
        recent.apply(&partition(1), head(2), &changes);
        assert_eq!(recent.head(&partition(1)), Some(head(2)));
        assert_eq!(value(&mut recent, 1), Some(Found::Row(None)));
        assert_eq!(value(&mut recent, 2), Some(Found::Row(Some(vec![2]))));
        assert_eq!(value(&mut recent, 3), None);
    }

    #[test]
    fn a_row_that_became_long_is_forgotten() {
        let mut recent = recent();
        let mut changes = Changes::default();
        changes.put(key(1), vec![0; VALUE_BYTES_MAX + 1]);
        recent.apply(&partition(1), head(2), &changes);
        assert_eq!(value(&mut recent, 1), None);
    }

    #[test]
    fn what_is_used_stays_and_the_rest_goes() {
        let mut recent = Recent::new(20 * PARTITION_BYTES);
        for n in 0..100 {
            recent.learn_head(&partition(n), head(1));
            assert_eq!(recent.head(&partition(0)), Some(head(1)));
            assert!(recent.young.len() + recent.old.len() <= 21);
        }
        assert_eq!(recent.head(&partition(1)), None);
        assert!(recent.drops() > 0);
    }
}
