//! The capability of a member of a group in its present epoch.

use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::signature::PublicKey;
use protocol::crypto::signed::{Binding, Signed};
use protocol::delivery::{CommitGroup, SendMessage};
use protocol::id::{GroupId, LeafIndex};
use protocol::request::Operation;
use store::Tx;

use crate::error::Error;
use crate::group::{Place, Roster};
use crate::tables::{Group, History, KeyHash};

/// A request that only a member can make.
pub(crate) trait ByMember: Operation {
    fn group(&self) -> GroupId;
    fn sender(&self) -> LeafIndex;
    /// Of the epoch that the sender takes the group to be in.
    fn state_key(&self) -> &SymmetricKey;
}

/// A member, what it asks for, and the group as it was seen then. Made by [`Member::verify`] alone.
pub(crate) struct Member<T> {
    pub(crate) request: T,
    /// The key that signed the request.
    pub(crate) key: PublicKey,
    pub(crate) group: Group,
    pub(crate) roster: Roster,
}

impl<T: ByMember> Member<T> {
    /// Find the leaf's key in the roster, which the request's state key opens, and check the
    /// signature. Strangers cannot tell what is missing; who has an earlier epoch's key is told the
    /// present one. [DS-STATE-3]
    pub(crate) fn verify(
        tx: &Tx<'_>,
        request: Signed<T>,
        binding: &Binding,
    ) -> Result<Self, Error> {
        let claimed = request.unverified();
        let group = Group::load(tx)?.ok_or(Error::Denied)?;
        let key = KeyHash::of(&claimed.group(), claimed.state_key());
        if key != group.key {
            let knows_earlier = History::load(tx)?.remembers(key);
            return Err(if knows_earlier {
                Error::WrongEpoch(group.epoch)
            } else {
                Error::Denied
            });
        }
        let place = Place {
            group: claimed.group(),
            epoch: group.epoch,
        };
        let roster = group.load_roster(tx)?.open(claimed.state_key(), place)?;
        let key = roster.key(claimed.sender()).ok_or(Error::Denied)?;
        let request = request.verify(&key, binding).map_err(|_| Error::Denied)?;
        Ok(Self {
            request,
            key,
            group,
            roster,
        })
    }

    /// The group's place in the epoch that was seen.
    pub(crate) fn place(&self) -> Place {
        Place {
            group: self.request.group(),
            epoch: self.group.epoch,
        }
    }
}

impl ByMember for SendMessage {
    fn group(&self) -> GroupId {
        self.group
    }

    fn sender(&self) -> LeafIndex {
        self.sender
    }

    fn state_key(&self) -> &SymmetricKey {
        &self.state_key
    }
}

impl ByMember for CommitGroup {
    fn group(&self) -> GroupId {
        self.group
    }

    fn sender(&self) -> LeafIndex {
        self.sender
    }

    fn state_key(&self) -> &SymmetricKey {
        &self.state_key
    }
}
