//! RocksDB itself: opening it, reading rows, and how rows are laid out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use rocksdb::{ColumnFamily, DB, DBRawIterator, ReadOptions, WriteBatch, WriteOptions};
use store::{Changes, Found, Head, Partition, Read, Row, RowKey, Snapshot, Space, StoreError};

use crate::Batch;
use crate::options::RocksOptions;
use crate::sequencer::Staged;

/// The table that holds the heads of partitions.
const HEADS: u8 = 0;

/// The row of the default column family that says how the others are laid out.
const FORMAT_KEY: &[u8] = b"format";

/// The layout this program knows.
const FORMAT: &[u8] = &[1];

/// The longest range deleted row by row. Tombstones of ranges make every later read of the write
/// buffer slower, those of rows do not; queues delete a few rows at a time.
const RANGE_ROWS_MAX: usize = 1024;

pub(crate) struct Database {
    db: DB,
    spaces: Vec<Space>,
    sync: WriteOptions,
}

/// What state to read.
pub(crate) enum Source<'a> {
    Latest,
    At(&'a rocksdb::Snapshot<'a>),
}

impl Database {
    pub(crate) fn open(
        path: &Path,
        spaces: &[Space],
        options: RocksOptions,
    ) -> Result<Self, StoreError> {
        let settings = options.database();
        // Fails if there is no database yet.
        let present = DB::list_cf(&settings, path).unwrap_or_default();
        let mut names: BTreeSet<&str> = spaces.iter().map(|space| space.name).collect();
        names.extend(present.iter().map(String::as_str));
        names.insert(rocksdb::DEFAULT_COLUMN_FAMILY_NAME);
        let families = options.column_families(names.into_iter());
        let db = DB::open_cf_descriptors(&settings, path, families).map_err(|error| {
            let is_locked = error.as_ref().contains("lock");
            if is_locked {
                StoreError::Locked
            } else {
                failed(&error)
            }
        })?;
        let mut sync = WriteOptions::default();
        sync.set_sync(true);
        let database = Self {
            db,
            spaces: spaces.to_vec(),
            sync,
        };
        match database
            .db
            .get(FORMAT_KEY)
            .map_err(|error| failed(&error))?
        {
            None => database.probe()?,
            Some(format) if format == FORMAT => {}
            Some(_) => return Err(StoreError::UnknownFormat),
        }
        Ok(database)
    }

    /// Write something harmless, durably.
    pub(crate) fn probe(&self) -> Result<(), StoreError> {
        self.db
            .put_opt(FORMAT_KEY, FORMAT, &self.sync)
            .map_err(|error| failed(&error))
    }

    /// Write a batch, durably.
    pub(crate) fn write(&self, batch: WriteBatch) -> Result<(), StoreError> {
        self.db
            .write_opt(batch, &self.sync)
            .map_err(|error| failed(&error))
    }

    /// Move rows from the log to sorted files, so that the next start is quick.
    pub(crate) fn flush(&self) {
        for space in &self.spaces {
            if let Ok(family) = self.family(*space) {
                // The log has the rows if this fails.
                drop(self.db.flush_cf(family));
            }
        }
    }

    /// What partitions become, as one write. Rows go in the order of their keys: the database finds
    /// each one's place next to that of the one before, and neighbours in the log say nothing of who
    /// committed together.
    pub(crate) fn merge(&self, batch: &Batch) -> Result<WriteBatch, StoreError> {
        let bytes: usize = batch.values().map(Staged::bytes).sum();
        let mut writes = WriteBatch::with_capacity_bytes(bytes);
        let mut tables: BTreeMap<(Space, u8), Vec<_>> = BTreeMap::new();
        for (partition, staged) in batch {
            let space = partition.space();
            let family = self.family(space)?;
            writes.put_cf(family, RowKey::new(HEADS, partition), staged.head.encode());
            for (from, to) in staged.changes.cleared() {
                self.merge_range(&mut writes, family, from, to)?;
            }
            for row in staged.changes.rows() {
                tables.entry((space, row.0.table())).or_default().push(row);
            }
        }
        for ((space, _), rows) in tables {
            let family = self.family(space)?;
            for (key, value) in rows {
                match value {
                    Some(value) => writes.put_cf(family, key, value),
                    None => writes.delete_cf(family, key),
                }
            }
        }
        Ok(writes)
    }

