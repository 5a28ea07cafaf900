//! Values above the limit of one row, in chunks.
//!
//! ```text
//! key ++ uint32 n   ->  the n-th chunk; the first one begins with the length of the whole (uint64)
//! ```

use crate::error::StoreError;
use crate::limit::{LARGE_BYTES_MAX, VALUE_BYTES_MAX};
use crate::row_key::RowKey;
use crate::table::{Key, Table};
use crate::tx::{ScanLimit, Tx};

/// Marks a table whose values are stored in chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Large {}

/// More chunks than the longest value has.
const CHUNKS_MAX: usize = LARGE_BYTES_MAX / VALUE_BYTES_MAX + 2;

impl Tx<'_> {
    /// Set a value of up to [`LARGE_BYTES_MAX`] bytes, replacing any under the key.
    ///
    /// # Errors
    /// The value is too large.
    pub fn put_large<K: Key>(
        &mut self,
        table: &Table<K, Large>,
        key: &K,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        if bytes.len() > LARGE_BYTES_MAX {
            return Err(StoreError::TooLarge {
                what: "value in chunks",
            });
        }
        self.delete_large(table, key)?;
        let (_, row) = self.locate(table, key)?;
        let mut whole = Vec::with_capacity(8 + bytes.len());
        whole.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        whole.extend_from_slice(bytes);
        for (n, chunk) in (0..).zip(whole.chunks(VALUE_BYTES_MAX)) {
            self.put_bytes(chunk_key(&row, n), chunk.to_vec())?;
        }
        Ok(())
    }

    /// The value, if there is one.
    ///
    /// # Errors
    /// A chunk is corrupt or missing, or the backend failed.
    pub fn get_large<K: Key>(
        &self,
        table: &Table<K, Large>,
        key: &K,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let (keys, row) = self.locate(table, key)?;
        let limit = ScanLimit {
            rows: CHUNKS_MAX,
            bytes: 2 * LARGE_BYTES_MAX,
        };
        let chunks =
            self.scan_bytes(keys, &chunk_key(&row, 0), &chunk_key(&row, u32::MAX), limit)?;
        let Some(first) = chunks.first() else {
            return Ok(None);
        };
        let corrupt = StoreError::Corrupt {
            table: table.name(),
        };
        let Some((length, _)) = first.value.split_first_chunk() else {
            return Err(corrupt);
        };
        let mut whole = Vec::with_capacity(chunks.iter().map(|chunk| chunk.value.len()).sum());
        for (n, chunk) in (0..).zip(&chunks) {
            if chunk.key != chunk_key(&row, n) {
                return Err(corrupt);
            }
            whole.extend_from_slice(&chunk.value);
        }
        if (whole.len() as u64).checked_sub(8) != Some(u64::from_be_bytes(*length)) {
            return Err(corrupt);
        }
        whole.drain(..8);
        Ok(Some(whole))
    }

    /// Remove a value, if there is one.
    ///
    /// # Errors
    /// The key is too large.
    pub fn delete_large<K: Key>(
        &mut self,
        table: &Table<K, Large>,
        key: &K,
    ) -> Result<(), StoreError> {
        let (_, row) = self.locate(table, key)?;
        self.changes_mut()
            .delete_range(chunk_key(&row, 0), chunk_key(&row, u32::MAX));
        Ok(())
    }
}

fn chunk_key(row: &RowKey, n: u32) -> RowKey {
    let mut key = row.clone();
    key.extend(&n.to_be_bytes());
    key
}
