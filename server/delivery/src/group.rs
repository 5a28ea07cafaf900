//! A group: its rows, and its parts under the group state key.

mod commit;
mod genesis;
mod info;
mod message;
mod mls;
mod provider;
mod roster;
mod rules;
mod sealed;

use protocol::crypto::label;
use protocol::crypto::sealed::{SymmetricKey, hash};
use protocol::delivery::CommitGroupReply;
use protocol::id::{Epoch, GroupId, Seq};
use protocol::time::Timestamp;
use store::{Raw, StoreError, Tx, VALUE_BYTES_MAX};

use crate::error::Error;
use crate::tables::{
    Accepted, Committed, GROUPS, Group, HISTORIES, History, KeyHash, PAST, PastState, ROSTERS,
    RequestHash, STATES,
};

pub(crate) use crate::group::commit::Received;
pub(crate) use crate::group::genesis::Genesis;
pub(crate) use crate::group::message::check_message;
pub(crate) use crate::group::roster::{Roster, RosterMember};
pub(crate) use crate::group::rules::{DESTINATIONS_MAX, Rules};
pub(crate) use crate::group::sealed::{Place, SealedRoster, SealedState};

/// How many earlier epochs a group remembers the state key's hash of: who is further behind than
/// this is a stranger.
const KEYS_REMEMBERED: usize = 64;

/// How many past states a group keeps for joiners at most.
const PAST_STATES_MAX: usize = 256;

/// How many of them one commit drops: each is a row of its transaction.
const PAST_DROPS_MAX: usize = 32;

/// How many bytes of them.
const PAST_BYTES_MAX: u64 = 32 * 1024 * 1024;

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
    /// What a request is recognised by when it comes again.
    pub(crate) fn of(body: &[u8]) -> Self {
        Self(hash(label::REQUEST_HASH, body))
    }
}

impl Group {
    /// A group in epoch 0.
    pub(crate) fn new(key: KeyHash) -> Self {
        Self {
            epoch: Epoch(0),
            key,
            roster_rows: 0,
            number: Seq(0),
            first: Seq(1),
            waiting: 0,
            links: Vec::new(),
        }
    }

    /// The row, if the group exists.
    pub(crate) fn load(tx: &Tx<'_>) -> Result<Option<Self>, StoreError> {
        tx.get(&GROUPS, &())
    }

    /// Whether the group is still in the epoch that `seen` is of. Epochs alone do not tell apart
    /// two groups that had the same id one after the other; keys do.
    pub(crate) fn is_as(&self, seen: &Self) -> bool {
        self.epoch == seen.epoch && self.key == seen.key
    }

    /// The sealed roster. Its first row is worth prefetching with the group's.
    pub(crate) fn load_roster(&self, tx: &Tx<'_>) -> Result<SealedRoster, StoreError> {
        let numbers: Vec<u32> = (0..self.roster_rows).collect();
        let rows: Vec<_> = numbers
            .iter()
            .skip(1)
            .map(|number| ROSTERS.at(number))
            .collect();
        if !rows.is_empty() {
            let rows: Vec<&dyn store::RowAt> = rows.iter().map(|row| row as _).collect();
            tx.prefetch(&rows)?;
        }
        let mut sealed = Vec::new();
        for number in &numbers {
            let row = tx.get(&ROSTERS, number)?;
            let Raw(mut row) = row.ok_or(StoreError::Corrupt {
                table: ROSTERS.name(),
            })?;
            if sealed.is_empty() {
                sealed = row;
            } else {
                sealed.append(&mut row);
            }
        }
        Ok(SealedRoster(sealed))
    }

    /// Replace the sealed roster.
    pub(crate) fn save_roster(
        &mut self,
        tx: &mut Tx<'_>,
        SealedRoster(sealed): &SealedRoster,
    ) -> Result<(), StoreError> {
        let mut rows = 0;
        for chunk in sealed.chunks(VALUE_BYTES_MAX) {
            tx.put(&ROSTERS, &rows, &Raw(chunk.to_vec()))?;
            rows += 1;
        }
        for surplus in rows..self.roster_rows {
            tx.delete(&ROSTERS, &surplus)?;
        }
        self.roster_rows = rows;
        Ok(())
    }

    /// The sealed MLS state of the present epoch.
    pub(crate) fn load_state(tx: &Tx<'_>) -> Result<SealedState, StoreError> {
        let state = tx.get_large(&STATES, &())?;
        state.map(SealedState).ok_or(StoreError::Corrupt {
            table: STATES.name(),
        })
    }

    /// Replace the sealed MLS state.
    pub(crate) fn save_state(
        tx: &mut Tx<'_>,
        SealedState(sealed): &SealedState,
    ) -> Result<(), StoreError> {
        tx.put_large(&STATES, &(), sealed)
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
            past: Vec::new(),
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

    /// The reply to the last accepted commit, if this is it.
    pub(crate) fn repeated(&self, request: RequestHash) -> Option<(Accepted, CommitGroupReply)> {
        let Committed { accepted, reply } = self.committed?;
        (accepted.request == request).then_some((accepted, reply))
    }

    /// Leave an epoch: remember its key; keep its state if somebody may still join in it.
    pub(crate) fn leave_epoch(
        &mut self,
        tx: &mut Tx<'_>,
        old: &Group,
        SealedState(state): &SealedState,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.keys.push(old.key);
        let surplus = self.keys.len().saturating_sub(KEYS_REMEMBERED);
        self.keys.drain(..surplus);
        if let Some(expires) = self.joinable.take().filter(|expires| now <= *expires) {
            tx.put_large(&PAST, &old.epoch, state)?;
            let bytes = u32::try_from(state.len()).unwrap_or(u32::MAX);
            self.past.push(PastState {
                epoch: old.epoch,
                key: old.key,
                expires,
                bytes,
            });
        }
        self.drop_past(tx, now)
    }

    /// Drop what has expired or is too much, oldest first.
    fn drop_past(&mut self, tx: &mut Tx<'_>, now: Timestamp) -> Result<(), StoreError> {
        let mut bytes: u64 = self.past.iter().map(|past| u64::from(past.bytes)).sum();
        let mut count = self.past.len();
        let mut dropped = 0;
        let surplus = |past: &&PastState| {
            let drops = past.expires < now || bytes > PAST_BYTES_MAX || count > PAST_STATES_MAX;
            bytes = bytes.saturating_sub(u64::from(past.bytes));
            count = count.saturating_sub(1);
            drops
        };
        for past in self.past.iter().take_while(surplus).take(PAST_DROPS_MAX) {
            tx.delete_large(&PAST, &past.epoch)?;
            dropped += 1;
        }
        self.past.drain(..dropped);
        Ok(())
    }

    /// The state of a past epoch, if it is still kept.
    pub(crate) fn load_past(
        &self,
        tx: &Tx<'_>,
        (epoch, key): (Epoch, KeyHash),
        now: Timestamp,
    ) -> Result<SealedState, Error> {
        let is_it =
            |past: &&PastState| past.epoch == epoch && past.key == key && now <= past.expires;
        self.past.iter().find(is_it).ok_or(Error::Denied)?;
        tx.get_large(&PAST, &epoch)?
            .map(SealedState)
            .ok_or(Error::Denied)
    }
}
