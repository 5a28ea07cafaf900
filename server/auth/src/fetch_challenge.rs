//! fetch_challenge — spec/auth.md#fetch_challenge

use std::time::Duration;

use protocol::auth::FetchChallengeReply;
use protocol::crypto::work::{Challenge, Difficulty};
use protocol::time::Timestamp;
use store::Entropy;

use crate::Auth;

impl Auth {
    /// A puzzle. Nothing is stored: the service recognises it by its tag. It is as hard as the
    /// harder of what an account and a username cost, because the request does not say what the
    /// work is for. [AUTH-WORK-4]
    #[must_use]
    pub fn fetch_challenge(&self, now: Timestamp, entropy: &dyn Entropy) -> FetchChallengeReply {
        let mut nonce = [0; 16];
        entropy.fill(&mut nonce);
        let expires = now.after(Duration::from_secs(self.policy.challenge_seconds));
        let difficulty = harder(self.policy.registration, self.policy.username);
        let challenge = Challenge::new(nonce, expires, difficulty, &self.keys.challenge_key);
        FetchChallengeReply { challenge }
    }
}

fn harder(one: Difficulty, other: Difficulty) -> Difficulty {
    Difficulty {
        memory_kib: one.memory_kib.max(other.memory_kib),
        target_bits: one.target_bits.max(other.target_bits),
        stamp_bits: one.stamp_bits.max(other.stamp_bits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NOW, World};

    /// [AUTH-WORK-4]
    #[test]
    fn challenges_differ_and_store_nothing() {
        let world = World::new();
        let fetch = || world.auth.fetch_challenge(NOW, &world.entropy).challenge;
        let (one, other) = (fetch(), fetch());
        assert_ne!(one.nonce, other.nonce);
        assert_eq!(one.expires, Timestamp(NOW.0 + 600));
        assert_eq!(
            one.difficulty,
            Difficulty {
                memory_kib: 8,
                target_bits: 2,
                stamp_bits: 3
            }
        );
        assert!(world.rows().is_empty());
    }
}
