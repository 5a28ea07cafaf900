//! A group: its rows, and its parts under the data key.

mod commit;
mod data_key;
mod external_commit;
mod genesis;
mod info;
mod kept;
mod message;
mod mls;
mod outline;
mod page;
mod part;
mod path;
mod proof;
mod proposals;
mod provider;
mod roles;
mod roster;
mod rules;
mod tree;

use protocol::crypto::label;
use protocol::crypto::sealed::{SymmetricKey, hash};
use protocol::crypto::signed::Signed;
use protocol::entry::GroupEventContent;
use protocol::id::{Epoch, GroupId, Seq};
use protocol::receipt::{ChainHash, ContentDigest};
use protocol::request::Operation;
use store::{StoreError, Tx};

use crate::error::Error;
use crate::tables::{
    Accepted, COMPLAINTS, Committed, ComplaintKey, Edition, GROUPS, Group, HISTORIES, History,
    KeyHash, PAGES, PageId, RequestHash, Root, SUPERSEDED, WRAPS,
};

pub(crate) use crate::group::commit::Received;
pub(crate) use crate::group::data_key::StateKey;
#[cfg(test)]
pub(crate) use crate::group::data_key::{COMMITS_MAX, DataKey};
pub(crate) use crate::group::external_commit::{ExternalCommit, Joined};
pub(crate) use crate::group::genesis::Genesis;
pub(crate) use crate::group::message::check_message;
pub(crate) use crate::group::mls::{State, Welcome};
#[cfg(test)]
pub(crate) use crate::group::page::PageKey;
pub(crate) use crate::group::page::Part;
pub(crate) use crate::group::part::{Access, Changes, Renewal, Stored};
pub(crate) use crate::group::proof::Accused;
pub(crate) use crate::group::proposals::ProposalMessage;
pub(crate) use crate::group::roster::{Month, Roster, RosterMember};
pub(crate) use crate::group::rules::{DESTINATIONS_MAX, Rules};

/// How many earlier epochs a group remembers the state key's hash of: who is further behind than
/// this is a stranger.
const KEYS_REMEMBERED: usize = 64;

impl KeyHash {
    /// What the state key of an epoch of a group is recognised by.
    pub(crate) fn of(group: &GroupId, key: &SymmetricKey) -> Self {
        let digest = key.derive(label::GROUP_STATE_KEY_HASH, &group.0);
        let mut short = Self([0; 16]);
        short
            .0
            .iter_mut()
            .zip(digest.0)
            .for_each(|(out, byte)| *out = byte);
        short
    }
}

impl RequestHash {
    /// What a request is recognised by when it comes again: some operations' bodies look alike.
    pub(crate) fn of<T: Operation>(request: &Signed<T>) -> Self {
        let content = [&T::CODE.to_be_bytes(), request.body()].concat();
        Self(hash(label::REQUEST_HASH, &content))
    }
}

impl Group {
    /// A group in epoch 0.
    pub(crate) fn new(id: &GroupId, key: KeyHash) -> Self {
        Self {
            epoch: Epoch(0),
            key,
            root: Root::NONE,
            number: Seq(0),
            chain: ChainHash::start(id),
            shipment: Seq(0),
            first: Seq(1),
            waiting: 0,
            links: Vec::new(),
            deleted: None,
        }
    }

    /// Give an event the next number and its place in the chain; what takes no number changes
    /// nothing. [DS-FANOUT-2] [DS-RECEIPT-1]
    pub(crate) fn append(&mut self, content: &GroupEventContent) {
        if content.is_numbered() {
            self.append_digest(&ContentDigest::of(content));
        }
    }

    /// The same for content that takes a number, and of which the digest is at hand.
    pub(crate) fn append_digest(&mut self, content: &ContentDigest) {
        self.number = self.number.next();
        self.chain = self.chain.link(self.number, content);
    }

