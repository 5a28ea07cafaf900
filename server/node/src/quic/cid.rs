//! Connection ids that say which shard they belong to, and that nobody else can make.
//!
//! ```text
//! byte 0       random, congruent to the shard modulo the number of shards
//! bytes 1..n   random: n is 6 for connections, 8 for Retry packets
//! bytes n..n+4 tag: a keyed function of the bytes before and of the id's kind
//! ```
//!
//! The length tells the kinds apart for the system, which steers by it: what a client sends to an id
//! of its connection goes to the worker that has made it.
//!
//! An observer learns the shard and nothing else: ids of one connection have nothing in common but
//! the residue, which they share with a large part of all connections.

use std::fmt;
use std::num::NonZeroU8;
use std::time::Duration;

use protocol::crypto::sealed::SymmetricKey;
use quinn::ConnectionId;
use quinn_proto::{ConnectionIdGenerator, InvalidCid};
use ring::aead::quic::{AES_128, HeaderProtectionKey};
use store::Entropy;

use crate::clock::SystemEntropy;

/// Bytes of a connection's id. Six are random: 2^40 ids for each value of the first byte, so that
/// collisions stay rare with millions of connections of eight ids each.
pub(crate) const CID_BYTES: usize = 10;
/// Bytes of a Retry packet's.
const RETRY_CID_BYTES: usize = 12;
/// Bytes of the tag: one guess in 2^32 is right, and a right guess only wins a stateless reset.
const TAG_BYTES: usize = 4;

/// What an id was made for. The tag tells the kinds apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A connection that a worker has begun.
    Connection,
    /// A Retry packet of the front door: nothing is kept for it, the token says everything.
    Retry,
}

impl Kind {
    /// Bytes of an id.
    const fn bytes(self) -> usize {
        match self {
            Self::Connection => CID_BYTES,
            Self::Retry => RETRY_CID_BYTES,
        }
    }
}

/// Makes and recognises ids.
pub(crate) struct CidKey {
    key: HeaderProtectionKey,
}

impl CidKey {
    /// Keyed by the first half of `key`.
    #[expect(clippy::expect_used, reason = "AES-128 takes any 16 bytes")]
    pub(crate) fn new(key: &SymmetricKey) -> Self {
        let (half, _) = key.0.split_at(AES_128.key_len());
        Self {
            key: HeaderProtectionKey::new(&AES_128, half).expect("the key has 16 bytes"),
        }
    }

    /// An id of a shard.
    pub(crate) fn generate(&self, kind: Kind, shard: Shard) -> ConnectionId {
        let mut id = [0; RETRY_CID_BYTES];
        let (id, _) = id.split_at_mut(kind.bytes());
        let (random, tag) = id.split_at_mut(kind.bytes() - TAG_BYTES);
        SystemEntropy.fill(random);
        if let [first, ..] = random {
            *first = shard.mark(*first);
        }
        tag.copy_from_slice(&self.tag(kind, random));
        ConnectionId::new(id)
    }

    /// Whether these bytes are an id of this kind.
    pub(crate) fn knows(&self, kind: Kind, id: &[u8]) -> bool {
        if id.len() != kind.bytes() {
            return false;
        }
        let (random, tag) = id.split_at(kind.bytes() - TAG_BYTES);
        // A prediction of the tag is worth one stateless reset; there is no need to hide how many
        // bytes were right.
        tag == self.tag(kind, random)
    }

    /// One block of AES over the kind and the random bytes, cut short.
    #[expect(clippy::expect_used, reason = "the sample has the length of a block")]
    fn tag(&self, kind: Kind, random: &[u8]) -> [u8; TAG_BYTES] {
        let mut block = [0; 16];
        for (place, byte) in block.iter_mut().zip(random) {
            *place = *byte;
        }
        let [.., last] = &mut block;
        *last = match kind {
            Kind::Connection => 1,
            Kind::Retry => 2,
        };
        let mask = self.key.new_mask(&block).expect("a block has 16 bytes");
        let [a, b, c, d, _] = mask;
        [a, b, c, d]
    }
}

impl fmt::Debug for CidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CidKey").finish_non_exhaustive()
    }
}

/// One of a listener's shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    index: u8,
    count: NonZeroU8,
}

impl Shard {
    /// Shard `index` of `count`; an index beyond is wrapped around.
    pub(crate) fn new(index: u8, count: NonZeroU8) -> Self {
        Self {
            index: index % count,
            count,
        }
    }

