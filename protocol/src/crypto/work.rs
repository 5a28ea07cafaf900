//! Proof of work: memory-hard to find, cheap to check, cheaper to refuse. Spec: auth.md#work.
//!
//! ```text
//! seed  = H("Seed", challenge || purpose)         purpose: hash of what the work is for
//! tag   = Argon2id(password = seed || nonce, salt = seed[..16], memory, 1 pass, 1 lane)
//! condition 1: H("Target", seed || nonce || tag) begins with `target_bits` zero bits
//! condition 2: H("Stamp", seed || nonce || tag || stamp) begins with `stamp_bits` zero bits
//! ```
//!
//! Finding a nonce takes about 2^target_bits runs of Argon2id. Checking takes one, and none at all
//! unless both conditions hold. A tag that was made up satisfies them only after 2^stamp_bits hash
//! computations, many times what the one run costs the server.

use std::fmt;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use ring::hmac;
use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::codec::encode;
use crate::crypto::label;
use crate::crypto::sealed::{SymmetricKey, hash};
use crate::time::Timestamp;

/// The work is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadWork {
    /// The challenge is not ours or has expired: ask for another.
    Challenge,
    /// The solution is none.
    Solution,
}

impl fmt::Display for BadWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Challenge => "the challenge is unknown or has expired",
            Self::Solution => "the solution does not meet the challenge",
        })
    }
}

impl std::error::Error for BadWork {}

/// How much work: the memory and time of one attempt, and how many attempts.
///
/// ```text
/// struct { uint16 memory_kib; uint8 target_bits; uint8 stamp_bits; } Difficulty;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Difficulty {
    /// Memory of one attempt, in KiB: 8 to 65,535.
    pub memory_kib: u16,
    /// About 2^this attempts are needed.
    pub target_bits: u8,
    /// 2^this hash computations are needed for the stamp.
    pub stamp_bits: u8,
}

impl Difficulty {
    /// The hardest puzzle that a client should agree to: minutes of one core, 64 MiB.
    #[must_use]
    pub fn is_reasonable(&self) -> bool {
        self.memory_kib >= 8 && self.target_bits <= 20 && self.stamp_bits <= 32
    }
}

/// A puzzle. Stateless: the server recognises its own by the tag.
///
/// ```text
/// struct { opaque nonce[16]; Timestamp expires; Difficulty difficulty; opaque tag[32]; } Challenge;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Challenge {
    /// Makes every puzzle another one.
    pub nonce: [u8; 16],
    /// Until when the server accepts solutions.
    pub expires: Timestamp,
    /// How much work.
    pub difficulty: Difficulty,
    /// The server's HMAC-SHA256 of the rest.
    pub tag: [u8; 32],
}

/// A puzzle's solution.
///
/// ```text
/// struct { uint64 nonce; opaque tag[32]; uint64 stamp; } Solution;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Solution {
    /// The number that was searched for.
    pub nonce: u64,
    /// Argon2id's output for it.
    pub tag: [u8; 32],
    /// The pre-check's number.
    pub stamp: u64,
}

/// A challenge and its solution, as requests carry them.
///
/// ```text
/// struct { Challenge challenge; Solution solution; } Work;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Work {
    /// The server's puzzle.
    pub challenge: Challenge,
    /// The client's answer.
    pub solution: Solution,
}

impl Challenge {
    /// Make a puzzle.
    #[must_use]
    pub fn new(
        nonce: [u8; 16],
        expires: Timestamp,
        difficulty: Difficulty,
        key: &SymmetricKey,
    ) -> Self {
        let mut challenge = Self {
            nonce,
            expires,
            difficulty,
            tag: [0; 32],
        };
        let tag = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, &key.0),
            &encode(&challenge),
        );
        challenge.tag.copy_from_slice(tag.as_ref());
        challenge
    }

    fn is_ours(&self, key: &SymmetricKey) -> bool {
        let untagged = Self {
            tag: [0; 32],
            ..*self
        };
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key.0);
        hmac::verify(&key, &encode(&untagged), &self.tag).is_ok()
    }

    /// Solve the puzzle for `purpose`. `progress` hears the number of attempts so far, about every
    /// hundredth of the expected number, and stops the search by answering `false`.
    ///
    /// # Errors
    /// The puzzle is unreasonable, or the search was stopped.
    pub fn solve(
        &self,
        purpose: &[u8; 32],
        mut progress: impl FnMut(u64) -> bool,
    ) -> Result<Work, BadWork> {
        if !self.difficulty.is_reasonable() {
            return Err(BadWork::Challenge);
        }
        let mut puzzle = Puzzle::new(self, purpose)?;
        let interval = (1_u64 << self.difficulty.target_bits).div_ceil(100);
        let (nonce, tag) = (0..)
            .find_map(|nonce: u64| {
                if nonce.is_multiple_of(interval) && !progress(nonce) {
                    return Some(Err(BadWork::Solution));
                }
                let tag = match puzzle.tag(nonce) {
                    Ok(tag) => tag,
                    Err(error) => return Some(Err(error)),
                };
                puzzle.meets_target(nonce, &tag).then_some(Ok((nonce, tag)))
            })
            .ok_or(BadWork::Solution)??;
        let stamp = (0..).find(|stamp| puzzle.meets_stamp(nonce, &tag, *stamp));
        let solution = Solution {
            nonce,
            tag,
            stamp: stamp.ok_or(BadWork::Solution)?,
        };
        Ok(Work {
            challenge: *self,
            solution,
        })
    }
}

