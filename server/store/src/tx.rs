//! A transaction as its body sees it: typed rows of one partition.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::Arc;

use ring::aead::NONCE_LEN;

use crate::backend::{Backend, Commit, Found, Read, Row, Snapshot};
use crate::changes::Changes;
use crate::error::StoreError;
use crate::limit::{COMMIT_BYTES_MAX, COMMIT_ROWS_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX};
use crate::record::Record;
use crate::row_key::RowKey;
use crate::sealed::{Entropy, Keys, Opened, SEAL_BYTES, TableKeys};
use crate::space::{OpId, Partition, Version};
use crate::table::{At, Key, KeySuffix, KeyWriter, Sealing, Table};

/// How much a scan may return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanLimit {
    /// The most rows.
    pub rows: usize,
    /// The most bytes of values; the first row is returned however long it is.
    pub bytes: usize,
}

/// Reads, and writes that take effect if the transaction commits. Reads see the writes.
pub struct Tx<'a> {
    partition: &'a Partition,
    keys: &'a Keys,
    source: Source<'a>,
    version: Version,
    is_replay: bool,
    is_torn: Cell<bool>,
    prefetched: RefCell<Vec<(RowKey, Option<Vec<u8>>)>>,
    opened: RefCell<Opened>,
    changes: Changes,
}

