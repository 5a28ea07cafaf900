//! The key that seals a group's parts for several epochs. Spec: crypto.md#group-state-key.

use protocol::crypto::label;
use protocol::crypto::sealed::{BadCiphertext, SymmetricKey};
use protocol::id::{Epoch, GroupId};

use crate::tables::{Before, Edition, KeyHash, Wrap, Wraps};

/// Seals a group's parts until a commit removes somebody, and for [`COMMITS_MAX`] commits at most.
#[derive(Clone)]
pub(crate) struct DataKey(SymmetricKey);

/// So many commits are made under one data key: who holds the key of an epoch that is further back
/// opens nothing of the present one.
pub(crate) const COMMITS_MAX: u32 = 50;

/// A group's epoch and the state key by which its members open what is kept.
#[derive(Clone, Copy)]
pub(crate) struct StateKey<'a> {
    pub(crate) group: GroupId,
    pub(crate) epoch: Epoch,
    pub(crate) key: &'a SymmetricKey,
}

impl StateKey<'_> {
    /// The data key that begins with the epoch. [DS-STATE-1]
    pub(crate) fn begin(&self) -> DataKey {
        DataKey(self.key.derive(label::GROUP_DATA_KEY, &self.group.0))
    }

    fn wrapping(&self) -> SymmetricKey {
        self.key.derive(label::GROUP_DATA_KEY_WRAP, &[])
    }

    fn aad(&self) -> Vec<u8> {
        [self.group.0.as_slice(), &self.epoch.0.to_be_bytes()].concat()
    }
}

impl DataKey {
    /// For the members of an epoch.
    pub(crate) fn wrap(&self, members: &StateKey<'_>, nonce: [u8; 12]) -> Wrap {
        let sealed = members.wrapping().seal(nonce, &members.aad(), &self.0.0);
        Wrap {
            epoch: members.epoch,
            key: KeyHash::of(&members.group, members.key),
            sealed: sealed.into(),
        }
    }

    /// For whoever has the data key before it, which began with the edition `began`; `first` is the
    /// epoch that this one begins with. [DS-STATE-6]
    pub(crate) fn wrap_under(
        &self,
        (before, began): (&Self, Edition),
        first: &StateKey<'_>,
        nonce: [u8; 12],
    ) -> Before {
        let key = &before.0;
        let wrap = self.wrap(&StateKey { key, ..*first }, nonce);
        Before { data: began, wrap }
    }

    /// The key of a part.
    pub(crate) fn part(&self, label: &str) -> SymmetricKey {
        self.0.derive(label, &[])
    }
}

impl Wraps {
    /// Those of a data key that begins.
    pub(crate) fn new(first: Wrap, before: Option<Before>) -> Self {
        Self {
            wraps: vec![first],
            before,
        }
    }

    /// The epoch whose state key this is, if the data key was in use then. The last one, should two
    /// have had the same key.
    pub(crate) fn find(&self, key: KeyHash) -> Option<&Wrap> {
        self.wraps.iter().rev().find(|wrap| wrap.key == key)
    }
}

impl Before {
    /// The data key, by the one before it.
    ///
    /// # Errors
    /// Another key than that.
    pub(crate) fn open(&self, group: GroupId, before: &DataKey) -> Result<DataKey, BadCiphertext> {
        self.wrap.open(group, &before.0)
    }
}

impl Wrap {
    /// The data key.
    ///
    /// # Errors
    /// Another key than the epoch's.
    pub(crate) fn open(
        &self,
        group: GroupId,
        key: &SymmetricKey,
    ) -> Result<DataKey, BadCiphertext> {
        let members = StateKey {
            group,
            epoch: self.epoch,
            key,
        };
        let opened = members
            .wrapping()
            .open(&members.aad(), self.sealed.as_slice())?;
        let opened = zeroize::Zeroizing::new(opened);
        let key = opened.as_slice().try_into().map_err(|_| BadCiphertext)?;
        Ok(DataKey(SymmetricKey(key)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: GroupId = GroupId([1; 16]);

    fn members(epoch: u64, key: &SymmetricKey) -> StateKey<'_> {
        StateKey {
            group: GROUP,
            epoch: Epoch(epoch),
            key,
        }
    }

    #[test]
    fn a_data_key_opens_for_the_members_of_the_epochs_that_it_is_wrapped_for() {
        let [first, second, other] = [2, 3, 4].map(|byte| SymmetricKey([byte; 32]));
        let began = members(5, &first).begin();
        let mut wraps = Wraps::new(began.wrap(&members(5, &first), [0; 12]), None);
        wraps.wraps.push(began.wrap(&members(6, &second), [1; 12]));
        for key in [&first, &second] {
            let wrap = wraps.find(KeyHash::of(&GROUP, key)).unwrap();
            assert!(wrap.open(GROUP, key).unwrap().0 == began.0);
            assert!(wrap.open(GROUP, &other).is_err());
            assert!(wrap.open(GroupId([9; 16]), key).is_err());
        }
        assert!(wraps.find(KeyHash::of(&GROUP, &other)).is_none());
    }

    /// [DS-STATE-6]
    #[test]
    fn a_data_key_opens_with_the_one_before_it_and_no_other() {
        let [first, second, other] = [2, 3, 4].map(|byte| SymmetricKey([byte; 32]));
        let earlier = members(5, &first).begin();
        let began = members(6, &second).begin();
        let under = (&earlier, Edition(1));
        let before = began.wrap_under(under, &members(6, &second), [0; 12]);
        assert!(before.open(GROUP, &earlier).unwrap().0 == began.0);
        assert!(before.open(GROUP, &members(5, &other).begin()).is_err());
        assert!(before.wrap.open(GROUP, &first).is_err());
    }

    #[test]
    fn a_wrap_belongs_to_its_epoch() {
        let key = SymmetricKey([2; 32]);
        let mut wrap = members(5, &key).begin().wrap(&members(5, &key), [0; 12]);
        wrap.epoch = Epoch(6);
        assert!(wrap.open(GROUP, &key).is_err());
    }
}
