//! A group's parts at rest: padded, under the group state key, bound to their place.
//!
//! ```text
//! part key  = derive(group state key, label of the part)
//! plaintext = uint32 length || content || zeros up to a bucket
//! AAD       = label of the part || group id || epoch
//! ```

use protocol::crypto::label;
use protocol::crypto::sealed::{BadCiphertext, SymmetricKey};
use protocol::frame::bucket;
use protocol::id::{Epoch, GroupId};
use store::StoreError;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::group::mls::State;
use crate::group::roster::Roster;
use crate::tables::{ROSTERS, STATES};

/// What a part belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) group: GroupId,
    pub(crate) epoch: Epoch,
}

/// A roster at rest.
pub(crate) struct SealedRoster(pub(crate) Vec<u8>);

/// An MLS state at rest.
pub(crate) struct SealedState(pub(crate) Vec<u8>);

impl Roster {
    pub(crate) fn seal(&self, key: &SymmetricKey, place: Place, nonce: [u8; 12]) -> SealedRoster {
        let content = Zeroizing::new(self.encode());
        SealedRoster(place.seal(key, label::GROUP_ROSTER, &content, nonce))
    }
}

impl SealedRoster {
    /// Open under a key that is known to be the epoch's: what does not open then is corrupt.
    pub(crate) fn open(&self, key: &SymmetricKey, place: Place) -> Result<Roster, StoreError> {
        let content = place.open(key, label::GROUP_ROSTER, &self.0);
        let roster = content.ok().and_then(|content| Roster::decode(&content));
        roster.ok_or(StoreError::Corrupt {
            table: ROSTERS.name(),
        })
    }
}

impl State {
    pub(crate) fn seal(&self, key: &SymmetricKey, place: Place, nonce: [u8; 12]) -> SealedState {
        let content = Zeroizing::new(self.encode());
        SealedState(place.seal(key, label::GROUP_STATE, &content, nonce))
    }
}

impl SealedState {
    /// Open under a key that the sender says is the epoch's.
    pub(crate) fn open(&self, key: &SymmetricKey, place: Place) -> Result<State, Error> {
        let content = place.open(key, label::GROUP_STATE, &self.0);
        let content = content.map_err(|_| Error::Denied)?;
        let corrupt = StoreError::Corrupt {
            table: STATES.name(),
        };
        State::decode(&content, &place.group).ok_or(Error::Store(corrupt))
    }
}

impl Place {
    fn seal(self, key: &SymmetricKey, label: &str, content: &[u8], nonce: [u8; 12]) -> Vec<u8> {
        let bare = 4 + content.len();
        let mut plaintext = Zeroizing::new(Vec::with_capacity(bucket(bare)));
        let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
        plaintext.extend_from_slice(&length.to_be_bytes());
        plaintext.extend_from_slice(content);
        plaintext.resize(bucket(bare), 0);
        key.derive(label, &[])
            .seal(nonce, &self.aad(label), &plaintext)
    }

    fn open(
        self,
        key: &SymmetricKey,
        label: &str,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, BadCiphertext> {
        let opened = key.derive(label, &[]).open(&self.aad(label), sealed)?;
        let mut plaintext = Zeroizing::new(opened);
        let length = plaintext.first_chunk().copied().map(u32::from_be_bytes);
        let end = length.and_then(|length| usize::try_from(length).ok()?.checked_add(4));
        let end = end
            .filter(|end| *end <= plaintext.len())
            .ok_or(BadCiphertext)?;
        plaintext.truncate(end);
        plaintext.drain(..4);
        Ok(plaintext)
    }

    fn aad(self, label: &str) -> Vec<u8> {
        [label.as_bytes(), &self.group.0, &self.epoch.0.to_be_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place {
        group: GroupId([1; 16]),
        epoch: Epoch(2),
    };

    #[test]
    fn a_part_opens_in_its_place_only() {
        let key = SymmetricKey([3; 32]);
        let sealed = PLACE.seal(&key, "a", b"content", [0; 12]);
        assert_eq!(*PLACE.open(&key, "a", &sealed).unwrap(), b"content");
        assert_eq!(PLACE.open(&key, "b", &sealed), Err(BadCiphertext));
        let elsewhere = Place {
            epoch: Epoch(3),
            ..PLACE
        };
        assert_eq!(elsewhere.open(&key, "a", &sealed), Err(BadCiphertext));
        let elsewhere = Place {
            group: GroupId([2; 16]),
            ..PLACE
        };
        assert_eq!(elsewhere.open(&key, "a", &sealed), Err(BadCiphertext));
        assert_eq!(
            PLACE.open(&SymmetricKey([4; 32]), "a", &sealed),
            Err(BadCiphertext)
        );
    }

    #[test]
    fn lengths_within_a_bucket_look_alike() {
        let key = SymmetricKey([3; 32]);
        let length = |content: usize| PLACE.seal(&key, "a", &vec![1; content], [0; 12]).len();
        assert_eq!(length(0), length(252));
        assert_ne!(length(252), length(253));
    }
}
