//! The head of a partition: its version and the operations that led to it.

use crate::limit::OPS_REMEMBERED;
use crate::record::CorruptRecord;
use crate::space::{OpId, Version};

/// The version of the encoding of a stored head.
const HEAD_FORMAT: u8 = 1;

/// The version of a partition and its last operation ids, as stored beside its rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Grows with each commit.
    pub version: Version,
    /// The operations of the last commits, latest first; zeros where there were none.
    ops: [OpId; OPS_REMEMBERED],
}

impl Head {
    /// Whether the operation is among the last ones applied.
    #[must_use]
    pub fn remembers(&self, op: OpId) -> bool {
        self.ops.contains(&op)
    }

    /// The head after a commit, whose version is above `floor` also: versions that were given to
    /// commits which then failed are not given again.
    #[must_use]
    pub fn after(&self, op: OpId, floor: Version) -> Self {
        let version = Version(self.version.0.max(floor.0).saturating_add(1));
        let mut ops = self.ops;
        ops.rotate_right(1);
        if let Some(latest) = ops.first_mut() {
            *latest = op;
        }
        Self { version, ops }
    }

    /// As a row.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(9 + 16 * OPS_REMEMBERED);
        out.push(HEAD_FORMAT);
        out.extend_from_slice(&self.version.0.to_be_bytes());
        for op in &self.ops {
            out.extend_from_slice(&op.0);
        }
        out
    }

    /// From a row.
    ///
    /// # Errors
    /// The bytes are no head.
    pub fn decode(bytes: &[u8]) -> Result<Self, CorruptRecord> {
        let (format, rest) = bytes.split_first().ok_or(CorruptRecord)?;
        let (version, rest) = rest.split_first_chunk().ok_or(CorruptRecord)?;
        if *format != HEAD_FORMAT || rest.len() != 16 * OPS_REMEMBERED {
            return Err(CorruptRecord);
        }
        let mut ops = [OpId::default(); OPS_REMEMBERED];
        for (op, stored) in ops.iter_mut().zip(rest.chunks_exact(16)) {
            op.0.copy_from_slice(stored);
        }
        Ok(Self {
            version: Version(u64::from_be_bytes(*version)),
            ops,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_survives_encoding_and_remembers_the_last_operations() {
        let mut head = Head::default();
        for op in 1..=6 {
            head = head.after(OpId([op; 16]), Version(0));
        }
        let head = Head::decode(&head.encode()).unwrap();
        assert_eq!(head.version, Version(6));
        assert!((3..=6).all(|op| head.remembers(OpId([op; 16]))));
        assert!(!head.remembers(OpId([2; 16])));
    }

    #[test]
    fn a_version_is_never_given_twice() {
        let head = Head::default().after(OpId([1; 16]), Version(7));
        assert_eq!(head.version, Version(8));
    }

    #[test]
    fn a_cut_head_does_not_decode() {
        let bytes = Head::default().encode();
        assert!((0..bytes.len()).all(|end| Head::decode(&bytes[..end]).is_err()));
    }
}