    /// Delete a range. Called by the one writer, so the database has all earlier rows.
    fn merge_range(
        &self,
        batch: &mut WriteBatch,
        family: &ColumnFamily,
        from: &RowKey,
        to: &RowKey,
    ) -> Result<(), StoreError> {
        let range = Range {
            rows: self.iterate(family, from, to, &Source::Latest),
        };
        let keys: Vec<_> = range.take(RANGE_ROWS_MAX + 1).collect::<Result<_, _>>()?;
        if keys.len() > RANGE_ROWS_MAX {
            batch.delete_range_cf(family, from, to);
            return Ok(());
        }
        keys.iter()
            .for_each(|row| batch.delete_cf(family, &row.key));
        Ok(())
    }

    pub(crate) fn head(
        &self,
        partition: &Partition,
        source: &Source<'_>,
    ) -> Result<Head, StoreError> {
        let family = self.family(partition.space())?;
        let key = RowKey::new(HEADS, partition);
        let stored = self.values(family, &[&key], source)?.pop().flatten();
        let decoded = stored.map(|stored| Head::decode(&stored)).transpose();
        decoded
            .map(Option::unwrap_or_default)
            .map_err(|_| StoreError::Corrupt { table: "heads" })
    }

    /// Rows of a partition under changes that are not in the database yet, latest first.
    pub(crate) fn find(
        &self,
        partition: &Partition,
        reads: &[Read],
        layers: &[Arc<Changes>],
        source: &Source<'_>,
    ) -> Result<Vec<Found>, StoreError> {
        let family = self.family(partition.space())?;
        let mut unknown = Vec::new();
        let mut found = Vec::with_capacity(reads.len());
        for read in reads {
            found.push(match read {
                Read::Row(key) => match layers.iter().find_map(|changes| changes.get(key)) {
                    Some(value) => Found::Row(value.cloned()),
                    None => {
                        unknown.push((found.len(), key));
                        Found::Row(None)
                    }
                },
                Read::Range {
                    from,
                    to,
                    rows,
                    bytes,
                } => {
                    let mut merged: Box<dyn Iterator<Item = Result<Row, StoreError>>> =
                        Box::new(Range {
                            rows: self.iterate(family, from, to, source),
                        });
                    for changes in layers.iter().rev() {
                        merged = Box::new(changes.over(from, to, merged));
                    }
                    Found::Range(take(merged, *rows, *bytes)?)
                }
            });
        }
        let keys: Vec<_> = unknown.iter().map(|(_, key)| *key).collect();
        for ((index, _), value) in unknown.into_iter().zip(self.values(family, &keys, source)?) {
            if let Some(place) = found.get_mut(index) {
                *place = Found::Row(value);
            }
        }
        Ok(found)
    }

    pub(crate) fn sweep(
        &self,
        space: Space,
        table: u8,
        after: Option<Partition>,
        limit: usize,
    ) -> Result<Vec<Partition>, StoreError> {
        let family = self.family(space)?;
        let mut rows = self.db.raw_iterator_cf(family);
        let mut found = Vec::new();
        rows.seek(after.map_or_else(|| vec![table], |after| behind(table, after.id())));
        while found.len() < limit {
            let Some((&[first], rest)) = rows.key().and_then(|key| key.split_first_chunk()) else {
                break;
            };
            let Some(id) = rest.first_chunk().filter(|_| first == table).copied() else {
                break;
            };
            found.push(Partition::from_blinded(space, id));
            rows.seek(behind(table, &id));
        }
        rows.status().map_err(|error| failed(&error))?;
        Ok(found)
    }

