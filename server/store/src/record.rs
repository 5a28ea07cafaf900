//! Values: bytes whose first one is a version.

use std::fmt;

/// What a table stores.
pub trait Record: Sized {
    /// The value as bytes, the first of which is the version of its encoding.
    fn encode(&self) -> Vec<u8>;

    /// The value of stored bytes, to the last byte.
    ///
    /// # Errors
    /// The bytes are no value, or of an unknown version.
    fn decode(bytes: &[u8]) -> Result<Self, CorruptRecord>;
}

/// Stored bytes that are not the record their table promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CorruptRecord;

impl fmt::Display for CorruptRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the stored bytes are not the record their table promises")
    }
}

impl std::error::Error for CorruptRecord {}

/// Bytes stored as they are, for what carries its own version.
#[derive(Clone, PartialEq, Eq)]
pub struct Raw(pub Vec<u8>);

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Raw({} bytes)", self.0.len())
    }
}

impl Record for Raw {
    fn encode(&self) -> Vec<u8> {
        self.0.clone()
    }

    fn decode(bytes: &[u8]) -> Result<Self, CorruptRecord> {
        Ok(Self(bytes.to_vec()))
    }
}