/// Where rows come from.
pub(crate) enum Source<'a> {
    /// The last sequenced state, for transactions.
    Sequenced(&'a dyn Backend),
    /// A durable state, for views.
    Durable(&'a dyn Snapshot),
}

impl<'a> Tx<'a> {
    /// Begin on the present state. `op` is blinded.
    pub(crate) fn begin(
        keys: &'a Keys,
        backend: &'a dyn Backend,
        partition: &'a Partition,
        op: OpId,
    ) -> Result<Self, StoreError> {
        let head = backend.read(partition, &[])?.head;
        let tx = Self::new(keys, Source::Sequenced(backend), partition, head.version);
        Ok(Self {
            is_replay: head.remembers(op),
            ..tx
        })
    }

    /// Look at a snapshot.
    pub(crate) fn look(
        keys: &'a Keys,
        snapshot: &'a dyn Snapshot,
        partition: &'a Partition,
    ) -> Self {
        let version = snapshot.head().version;
        Self::new(keys, Source::Durable(snapshot), partition, version)
    }

    fn new(keys: &'a Keys, source: Source<'a>, partition: &'a Partition, version: Version) -> Self {
        Self {
            partition,
            keys,
            source,
            version,
            is_replay: false,
            is_torn: Cell::new(false),
            prefetched: RefCell::default(),
            opened: RefCell::default(),
            changes: Changes::default(),
        }
    }

    /// Set a row.
    ///
    /// # Errors
    /// The value or the key is too large.
    pub fn put<K: Key, V: Record>(
        &mut self,
        table: &Table<K, V>,
        key: &K,
        value: &V,
    ) -> Result<(), StoreError> {
        let (_, row) = self.locate(table, key)?;
        self.put_bytes(row, value.encode())
    }

    /// Remove a row, if there is one.
    ///
    /// # Errors
    /// The key is too large.
    pub fn delete<K: Key, V>(&mut self, table: &Table<K, V>, key: &K) -> Result<(), StoreError> {
        let (_, row) = self.locate(table, key)?;
        self.changes.delete(row);
        Ok(())
    }

    /// Remove the rows from `from` to just before `to`.
    ///
    /// # Errors
    /// A key is too large.
    pub fn delete_range<K: Key, V>(
        &mut self,
        table: &Table<K, V>,
        from: &K,
        to: &K,
    ) -> Result<(), StoreError> {
        let (_, from) = self.locate(table, from)?;
        let (_, to) = self.locate(table, to)?;
        self.changes.delete_range(from, to);
        Ok(())
    }

    /// The row, if there is one.
    ///
    /// # Errors
    /// The row is corrupt, or the backend failed.
    pub fn get<K: Key, V: Record>(
        &self,
        table: &Table<K, V>,
        key: &K,
    ) -> Result<Option<V>, StoreError> {
        let (keys, row) = self.locate(table, key)?;
        if let Some(changed) = self.changes.get(&row) {
            return changed.map(|value| decode(keys, value)).transpose();
        }
        let Some(stored) = self.stored(&row)? else {
            return Ok(None);
        };
        if keys.sealing == Sealing::ClientSealed {
            return decode(keys, &stored).map(Some);
        }
        let value = self.opened.borrow_mut().open(keys, row, stored)?;
        decode(keys, &value).map(Some)
    }

    /// Fetch rows that [`Tx::get`] will ask for, with one read of the backend:
    /// `tx.prefetch(&[&QUEUES.at(&()), &ENTRIES.at(&seq)])`.
    ///
    /// # Errors
    /// The backend failed.
    pub fn prefetch(&self, rows: &[&dyn RowAt]) -> Result<(), StoreError> {
        let reads = rows
            .iter()
            .map(|row| row.row_key(self).map(Read::Row))
            .collect::<Result<Vec<_>, _>>()?;
        let found = self.read(&reads)?;
        let mut prefetched = self.prefetched.borrow_mut();
        for answer in reads.into_iter().zip(found) {
            if let (Read::Row(key), Found::Row(stored)) = answer {
                prefetched.push((key, stored));
            }
        }
        Ok(())
    }

    /// The rows from `from` to just before `to`, in key order.
    ///
    /// # Errors
    /// A row is corrupt, or the backend failed.
    pub fn scan<K: Key, V: Record>(
        &self,
        table: &Table<K, V>,
        from: &K,
        to: &K,
        limit: ScanLimit,
    ) -> Result<Vec<(KeySuffix, V)>, StoreError> {
        let (keys, from) = self.locate(table, from)?;
        let (_, to) = self.locate(table, to)?;
        let rows = self.scan_bytes(keys, &from, &to, limit)?;
        let typed = |row: Row| {
            let value = decode(keys, &row.value)?;
            Ok((KeySuffix::new(row.key.suffix().to_vec()), value))
        };
        rows.into_iter().map(typed).collect()
    }

    /// The version of the partition before this transaction; 0 if it does not exist.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The partition.
    #[must_use]
    pub const fn partition(&self) -> &Partition {
        self.partition
    }

    /// Whether this operation is applied already, so that what this run writes will be dropped.
    #[must_use]
    pub const fn is_replay(&self) -> bool {
        self.is_replay
    }

    /// Whether a read found the partition changed, so that the body must run again.
    pub(crate) const fn is_torn(&self) -> bool {
        self.is_torn.get()
    }

    /// The commit of what was written, sealed; none if there is nothing to commit.
    pub(crate) fn finish(
        self,
        op: OpId,
        entropy: &dyn Entropy,
    ) -> Result<Option<Commit>, StoreError> {
        if self.changes.is_empty() || self.is_replay {
            return Ok(None);
        }
        if self.changes.count() > COMMIT_ROWS_MAX {
            return Err(StoreError::TooLarge {
                what: "rows of a commit",
            });
        }
        if self.changes.bytes() > COMMIT_BYTES_MAX {
            return Err(StoreError::TooLarge {
                what: "bytes of a commit",
            });
        }
        let mut nonces = vec![0; self.changes.count() * NONCE_LEN];
        entropy.fill(&mut nonces);
        let mut nonces = nonces.as_chunks().0.iter();
        let (keys, space) = (self.keys, self.partition.space());
        let opened = self.opened.into_inner();
        let changes = self
            .changes
            .try_map(|row, value| match keys.table_of(space, row) {
                Some(keys) if keys.sealing == Sealing::ClientSealed => Ok(value),
                Some(keys) => {
                    let nonce = nonces.next().ok_or(StoreError::Unavailable)?;
                    Ok(opened.seal(keys, row, *nonce, &value))
                }
                None => Err(StoreError::WrongSpace { name: space.name }),
            })?;
        let (partition, expected) = (*self.partition, self.version);
        Ok(Some(Commit {
            partition,
            op,
            expected,
            changes: Arc::new(changes),
        }))
    }

    pub(crate) const fn changes_mut(&mut self) -> &mut Changes {
        &mut self.changes
    }

    pub(crate) fn put_bytes(&mut self, row: RowKey, value: Vec<u8>) -> Result<(), StoreError> {
        if value.len() > VALUE_BYTES_MAX {
            return Err(StoreError::TooLarge {
                what: "value of a row",
            });
        }
        self.changes.put(row, value);
        Ok(())
    }

    /// The keys of a table and the full key of a row of it.
    pub(crate) fn locate<K: Key, V>(
        &self,
        table: &Table<K, V>,
        key: &K,
    ) -> Result<(&'a TableKeys, RowKey), StoreError> {
        if table.space() != self.partition.space() {
            return Err(StoreError::WrongSpace { name: table.name() });
        }
        let keys = self.keys.table(table)?;
        let mut row = RowKey::new(table.id(), self.partition);
        key.encode_key(&mut KeyWriter::new(&mut row, &keys.blinding));
        if row.suffix().len() > KEY_BYTES_MAX {
            return Err(StoreError::TooLarge {
                what: "key of a row",
            });
        }
        Ok((keys, row))
    }

    /// The rows of a range, opened, with what this transaction wrote.
    pub(crate) fn scan_bytes(
        &self,
        keys: &TableKeys,
        from: &RowKey,
        to: &RowKey,
        limit: ScanLimit,
    ) -> Result<Vec<Row>, StoreError> {
        let pages = Pages {
            tx: self,
            keys,
            next: Some(from.clone()),
            to: to.clone(),
            limit,
            page: Vec::new().into_iter(),
        };
        let (mut rows, mut bytes) = (Vec::new(), 0_usize);
        for row in self.changes.over(from, to, pages).take(limit.rows) {
            let row = row?;
            bytes = bytes.saturating_add(row.value.len());
            if bytes > limit.bytes && !rows.is_empty() {
                break;
            }
            rows.push(row);
            if bytes >= limit.bytes {
                break;
            }
        }
        Ok(rows)
    }

    /// A row as stored, prefetched or read now.
    fn stored(&self, row: &RowKey) -> Result<Option<Vec<u8>>, StoreError> {
        let prefetched = self.prefetched.borrow();
        if let Some((_, stored)) = prefetched.iter().find(|(key, _)| key == row) {
            return Ok(stored.clone());
        }
        drop(prefetched);
        match self.read(&[Read::Row(row.clone())])?.pop() {
            Some(Found::Row(stored)) => Ok(stored),
            Some(Found::Range(_)) | None => Ok(None),
        }
    }

    fn read(&self, reads: &[Read]) -> Result<Vec<Found>, StoreError> {
        match self.source {
            Source::Durable(snapshot) => snapshot.read(reads),
            Source::Sequenced(backend) => {
                let found = backend.read(self.partition, reads).and_then(|view| {
                    let is_same = view.head.version == self.version;
                    if is_same {
                        Ok(view.found)
                    } else {
                        Err(StoreError::Conflict)
                    }
                });
                self.is_torn
                    .set(self.is_torn.get() || found == Err(StoreError::Conflict));
                found
            }
        }
    }
}

impl fmt::Debug for Tx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tx({:?}, {:?})", self.partition, self.version)
    }
}

