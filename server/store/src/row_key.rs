//! Full keys of rows. Nearly all are short, and held without an allocation.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use crate::space::Partition;

/// The longest key held in place: three numbers, or an identifier and one number.
const SHORT_BYTES_MAX: usize = 46;

/// The full key of a row: table id (1 byte), partition id (16), the key within both.
#[derive(Clone)]
pub struct RowKey(Bytes);

#[derive(Clone)]
enum Bytes {
    /// The first `length` bytes count.
    Short {
        length: u8,
        bytes: [u8; SHORT_BYTES_MAX],
    },
    Long(Vec<u8>),
}

impl RowKey {
    /// How many bytes stand before the key within table and partition.
    pub const PREFIX_BYTES: usize = 17;

    /// The key of the row of `table` that has an empty key.
    #[must_use]
    pub fn new(table: u8, partition: &Partition) -> Self {
        let mut key = Self::empty();
        key.extend(&[table]);
        key.extend(partition.id());
        key
    }

    /// The key of bytes as stored.
    #[must_use]
    pub fn from_stored(bytes: impl AsRef<[u8]>) -> Self {
        let mut key = Self::empty();
        key.extend(bytes.as_ref());
        key
    }

    /// The key just behind this one.
    #[must_use]
    pub fn successor(&self) -> Self {
        let mut key = self.clone();
        key.extend(&[0]);
        key
    }

    /// The id of its table.
    #[inline]
    #[must_use]
    pub fn table(&self) -> u8 {
        self.as_ref().first().copied().unwrap_or_default()
    }

    /// The key within table and partition.
    #[inline]
    #[must_use]
    pub fn suffix(&self) -> &[u8] {
        self.as_ref().get(Self::PREFIX_BYTES..).unwrap_or_default()
    }

    /// Append to the key.
    pub(crate) fn extend(&mut self, more: &[u8]) {
        match &mut self.0 {
            Bytes::Short { length, bytes } => {
                let start = usize::from(*length);
                let end = start + more.len();
                match (bytes.get_mut(start..end), u8::try_from(end)) {
                    (Some(place), Ok(end)) => {
                        place.copy_from_slice(more);
                        *length = end;
                    }
                    (None, _) | (_, Err(_)) => self.0 = Bytes::Long([self.as_ref(), more].concat()),
                }
            }
            Bytes::Long(bytes) => bytes.extend_from_slice(more),
        }
    }

    const fn empty() -> Self {
        Self(Bytes::Short {
            length: 0,
            bytes: [0; SHORT_BYTES_MAX],
        })
    }
}

impl AsRef<[u8]> for RowKey {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Short { length, bytes } => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Bytes::Long(bytes) => bytes,
        }
    }
}

impl PartialEq for RowKey {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.as_ref() == other.as_ref()
    }
}

impl Eq for RowKey {}

impl PartialOrd for RowKey {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for RowKey {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_ref().cmp(other.as_ref())
    }
}

impl Hash for RowKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_ref().hash(state);
    }
}

impl fmt::Debug for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowKey(table {}, ..)", self.table())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::Space;

    #[test]
    fn keys_are_the_same_bytes_at_every_length() {
        let partition = Partition::from_blinded(Space::new(1, "space"), [9; 16]);
        let mut key = RowKey::new(3, &partition);
        let mut bytes = key.as_ref().to_vec();
        for n in 0..100 {
            assert!(key < key.successor() && key == RowKey::from_stored(&bytes));
            assert_eq!((key.table(), key.suffix()), (3, &bytes[17..]));
            key.extend(&[n]);
            bytes.push(n);
            assert_eq!(key.as_ref(), bytes);
        }
        key.extend(&[]);
        assert_eq!(key.as_ref(), bytes);
    }
}
