//! The key of Retry and address-validation tokens, which changes every day.
//!
//! A token that quinn seals is `ciphertext || tag || nonce`. Ours is one byte longer, in front of
//! the nonce: the day of its key modulo 256, masked by a keyed function of the nonce. So a token of
//! an earlier day is opened at the first attempt, and what is no token costs one hash.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use protocol::crypto::sealed::SymmetricKey;
use protocol::time::Timestamp;
use quinn::crypto::{AeadKey, CryptoError, HandshakeTokenKey};
use ring::{hkdf, hmac};

const LABEL_DAY: &str = "hearth node 1.0 Address Token Day";
const LABEL_MASK: &str = "hearth node 1.0 Address Token Mask";

/// Seconds that a key seals tokens.
const PERIOD_SECONDS: u64 = 86_400;
/// Earlier keys that still open tokens. A token lives 7 days at most by default and may be sealed
/// at the end of its key's day.
const EARLIER_KEYS: usize = 8;

/// Derives the key of each day from one secret, so that tokens stay good over a restart.
/// [NODE-TOKEN-1] [NODE-RESTART-1]
pub(crate) struct RotatingKey {
    secret: SymmetricKey,
    mask: hmac::Key,
    now: fn() -> Timestamp,
    keys: RwLock<Arc<Keys>>,
}

/// The keys at some time: the newest first, each a day older than the one before.
struct Keys {
    newest: u64,
    keys: Vec<hkdf::Prk>,
}

impl RotatingKey {
    pub(crate) fn new(secret: SymmetricKey, now: fn() -> Timestamp) -> Self {
        let mask = secret.derive(LABEL_MASK, &[]);
        let keys = Keys::derive(&secret, period(now()));
        Self {
            mask: hmac::Key::new(hmac::HMAC_SHA256, &mask.0),
            secret,
            now,
            keys: RwLock::new(Arc::new(keys)),
        }
    }

    fn current(&self) -> Arc<Keys> {
        let newest = period((self.now)());
        let keys = Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner));
        if keys.newest == newest {
            return keys;
        }
        let keys = Arc::new(Keys::derive(&self.secret, newest));
        let mut place = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        *place = Arc::clone(&keys);
        keys
    }
}

impl Keys {
    fn derive(secret: &SymmetricKey, newest: u64) -> Self {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, LABEL_DAY.as_bytes());
        let days = (0..=EARLIER_KEYS as u64).map_while(|age| newest.checked_sub(age));
        let keys = days.map(|day| salt.extract(&secret.derive(LABEL_DAY, &day.to_be_bytes()).0));
        Self {
            newest,
            keys: keys.collect(),
        }
    }

    /// How a key's day is written into a token.
    fn day(&self) -> u8 {
        let [.., day] = self.newest.to_be_bytes();
        day
    }
}

fn period(now: Timestamp) -> u64 {
    now.0 / PERIOD_SECONDS
}

impl HandshakeTokenKey for RotatingKey {
    fn aead_from_hkdf(&self, nonce: &[u8]) -> Box<dyn AeadKey> {
        let masks = hmac::sign(&self.mask, nonce);
        Box::new(Sealing {
            keys: self.current(),
            nonce: nonce.to_vec(),
            mask: masks.as_ref().first().copied().unwrap_or_default(),
        })
    }
}

impl fmt::Debug for RotatingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RotatingKey").finish_non_exhaustive()
    }
}

/// The keys for one nonce.
struct Sealing {
    keys: Arc<Keys>,
    nonce: Vec<u8>,
    mask: u8,
}

impl AeadKey for Sealing {
    fn seal(&self, message: &mut Vec<u8>, associated: &[u8]) -> Result<(), CryptoError> {
        let newest = self.keys.keys.first().ok_or(CryptoError)?;
        newest
            .aead_from_hkdf(&self.nonce)
            .seal(message, associated)?;
        message.push(self.keys.day() ^ self.mask);
        Ok(())
    }

    fn open<'a>(
        &self,
        message: &'a mut [u8],
        associated: &[u8],
    ) -> Result<&'a mut [u8], CryptoError> {
        let (day, sealed) = message.split_last_mut().ok_or(CryptoError)?;
        let age = self.keys.day().wrapping_sub(*day ^ self.mask);
        let key = self.keys.keys.get(usize::from(age)).ok_or(CryptoError)?;
        let opening = key.aead_from_hkdf(&self.nonce);
        // The key cannot be returned with what it opened, so the length is what is kept of it.
        let length = opening.open(sealed, associated)?.len();
        sealed.get_mut(..length).ok_or(CryptoError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: [u8; 16] = [7; 16];
    const DAY: u64 = 1_000;

    fn at<const DAYS: u64>() -> Timestamp {
        Timestamp((DAY + DAYS) * PERIOD_SECONDS + 5)
    }

    fn key(now: fn() -> Timestamp) -> RotatingKey {
        RotatingKey::new(SymmetricKey([3; 32]), now)
    }

    fn seal(key: &RotatingKey) -> Vec<u8> {
        let mut message = b"message".to_vec();
        let sealing = key.aead_from_hkdf(&NONCE);
        sealing.seal(&mut message, &[]).unwrap();
        message
    }

    fn open(key: &RotatingKey, sealed: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = sealed.to_vec();
        let opening = key.aead_from_hkdf(&NONCE);
        let opened = opening.open(&mut sealed, &[]).ok()?;
        Some(opened.to_vec())
    }

    /// [NODE-TOKEN-1]
    #[test]
    fn tokens_of_the_last_eight_days_are_opened_and_older_ones_not() {
        let sealed = seal(&key(at::<0>));
        for (now, is_good) in [
            (at::<0> as fn() -> Timestamp, true),
            (at::<1>, true),
            (at::<8>, true),
            (at::<9>, false),
            (at::<256>, false),
        ] {
            assert_eq!(open(&key(now), &sealed).is_some(), is_good);
        }
    }

    #[test]
    fn a_token_of_a_later_day_is_not_opened() {
        let sealed = seal(&key(at::<1>));
        assert_eq!(open(&key(at::<0>), &sealed), None);
    }

    /// [NODE-RESTART-1]
    #[test]
    fn a_restart_changes_nothing_and_another_secret_everything() {
        let sealed = seal(&key(at::<0>));
        assert_eq!(open(&key(at::<0>), &sealed).unwrap(), b"message");
        let other = RotatingKey::new(SymmetricKey([4; 32]), at::<0>);
        assert_eq!(open(&other, &sealed), None);
    }

    #[test]
    fn a_changed_byte_spoils_a_token() {
        let sealed = seal(&key(at::<0>));
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert_eq!(open(&key(at::<0>), &changed), None, "byte {place}");
        }
        assert_eq!(open(&key(at::<0>), &[]), None);
    }
}