impl Work {
    /// Check the work, cheapest test first. [AUTH-WORK-1]
    ///
    /// # Errors
    /// The client's fault: a challenge that is not ours or too old, or a solution that is none.
    pub fn verify(
        &self,
        key: &SymmetricKey,
        purpose: &[u8; 32],
        now: Timestamp,
    ) -> Result<(), BadWork> {
        if now > self.challenge.expires || !self.challenge.is_ours(key) {
            return Err(BadWork::Challenge);
        }
        let Solution { nonce, tag, stamp } = self.solution;
        let mut puzzle = Puzzle::new(&self.challenge, purpose)?;
        if !puzzle.meets_stamp(nonce, &tag, stamp) || !puzzle.meets_target(nonce, &tag) {
            return Err(BadWork::Solution);
        }
        if puzzle.tag(nonce)? == tag {
            Ok(())
        } else {
            Err(BadWork::Solution)
        }
    }
}

struct Puzzle {
    seed: [u8; 32],
    difficulty: Difficulty,
    argon2: Argon2<'static>,
    memory: Vec<Block>,
}

impl Puzzle {
    fn new(challenge: &Challenge, purpose: &[u8; 32]) -> Result<Self, BadWork> {
        let mut content = encode(challenge);
        content.extend_from_slice(purpose);
        let difficulty = challenge.difficulty;
        let params = Params::new(u32::from(difficulty.memory_kib), 1, 1, Some(32))
            .map_err(|_| BadWork::Challenge)?;
        let memory = vec![Block::default(); params.block_count()];
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        Ok(Self {
            seed: hash(label::WORK_SEED, &content),
            difficulty,
            argon2,
            memory,
        })
    }

    fn tag(&mut self, nonce: u64) -> Result<[u8; 32], BadWork> {
        let mut tag = [0; 32];
        let salt = self.seed.first_chunk::<16>().ok_or(BadWork::Challenge)?;
        self.argon2
            .hash_password_into_with_memory(&self.input(nonce), salt, &mut tag, &mut self.memory)
            .map_err(|_| BadWork::Challenge)?;
        Ok(tag)
    }

    fn meets_target(&self, nonce: u64, tag: &[u8; 32]) -> bool {
        let content = [self.input(nonce).as_slice(), tag].concat();
        begins_with_zeros(
            &hash(label::WORK_TARGET, &content),
            self.difficulty.target_bits,
        )
    }

    fn meets_stamp(&self, nonce: u64, tag: &[u8; 32], stamp: u64) -> bool {
        let content = [self.input(nonce).as_slice(), tag, &stamp.to_be_bytes()].concat();
        begins_with_zeros(
            &hash(label::WORK_STAMP, &content),
            self.difficulty.stamp_bits,
        )
    }

    fn input(&self, nonce: u64) -> Vec<u8> {
        [self.seed.as_slice(), &nonce.to_be_bytes()].concat()
    }
}

fn begins_with_zeros(digest: &[u8; 32], bits: u8) -> bool {
    let mut zeros = 0;
    for byte in digest {
        zeros += byte.leading_zeros();
        if *byte != 0 {
            break;
        }
    }
    zeros >= u32::from(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EASY: Difficulty = Difficulty {
        memory_kib: 8,
        target_bits: 3,
        stamp_bits: 4,
    };
    const NOW: Timestamp = Timestamp(100);

    fn key() -> SymmetricKey {
        SymmetricKey([1; 32])
    }

    fn work() -> Work {
        let challenge = Challenge::new([2; 16], Timestamp(200), EASY, &key());
        challenge.solve(&[3; 32], |_| true).unwrap()
    }

    #[test]
    fn work_is_accepted_for_its_purpose_and_time_only() {
        assert_eq!(work().verify(&key(), &[3; 32], NOW), Ok(()));
        assert_eq!(work().verify(&key(), &[4; 32], NOW), Err(BadWork::Solution));
        assert_eq!(
            work().verify(&key(), &[3; 32], Timestamp(201)),
            Err(BadWork::Challenge)
        );
        assert_eq!(
            work().verify(&SymmetricKey([9; 32]), &[3; 32], NOW),
            Err(BadWork::Challenge)
        );
    }

    #[test]
    fn a_lowered_difficulty_is_not_ours() {
        let mut work = work();
        work.challenge.difficulty.target_bits = 0;
        assert_eq!(work.verify(&key(), &[3; 32], NOW), Err(BadWork::Challenge));
    }

    #[test]
    fn a_made_up_tag_is_refused() {
        let mut work = work();
        work.solution.tag = [0; 32];
        let puzzle = Puzzle::new(&work.challenge, &[3; 32]).unwrap();
        let meets = |nonce| puzzle.meets_target(nonce, &[0; 32]);
        work.solution.nonce = (0..).find(|nonce| meets(*nonce)).unwrap();
        let nonce = work.solution.nonce;
        work.solution.stamp = (0..)
            .find(|stamp| puzzle.meets_stamp(nonce, &[0; 32], *stamp))
            .unwrap();
        assert_eq!(work.verify(&key(), &[3; 32], NOW), Err(BadWork::Solution));
    }

    #[test]
    fn a_search_can_be_stopped() {
        let challenge = Challenge::new([2; 16], Timestamp(200), EASY, &key());
        assert_eq!(challenge.solve(&[3; 32], |_| false), Err(BadWork::Solution));
    }
}
