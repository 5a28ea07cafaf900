//! Where rows live: spaces, partitions, and the versions and operation ids of their commits.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

/// A name space of partitions: one per family of tables. Told apart by `id`.
#[derive(Clone, Copy, Debug)]
pub struct Space {
    /// Unique among all spaces, forever.
    pub id: u8,
    /// For people, and the name of a RocksDB column family.
    pub name: &'static str,
}

impl Space {
    /// A space.
    #[must_use]
    pub const fn new(id: u8, name: &'static str) -> Self {
        Self { id, name }
    }
}

impl PartialEq for Space {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Space {}

impl PartialOrd for Space {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Space {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        self.id.cmp(&other.id)
    }
}

impl Hash for Space {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

/// The rows one commit may touch. The id is blinded, so it says nothing of what it stands for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    space: Space,
    id: [u8; 16],
}

impl Partition {
    /// A partition by its blinded id, as a backend has stored it.
    #[must_use]
    pub const fn from_blinded(space: Space, id: [u8; 16]) -> Self {
        Self { space, id }
    }

    /// The space it belongs to.
    #[must_use]
    #[inline]
    pub const fn space(&self) -> Space {
        self.space
    }

    /// Its blinded id.
    #[must_use]
    #[inline]
    pub const fn id(&self) -> &[u8; 16] {
        &self.id
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Partition({}, ..)", self.space.name)
    }
}

/// What makes repeating an operation harmless: chosen once for it, the same for each attempt.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub [u8; 16]);

impl fmt::Debug for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpId(..)")
    }
}

/// The version of a partition. Zero before its first commit; grows with each, and is never given
/// to two different contents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);
