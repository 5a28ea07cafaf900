//! The capability of a member of a group in its present epoch.

use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::signature::PublicKey;
use protocol::crypto::signed::{Binding, Signed};
use protocol::delivery::{
    CommitGroup, DeleteGroup, Propose, SendMessage, SendToMember, UpdateTicket,
};
use protocol::id::{Epoch, GroupId, LeafIndex};
use protocol::request::Operation;
use protocol::time::Timestamp;
use store::{Entropy, Tx};

use crate::error::Error;
use crate::group::{Access, Changes, Month, Part, Roster, Stored};
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
    /// To the parts, by the request's state key.
    pub(crate) access: Access,
    pub(crate) roster: Roster,
    /// The roster as it is kept.
    pub(crate) stored: Stored,
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
        let access = Access::open(tx, claimed.group(), group.root, claimed.state_key())?;
        let stored = access.load(tx, Part::Roster)?;
        let roster = Roster::open(&stored)?;
        let key = roster.key(claimed.sender()).ok_or(Error::Denied)?;
        let request = request.verify(&key, binding).map_err(|_| Error::Denied)?;
        Ok(Self {
            request,
            key,
            group,
            access,
            roster,
            stored,
        })
    }
}

impl<T: ByMember> Member<T> {
    /// Check that the sender means the present epoch, whose key it has.
    ///
    /// # Errors
    /// The sender's: `WrongEpoch`.
    pub(crate) fn check_epoch(&self, epoch: Epoch) -> Result<(), Error> {
        if epoch == self.group.epoch {
            Ok(())
        } else {
            Err(Error::WrongEpoch(self.group.epoch))
        }
    }

    /// Check that the roster, and what is to change, are still what was seen, and change it.
    ///
    /// # Errors
    /// Nobody's: `WrongEpoch` if a commit came first, `Conflict` if something else did.
    pub(crate) fn enter(
        &self,
        tx: &mut Tx<'_>,
        group: &mut Group,
        changes: Option<&Changes>,
    ) -> Result<(), Error> {
        let Some(changes) = changes else {
            return group.check_roster_unchanged(&self.group);
        };
        group.check_unchanged(&self.group)?;
        let mut history = History::load(tx)?;
        changes.write(tx, group, &mut history)?;
        history.save(tx)?;
        Ok(())
    }

    /// Remember in the roster that the sender was here, if that is not known of this month: what
    /// must then be written. [DS-PROPOSE-2]
    pub(crate) fn see(&mut self, now: Timestamp, entropy: &dyn Entropy) -> Option<Changes> {
        if !self.roster.see(self.request.sender(), Month::of(now)) {
            return None;
        }
        let edition = self.group.root.edition.next();
        let mut changes = Changes::within(&self.access, edition);
        let roster = self.roster.encode();
        changes.put(Part::Roster, Some(&self.stored), &roster, entropy);
        Some(changes)
    }
}

macro_rules! by_member {
    ($($request:ident),*) => {$(
        impl ByMember for $request {
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
    )*};
}

by_member!(
    CommitGroup,
    DeleteGroup,
    Propose,
    SendMessage,
    SendToMember,
    UpdateTicket
);