/// A row to prefetch: see [`Table::at`].
pub trait RowAt {
    /// The full key of the row.
    ///
    /// # Errors
    /// The key is too large, or the table is of another space.
    fn row_key(&self, tx: &Tx<'_>) -> Result<RowKey, StoreError>;
}

impl<K: Key, V> RowAt for At<'_, K, V> {
    fn row_key(&self, tx: &Tx<'_>) -> Result<RowKey, StoreError> {
        tx.locate(&self.table, self.key).map(|(_, row)| row)
    }
}

/// The stored rows of a range, opened, fetched as far as they are asked for.
struct Pages<'t, 'a> {
    tx: &'t Tx<'a>,
    keys: &'t TableKeys,
    next: Option<RowKey>,
    to: RowKey,
    limit: ScanLimit,
    page: std::vec::IntoIter<Row>,
}

impl Pages<'_, '_> {
    fn turn(&mut self, from: RowKey) -> Result<(), StoreError> {
        // Enough that a page never ends before the limit of the scan does.
        let overhead = self.to.as_ref().len() + SEAL_BYTES;
        let rows = self.limit.rows;
        let bytes = self
            .limit
            .bytes
            .saturating_add(rows.saturating_mul(overhead));
        let range = Read::Range {
            from,
            to: self.to.clone(),
            rows,
            bytes,
        };
        let Some(Found::Range(page)) = self.tx.read(&[range])?.pop() else {
            return Ok(());
        };
        let taken: usize = page
            .iter()
            .map(|row| row.key.as_ref().len() + row.value.len())
            .sum();
        if page.len() >= rows || taken >= bytes {
            self.next = page.last().map(|row| row.key.successor());
        }
        self.page = page.into_iter();
        Ok(())
    }
}

impl Iterator for Pages<'_, '_> {
    type Item = Result<Row, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(Row { key, value }) = self.page.next() {
                let opened = match self.keys.sealing {
                    Sealing::Sealed => self.keys.open_once(&key, value),
                    Sealing::ClientSealed => Ok(value),
                };
                return Some(opened.map(|value| Row { key, value }));
            }
            let from = self.next.take()?;
            if let Err(error) = self.turn(from) {
                return Some(Err(error));
            }
        }
    }
}

fn decode<V: Record>(keys: &TableKeys, value: &[u8]) -> Result<V, StoreError> {
    V::decode(value).map_err(|_| StoreError::Corrupt { table: keys.name })
}