    /// The row, if the group exists.
    pub(crate) fn load(tx: &Tx<'_>) -> Result<Option<Self>, StoreError> {
        let group = Self::load_any(tx)?;
        Ok(group.filter(|group| group.deleted.is_none()))
    }

    /// The row, also of a group that is deleted and whose members are still being told.
    pub(crate) fn load_any(tx: &Tx<'_>) -> Result<Option<Self>, StoreError> {
        tx.get(&GROUPS, &())
    }

    /// Store the row, or delete it if the group is deleted and everybody is told. [DS-DELETE-1]
    pub(crate) fn save_or_forget(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        if self.deleted.is_some() && self.waiting == 0 {
            tx.delete(&GROUPS, &())
        } else {
            self.save(tx)
        }
    }

    /// Check that the parts are still those that were seen. Epochs alone do not tell apart two
    /// groups that had the same id one after the other; keys do.
    ///
    /// # Errors
    /// Nobody's: `WrongEpoch` if a commit came first, `Conflict` if something else did.
    pub(crate) fn check_unchanged(&self, seen: &Self) -> Result<(), Error> {
        self.check_epoch(seen)?;
        if self.root == seen.root {
            Ok(())
        } else {
            Err(Error::Store(StoreError::Conflict))
        }
    }

    /// The same where nothing but the roster matters.
    ///
    /// # Errors
    /// As above.
    pub(crate) fn check_roster_unchanged(&self, seen: &Self) -> Result<(), Error> {
        self.check_epoch(seen)?;
        if self.root.roster == seen.root.roster {
            Ok(())
        } else {
            Err(Error::Store(StoreError::Conflict))
        }
    }

    fn check_epoch(&self, seen: &Self) -> Result<(), Error> {
        if self.epoch == seen.epoch && self.key == seen.key {
            Ok(())
        } else {
            Err(Error::WrongEpoch(self.epoch))
        }
    }

    /// Delete the parts, those of kept states too.
    pub(crate) fn delete_parts(tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let [from, to] = [Edition(0), Edition(u64::MAX)];
        tx.delete_range(&PAGES, &PageId::first(from), &PageId::first(to))?;
        tx.delete_range(&WRAPS, &from, &to)?;
        tx.delete_range(&SUPERSEDED, &from, &to)?;
        let [from, to] = [Seq(0), Seq(u64::MAX)].map(ComplaintKey::first);
        tx.delete_range(&COMPLAINTS, &from, &to)
    }

    /// Store the row.
    pub(crate) fn save(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        tx.put(&GROUPS, &(), self)
    }
}

impl History {
    /// Of a group that was just created.
    pub(crate) fn new(created: Accepted) -> Self {
        Self {
            created,
            committed: None,
            keys: Vec::new(),
            joinable: None,
            kept: Vec::new(),
            floor: Edition(1),
            sweep_from: None,
            reverted: None,
        }
    }

    /// The row, which every group has.
    pub(crate) fn load(tx: &Tx<'_>) -> Result<Self, StoreError> {
        let history = tx.get(&HISTORIES, &())?;
        history.ok_or(StoreError::Corrupt {
            table: HISTORIES.name(),
        })
    }

    /// Store the row.
    pub(crate) fn save(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        tx.put(&HISTORIES, &(), self)
    }

    /// Whether the key was the state key of an earlier epoch.
    pub(crate) fn remembers(&self, key: KeyHash) -> bool {
        self.keys.contains(&key)
    }

    /// The last accepted commit, if this is it.
    pub(crate) fn repeated(&self, request: RequestHash) -> Option<Committed> {
        self.committed
            .filter(|committed| committed.accepted.request == request)
    }

    /// Remember a key that was of the present epoch.
    pub(crate) fn remember(&mut self, key: KeyHash) {
        self.keys.push(key);
        let surplus = self.keys.len().saturating_sub(KEYS_REMEMBERED);
        self.keys.drain(..surplus);
    }
}
