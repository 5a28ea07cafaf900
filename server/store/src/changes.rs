//! What a transaction changes: rows put and deleted, over rows it has not looked at.

use std::collections::BTreeMap;
use std::collections::btree_map::Range;
use std::iter::Peekable;

use crate::backend::Row;
use crate::error::StoreError;
use crate::row_key::RowKey;

/// Rows put and deleted. Ranges are cleared first, whatever the order of the calls was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    rows: BTreeMap<RowKey, Option<Vec<u8>>>,
    cleared: Vec<(RowKey, RowKey)>,
}

impl Changes {
    /// Set a row.
    pub fn put(&mut self, key: RowKey, value: Vec<u8>) {
        self.rows.insert(key, Some(value));
    }

    /// Remove a row.
    pub fn delete(&mut self, key: RowKey) {
        self.rows.insert(key, None);
    }

    /// Remove the rows from `from` to just before `to`.
    pub fn delete_range(&mut self, from: RowKey, to: RowKey) {
        if from >= to {
            return;
        }
        self.rows.retain(|key, _| *key < from || *key >= to);
        self.cleared.push((from, to));
    }

    /// Apply what came later.
    pub fn absorb(&mut self, later: &Self) {
        for (from, to) in &later.cleared {
            self.delete_range(from.clone(), to.clone());
        }
        for (key, value) in &later.rows {
            self.rows.insert(key.clone(), value.clone());
        }
    }

    /// The row as changed: `None` if the changes say nothing about it, `Some(None)` if deleted.
    #[must_use]
    pub fn get(&self, key: &RowKey) -> Option<Option<&Vec<u8>>> {
        match self.rows.get(key) {
            Some(value) => Some(value.as_ref()),
            None if self.clears(key) => Some(None),
            None => None,
        }
    }

    /// What the changes say about a range.
    #[must_use]
    pub fn within(&self, from: &RowKey, to: &RowKey) -> Self {
        let overlaps = |(start, end): &&(RowKey, RowKey)| start < to && from < end;
        Self {
            rows: self
                .range(from, to)
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
            cleared: self.cleared.iter().filter(overlaps).cloned().collect(),
        }
    }

    /// The rows of a range as they are once these changes are applied to `base`, in key order.
    pub fn over<'a, I>(
        &'a self,
        from: &RowKey,
        to: &RowKey,
        base: I,
    ) -> impl Iterator<Item = Result<Row, StoreError>> + use<'a, I>
    where
        I: Iterator<Item = Result<Row, StoreError>> + 'a,
    {
        Merged {
            changes: self,
            top: self.range(from, to).peekable(),
            base: base.peekable(),
        }
    }

    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.cleared.is_empty()
    }

    /// How many rows are put or deleted; a range counts as one.
    #[must_use]
    pub fn count(&self) -> usize {
        self.rows.len() + self.cleared.len()
    }

    /// The bytes of all keys and values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let row = |(key, value): (&RowKey, &Option<Vec<u8>>)| {
            key.as_ref().len() + value.as_ref().map_or(0, Vec::len)
        };
        let range = |(from, to): &(RowKey, RowKey)| from.as_ref().len() + to.as_ref().len();
        self.rows.iter().map(row).sum::<usize>() + self.cleared.iter().map(range).sum::<usize>()
    }

    /// The rows put (`Some`) and deleted (`None`), in key order; to be applied after the ranges.
    pub fn rows(&self) -> impl Iterator<Item = (&RowKey, Option<&Vec<u8>>)> {
        self.rows.iter().map(|(key, value)| (key, value.as_ref()))
    }

    /// The ranges cleared.
    #[must_use]
    pub fn cleared(&self) -> &[(RowKey, RowKey)] {
        &self.cleared
    }

    /// The same changes with each value replaced, such as by its ciphertext.
    pub(crate) fn try_map<E>(
        self,
        mut replace: impl FnMut(&RowKey, Vec<u8>) -> Result<Vec<u8>, E>,
    ) -> Result<Self, E> {
        let mut rows = self.rows;
        for (key, value) in &mut rows {
            if let Some(plain) = value.take() {
                *value = Some(replace(key, plain)?);
            }
        }
        Ok(Self {
            rows,
            cleared: self.cleared,
        })
    }

    fn clears(&self, key: &RowKey) -> bool {
        self.cleared
            .iter()
            .any(|(from, to)| from <= key && key < to)
    }

    fn range(&self, from: &RowKey, to: &RowKey) -> Range<'_, RowKey, Option<Vec<u8>>> {
        // An inverted range has no rows; the map would panic.
        self.rows.range::<RowKey, _>(from..to.max(from))
    }
}

/// Two sorted sequences as one, the upper hiding the lower.
struct Merged<'a, I: Iterator> {
    changes: &'a Changes,
    top: Peekable<Range<'a, RowKey, Option<Vec<u8>>>>,
    base: Peekable<I>,
}

impl<I: Iterator<Item = Result<Row, StoreError>>> Iterator for Merged<'_, I> {
    type Item = Result<Row, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let below = match self.base.peek() {
                Some(Err(_)) => return self.base.next(),
                Some(Ok(row)) => Some(&row.key),
                None => None,
            };
            if below.is_some_and(|key| self.changes.clears(key)) {
                self.base.next();
                continue;
            }
            let Some((key, value)) = self.top.peek().copied() else {
                return self.base.next();
            };
            match below {
                Some(below) if below < key => return self.base.next(),
                Some(below) if below == key => drop(self.base.next()),
                Some(_) | None => {}
            }
            self.top.next();
            if let Some(value) = value {
                return Some(Ok(Row {
                    key: key.clone(),
                    value: value.clone(),
                }));
            }
        }
    }
}
