//! Typed tables and how their keys become bytes that sort.

use std::fmt;
use std::marker::PhantomData;

use ring::hmac;

use crate::row_key::RowKey;
use crate::sealed::blind;
use crate::space::Space;

/// Who seals the values of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealing {
    /// The store, under the operator's storage key.
    Sealed,
    /// Clients have: the value is ciphertext under their keys already and is stored as it is.
    ClientSealed,
}

/// A table: keys `K`, values `V`, in the partitions of one space.
pub struct Table<K, V> {
    space: Space,
    id: u8,
    name: &'static str,
    sealing: Sealing,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K, V> Table<K, V> {
    /// A table. Its `id` is unique in its space forever, from 1 on; 0 holds the backend's heads.
    ///
    /// # Panics
    /// The id is 0; for a constant, when it is compiled.
    #[must_use]
    pub const fn new(space: Space, id: u8, name: &'static str) -> Self {
        assert!(id > 0, "table 0 holds the heads of partitions");
        Self {
            space,
            id,
            name,
            sealing: Sealing::Sealed,
            types: PhantomData,
        }
    }

    /// The same table for values that clients have sealed.
    #[must_use]
    pub const fn client_sealed(self) -> Self {
        Self {
            sealing: Sealing::ClientSealed,
            ..self
        }
    }

    /// A row of this table, for [`Tx::prefetch`](crate::Tx::prefetch).
    #[must_use]
    pub const fn at<'k>(&self, key: &'k K) -> At<'k, K, V> {
        At { table: *self, key }
    }

    /// The space whose partitions hold its rows.
    #[must_use]
    pub const fn space(&self) -> Space {
        self.space
    }

    /// Its number within the space.
    #[must_use]
    pub const fn id(&self) -> u8 {
        self.id
    }

    /// Its name, in errors and in what binds its rows to it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Who seals its values.
    #[must_use]
    pub const fn sealing(&self) -> Sealing {
        self.sealing
    }
}

impl<K, V> Clone for Table<K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for Table<K, V> {}

impl<K, V> fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({})", self.name)
    }
}

/// A row of a table: made by [`Table::at`].
pub struct At<'k, K, V> {
    pub(crate) table: Table<K, V>,
    pub(crate) key: &'k K,
}

impl<K, V> fmt::Debug for At<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "At({})", self.table.name)
    }
}

/// What names a row within its partition and table.
pub trait Key {
    /// Write the parts of the key, most significant first; always the same parts.
    fn encode_key(&self, out: &mut KeyWriter<'_>);
}

/// Takes the parts of a key. There is no way to write an identifying part in the clear.
#[derive(Debug)]
pub struct KeyWriter<'a> {
    out: &'a mut RowKey,
    blinding: &'a hmac::Key,
}

impl<'a> KeyWriter<'a> {
    pub(crate) const fn new(out: &'a mut RowKey, blinding: &'a hmac::Key) -> Self {
        Self { out, blinding }
    }

    /// A number that says nothing by itself and by which rows sort.
    pub fn ordered_u64(&mut self, value: u64) {
        self.out.extend(&value.to_be_bytes());
    }

    /// A number that says nothing by itself and by which rows sort.
    pub fn ordered_u32(&mut self, value: u32) {
        self.out.extend(&value.to_be_bytes());
    }

    /// A part that identifies something: replaced by 16 bytes only the storage key can compute.
    pub fn blinded(&mut self, part: &[u8]) {
        self.out.extend(&blind(self.blinding, part));
    }
}

/// The key of a scanned row behind its table and partition. Blinded parts stay blinded.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeySuffix(Vec<u8>);

impl KeySuffix {
    pub(crate) const fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The ordered number the key ends with.
    #[must_use]
    pub fn ordered_u64(&self) -> Option<u64> {
        self.0.last_chunk().copied().map(u64::from_be_bytes)
    }

    /// The ordered number the key ends with.
    #[must_use]
    pub fn ordered_u32(&self) -> Option<u32> {
        self.0.last_chunk().copied().map(u32::from_be_bytes)
    }

    /// The ordered number the key begins with.
    #[must_use]
    pub fn first_ordered_u64(&self) -> Option<u64> {
        self.0.first_chunk().copied().map(u64::from_be_bytes)
    }

    /// All of it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for KeySuffix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySuffix(..)")
    }
}

#[cfg(test)]
mod tests;