    pub(crate) fn bytes_stored(&self) -> u64 {
        let size = |space: &Space| {
            let family = self.family(*space).ok()?;
            self.db
                .property_int_value_cf(family, rocksdb::properties::TOTAL_SST_FILES_SIZE)
                .ok()?
        };
        self.spaces.iter().filter_map(size).sum()
    }

    fn family(&self, space: Space) -> Result<&ColumnFamily, StoreError> {
        self.db
            .cf_handle(space.name)
            .ok_or(StoreError::WrongSpace { name: space.name })
    }

    fn values(
        &self,
        family: &ColumnFamily,
        keys: &[&RowKey],
        source: &Source<'_>,
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let get = |key: &&RowKey| match source {
            Source::Latest => self.db.get_cf(family, key),
            Source::At(snapshot) => snapshot.get_cf(family, key),
        };
        keys.iter()
            .map(get)
            .collect::<Result<_, _>>()
            .map_err(|error| failed(&error))
    }

    fn iterate<'a>(
        &'a self,
        family: &ColumnFamily,
        from: &RowKey,
        to: &RowKey,
        source: &Source<'a>,
    ) -> DBRawIterator<'a> {
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(to.as_ref());
        let mut rows = match source {
            Source::Latest => self.db.raw_iterator_cf_opt(family, options),
            Source::At(snapshot) => snapshot.raw_iterator_cf_opt(family, options),
        };
        // An inverted range has no rows.
        rows.seek(from);
        rows
    }
}

/// A partition as the database has it at one moment.
pub(crate) struct RocksSnapshot<'a> {
    database: &'a Database,
    snapshot: rocksdb::Snapshot<'a>,
    partition: Partition,
    head: Head,
}

impl<'a> RocksSnapshot<'a> {
    pub(crate) fn new(database: &'a Database, partition: Partition) -> Result<Self, StoreError> {
        let snapshot = database.db.snapshot();
        let head = database.head(&partition, &Source::At(&snapshot))?;
        Ok(Self {
            database,
            snapshot,
            partition,
            head,
        })
    }
}

impl Snapshot for RocksSnapshot<'_> {
    fn head(&self) -> Head {
        self.head
    }

    fn read(&self, reads: &[Read]) -> Result<Vec<Found>, StoreError> {
        self.database
            .find(&self.partition, reads, &[], &Source::At(&self.snapshot))
    }
}

/// The rows under an iterator.
struct Range<'a> {
    rows: DBRawIterator<'a>,
}

impl Iterator for Range<'_> {
    type Item = Result<Row, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Some((key, value)) = self.rows.item() else {
            return self.rows.status().err().map(|error| Err(failed(&error)));
        };
        let row = Row {
            key: RowKey::from_stored(key),
            value: value.to_vec(),
        };
        self.rows.next();
        Some(Ok(row))
    }
}

fn take(
    rows: impl Iterator<Item = Result<Row, StoreError>>,
    rows_max: usize,
    bytes_max: usize,
) -> Result<Vec<Row>, StoreError> {
    let (mut taken, mut bytes) = (Vec::new(), 0_usize);
    for row in rows.take(rows_max) {
        let row = row?;
        bytes = bytes.saturating_add(row.key.as_ref().len() + row.value.len());
        taken.push(row);
        if bytes >= bytes_max {
            break;
        }
    }
    Ok(taken)
}

/// The first key that may belong to a partition after this one.
fn behind(table: u8, id: &[u8; 16]) -> Vec<u8> {
    let mut key = vec![table];
    match u128::from_be_bytes(*id).checked_add(1) {
        Some(next) => key.extend_from_slice(&next.to_be_bytes()),
        None => key.extend_from_slice(&[0xff; 300]),
    }
    key
}

fn failed(error: &rocksdb::Error) -> StoreError {
    StoreError::Io(error.to_string())
}
