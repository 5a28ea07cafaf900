//! The queue ratchet: every item under a key that is used once. Spec: crypto.md#queue-ratchet.
//!
//! ```text
//!            chain[n] --HKDF "Chain"--> chain[n+1] -- ...
//!               |                          ^
//!               +--HKDF "Message"--> key[n]|
//!                                          |  every RATCHET_REFRESH_ENTRIES items
//!                 randomness, sealed to the queue's HPKE key
//! ```
//!
//! Who reads the stored chain key later cannot go back (the derivation is one way), and loses
//! sight again at the next refresh (the randomness is not stored).

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};
use zeroize::Zeroizing;

use crate::crypto::label;
use crate::crypto::sealed::{BadCiphertext, SymmetricKey};
use crate::id::Seq;

/// One end of a queue's ratchet: the next chain key.
///
/// ```text
/// struct { opaque chain[32]; } Ratchet;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Ratchet {
    chain: SymmetricKey,
}

/// The key of one item. Not `Clone`: it is used once.
#[derive(Debug)]
pub struct ItemKey(SymmetricKey);

impl Ratchet {
    /// A ratchet at its start.
    #[must_use]
    pub fn new(seed: SymmetricKey) -> Self {
        Self { chain: seed }
    }

    /// The next item's key; the ratchet moves on and forgets it. [CRYPTO-RATCHET-1]
    #[must_use]
    pub fn advance(&mut self) -> ItemKey {
        let key = ItemKey(self.chain.derive(label::RATCHET_MESSAGE, &[]));
        self.chain = self.chain.derive(label::RATCHET_CHAIN, &[]);
        key
    }

    /// Mix in randomness that travelled under the queue's HPKE key. [CRYPTO-RATCHET-2]
    pub fn refresh(&mut self, randomness: &Zeroizing<[u8; 32]>) {
        self.chain = self
            .chain
            .derive(label::RATCHET_REFRESH, randomness.as_slice());
    }
}

impl ItemKey {
    /// Seal the item at `seq`. The nonce is zero: the key is used once.
    #[must_use]
    pub fn seal(self, seq: Seq, item: &[u8]) -> Vec<u8> {
        self.0.seal([0; 12], &seq.0.to_be_bytes(), item)
    }

    /// Open the item at `seq`.
    ///
    /// # Errors
    /// Not the item that was sealed with this key at this place.
    pub fn open(self, seq: Seq, sealed: &[u8]) -> Result<Vec<u8>, BadCiphertext> {
        self.0.open(&seq.0.to_be_bytes(), sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_stay_in_step_across_a_refresh() {
        let mut server = Ratchet::new(SymmetricKey([5; 32]));
        let mut client = server.clone();
        let randomness = Zeroizing::new([9; 32]);
        for seq in 0..4 {
            if seq == 2 {
                server.refresh(&randomness);
                client.refresh(&randomness);
            }
            let sealed = server.advance().seal(Seq(seq), b"item");
            assert_eq!(client.advance().open(Seq(seq), &sealed).unwrap(), b"item");
        }
    }

    #[test]
    fn an_item_opens_in_its_place_only() {
        let sealed = Ratchet::new(SymmetricKey([5; 32]))
            .advance()
            .seal(Seq(1), b"item");
        let open_at = |seq| {
            Ratchet::new(SymmetricKey([5; 32]))
                .advance()
                .open(Seq(seq), &sealed)
        };
        assert!(open_at(2).is_err());
        assert!(open_at(1).is_ok());
    }

    #[test]
    fn a_later_chain_does_not_open_an_earlier_item() {
        let mut ratchet = Ratchet::new(SymmetricKey([5; 32]));
        let sealed = ratchet.advance().seal(Seq(0), b"item");
        assert!(ratchet.advance().open(Seq(0), &sealed).is_err());
    }
}