    /// The shard to which the first byte of an id belongs. [NODE-SHARD-1]
    pub(crate) fn of(first: u8, count: NonZeroU8) -> Self {
        Self::new(first % count, count)
    }

    /// Its number, from zero.
    pub(crate) fn index(self) -> usize {
        usize::from(self.index)
    }

    /// The byte nearest to `byte`, downwards if possible, that belongs to this shard.
    fn mark(self, byte: u8) -> u8 {
        let count = self.count.get();
        let base = byte - byte % count;
        // The last range may be cut short by the end of the byte; the one before never is.
        base.checked_add(self.index)
            .unwrap_or_else(|| (base - count) + self.index)
    }
}

/// The generator of one shard's endpoint. [NODE-SHARD-1]
pub(crate) struct Generator {
    key: CidKey,
    kind: Kind,
    place: Place,
}

/// For which shards a generator makes ids.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// One.
    One(Shard),
    /// Any, evenly.
    Any(NonZeroU8),
}

impl Generator {
    pub(crate) fn new(key: &SymmetricKey, kind: Kind, place: Place) -> Self {
        Self {
            key: CidKey::new(key),
            kind,
            place,
        }
    }
}

impl ConnectionIdGenerator for Generator {
    fn generate_cid(&mut self) -> ConnectionId {
        let shard = match self.place {
            Place::One(shard) => shard,
            Place::Any(count) => {
                let mut byte = [0];
                SystemEntropy.fill(&mut byte);
                let [byte] = byte;
                Shard::of(byte, count)
            }
        };
        self.key.generate(self.kind, shard)
    }

    fn validate(&self, cid: &ConnectionId) -> Result<(), InvalidCid> {
        if self.key.knows(self.kind, cid) {
            Ok(())
        } else {
            Err(InvalidCid)
        }
    }

    fn cid_len(&self) -> usize {
        self.kind.bytes()
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SymmetricKey {
        SymmetricKey([byte; 32])
    }

    fn count(count: u8) -> NonZeroU8 {
        NonZeroU8::new(count).unwrap()
    }

    /// [NODE-SHARD-1]
    #[test]
    fn ids_belong_to_the_shard_that_made_them() {
        for shards in [1, 2, 3, 4, 7, 64] {
            for index in 0..shards {
                let shard = Shard::new(index, count(shards));
                let place = Place::One(shard);
                let mut generator = Generator::new(&key(1), Kind::Connection, place);
                for _ in 0..64 {
                    let cid = generator.generate_cid();
                    assert_eq!(Shard::of(cid[0], count(shards)), shard);
                    assert!(generator.validate(&cid).is_ok());
                }
            }
        }
    }

    #[test]
    fn every_byte_is_marked_with_every_shard() {
        for shards in 1..=64 {
            for index in 0..shards {
                let shard = Shard::new(index, count(shards));
                for byte in 0..=255 {
                    assert_eq!(Shard::of(shard.mark(byte), count(shards)), shard);
                }
            }
        }
    }

    #[test]
    fn ids_of_another_key_or_kind_or_with_a_changed_byte_are_not_known() {
        let mine = CidKey::new(&key(1));
        let id = mine.generate(Kind::Connection, Shard::new(0, count(1)));
        assert!(mine.knows(Kind::Connection, &id));
        assert!(!mine.knows(Kind::Retry, &id));
        assert!(!CidKey::new(&key(2)).knows(Kind::Connection, &id));
        assert!(!mine.knows(Kind::Connection, &id[..9]));
        for place in 0..CID_BYTES {
            let mut changed = id.to_vec();
            changed[place] ^= 1;
            assert!(!mine.knows(Kind::Connection, &changed), "byte {place}");
        }
        let retry = mine.generate(Kind::Retry, Shard::new(0, count(1)));
        assert!(mine.knows(Kind::Retry, &retry) && !mine.knows(Kind::Connection, &retry));
        assert_ne!(retry.len(), id.len(), "the system steers by it");
    }

    /// [NODE-RESTART-1]
    #[test]
    fn ids_are_known_after_a_restart() {
        let place = Place::One(Shard::new(3, count(4)));
        let cid = Generator::new(&key(1), Kind::Connection, place).generate_cid();
        let again = Generator::new(&key(1), Kind::Connection, place);
        assert!(again.validate(&cid).is_ok());
    }
}
