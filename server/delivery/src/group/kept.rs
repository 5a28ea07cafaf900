//! The states that a group keeps of its past, for joiners and against bad commits, and when their
//! pages go. Spec: delivery.md#state.
//!
//! ```text
//! edition      1    2    3    4 (present)
//! page a       |---------|              ended with 3: needed as long as 2 or 3 are kept
//! page b            |----|              the same
//! page c                      |---->    in use
//! kept              2
//! ```
//!
//! Which pages a state needs is sealed; that a page was in use from one edition to another is not,
//! so the service can delete without anybody's key.

use protocol::crypto::signature::PublicKey;
use protocol::id::{Epoch, Seq};
use protocol::receipt::{ChainHash, ContentDigest};
use protocol::time::Timestamp;
use store::{ScanLimit, StoreError, Tx};

use crate::error::Error;
use crate::tables::{
    COMPLAINTS, ComplaintKey, Edition, Group, History, Kept, KeyHash, PAGES, PageId, SUPERSEDED,
    Superseded, Undo, WRAPS,
};

/// How many past states a group keeps for joiners at most.
const JOINABLE_MAX: usize = 256;

/// Under how many data keys these are sealed at most: each is a whole copy of the state.
const DATA_KEYS_MAX: usize = 16;

/// How many commits can be undone at a time. [DS-COMPLAIN-3]
pub(crate) const UNDO_COMMITS_MAX: usize = 32;

/// How many pages one transaction deletes one by one: each is a row of it.
const DELETES_MAX: usize = 64;

/// How many rows about superseded pages one transaction looks at.
const SWEEP_ROWS_MAX: usize = 64;

/// Bytes of them.
const SWEEP_BYTES_MAX: usize = 1024 * 1024;

impl Kept {
    /// Whether one of its reasons holds.
    fn is_needed(&self) -> bool {
        self.joinable.is_some() || self.undo.is_some()
    }

    /// Whether one of its reasons is over.
    fn is_due(&self, now: Timestamp) -> bool {
        let [joinable, undo] = [self.joinable, self.undo.map(|undo| undo.expires)];
        joinable.is_some_and(|expires| expires < now) || undo.is_some_and(|expires| expires < now)
    }

    fn needs(&self, page: PageId, last: Edition) -> bool {
        (page.edition..=last).contains(&self.root.edition)
    }
}

impl History {
    /// Keep the present state, which a commit is about to end, for those who may join in it still
    /// and for `undo`.
    ///
    /// # Errors
    /// `Backlog` if the committer has to wait. [DS-COMPLAIN-3]
    pub(crate) fn keep(
        &mut self,
        tx: &mut Tx<'_>,
        present: &Group,
        undo: Option<Undo>,
        now: Timestamp,
    ) -> Result<(), Error> {
        if let Some(undo) = &undo {
            self.make_room(tx, undo.committer, now)?;
        }
        let kept = Kept {
            epoch: present.epoch,
            key: present.key,
            root: present.root,
            joinable: self.joinable.take().filter(|expires| now <= *expires),
            undo,
        };
        if kept.is_needed() {
            self.kept.push(kept);
        }
        Ok(())
    }

    /// Have room for one more commit that can be undone.
    fn make_room(
        &mut self,
        tx: &mut Tx<'_>,
        committer: PublicKey,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.check_room(&committer, now)?;
        if self.window(now).count() < UNDO_COMMITS_MAX {
            return Ok(());
        }
        let open = |kept: &&mut Kept| kept.undo.is_some_and(|undo| now <= undo.expires);
        let oldest = self.kept.iter_mut().find(open);
        if let Some(undo) = oldest.and_then(|oldest| oldest.undo.take()) {
            delete_complaints(tx, undo.commit)?;
        }
        Ok(())
    }

    /// Check that there is room for one more commit that can be undone, or that somebody else's
    /// may make room for it.
    ///
    /// # Errors
    /// `Backlog` if the committer has to wait. [DS-COMPLAIN-3]
    pub(crate) fn check_room(&self, committer: &PublicKey, now: Timestamp) -> Result<(), Error> {
        let is_full = self.window(now).count() >= UNDO_COMMITS_MAX;
        if is_full && self.window(now).any(|undo| undo.committer == *committer) {
            return Err(Error::Backlog);
        }
        Ok(())
    }

    /// The commits that can be undone.
    fn window(&self, now: Timestamp) -> impl Iterator<Item = &Undo> {
        let undo = self.kept.iter().filter_map(|kept| kept.undo.as_ref());
        undo.filter(move |undo| now <= undo.expires)
    }

    /// Pages that were in use up to edition `last`.
    pub(crate) fn end_pages(
        &mut self,
        tx: &mut Tx<'_>,
        pages: &[PageId],
        last: Edition,
    ) -> Result<(), StoreError> {
        let mut deletes = 0;
        let mut kept = Vec::new();
        for page in pages {
            if self.kept.iter().any(|kept| kept.needs(*page, last)) {
                kept.push(*page);
            } else if deletes < DELETES_MAX {
                tx.delete(&PAGES, page)?;
                deletes += 1;
            } else {
                kept.push(*page);
                self.sweep_at(last);
            }
        }
        if !kept.is_empty() {
            tx.put(&SUPERSEDED, &last, &Superseded { pages: kept })?;
        }
        Ok(())
    }

    /// Whether there is something to drop.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.sweep_from.is_some() || self.kept.iter().any(|kept| kept.is_due(now))
    }

    /// Drop states whose reasons have passed, and pages that nothing needs, as many as one
    /// transaction may. [DS-STATE-5]
    pub(crate) fn sweep(
        &mut self,
        tx: &mut Tx<'_>,
        present: &Group,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut ended: Vec<Seq> = Vec::new();
        for kept in &mut self.kept {
            kept.joinable = kept.joinable.filter(|expires| now <= *expires);
            if let Some(undo) = kept.undo.filter(|undo| undo.expires < now) {
                ended.push(undo.commit);
                kept.undo = None;
            }
        }
        self.drop_surplus();
        if !ended.is_empty() {
            self.drop_before(tx, present)?;
        }
        for commit in ended {
            delete_complaints(tx, commit)?;
        }
        let dropped = self.kept.iter().filter(|kept| !kept.is_needed());
        let dropped: Vec<_> = dropped.map(|kept| kept.root.edition).collect();
        for edition in dropped {
            self.sweep_at(edition);
        }
        self.kept.retain(Kept::is_needed);
        self.raise_floor(tx, present)?;
        self.sweep_pages(tx, present)
    }

    /// Whether a commit that ended an epoch of the data key that began then can be undone.
    pub(crate) fn can_undo(&self, began: Edition) -> bool {
        let of_it = |kept: &Kept| kept.undo.is_some() && kept.root.data == began;
        self.kept.iter().any(of_it)
    }

    /// Have the present data key open no longer for those before it, once none of their commits can
    /// be undone. [DS-STATE-6]
    fn drop_before(&self, tx: &mut Tx<'_>, present: &Group) -> Result<(), StoreError> {
        let began = present.root.data;
        let Some(mut wraps) = tx.get(&WRAPS, &began)? else {
            return Ok(());
        };
        if let Some(before) = &wraps.before
            && !self.can_undo(before.data)
        {
            wraps.before = None;
            tx.put(&WRAPS, &began, &wraps)?;
        }
        Ok(())
    }

    /// Joiners' states beyond the limits, oldest first.
    fn drop_surplus(&mut self) {
        let mut keys: Vec<Edition> = Vec::new();
        let mut count = 0;
        for kept in self.kept.iter_mut().rev() {
            if kept.joinable.is_none() {
                continue;
            }
            count += 1;
            if !keys.contains(&kept.root.data) {
                keys.push(kept.root.data);
            }
            if count > JOINABLE_MAX || keys.len() > DATA_KEYS_MAX {
                kept.joinable = None;
            }
        }
    }

    /// Delete everything that is sealed under data keys that no state needs.
    fn raise_floor(&mut self, tx: &mut Tx<'_>, present: &Group) -> Result<(), StoreError> {
        let kept = self.kept.iter().map(|kept| kept.root.data);
        let floor = kept.chain([present.root.data]).min();
        let floor = floor.unwrap_or(present.root.data);
        if floor <= self.floor {
            return Ok(());
        }
        let (from, to) = (self.floor, floor);
        tx.delete_range(&PAGES, &PageId::first(from), &PageId::first(to))?;
        tx.delete_range(&SUPERSEDED, &from, &to)?;
        tx.delete_range(&WRAPS, &from, &to)?;
        self.floor = floor;
        Ok(())
    }

    /// Look at superseded pages again from an edition on.
    fn sweep_at(&mut self, edition: Edition) {
        self.sweep_from = Some(self.sweep_from.map_or(edition, |from| from.min(edition)));
    }

    fn sweep_pages(&mut self, tx: &mut Tx<'_>, present: &Group) -> Result<(), StoreError> {
        let Some(from) = self.sweep_from.map(|from| from.max(self.floor)) else {
            return Ok(());
        };
        let limit = ScanLimit {
            rows: SWEEP_ROWS_MAX,
            bytes: SWEEP_BYTES_MAX,
        };
        let rows = tx.scan(&SUPERSEDED, &from, &present.root.edition, limit)?;
        let full = rows.len() == SWEEP_ROWS_MAX;
        let (mut deletes, mut next) = (0, from);
        for (key, Superseded { pages }) in rows {
            let corrupt = StoreError::Corrupt {
                table: SUPERSEDED.name(),
            };
            let last = key.ordered_u64().map(Edition).ok_or(corrupt)?;
            let (mut kept, before) = (Vec::new(), pages.len());
            for page in pages {
                let is_needed = self.kept.iter().any(|kept| kept.needs(page, last));
                if is_needed || deletes == DELETES_MAX {
                    kept.push(page);
                } else {
                    tx.delete(&PAGES, &page)?;
                    deletes += 1;
                }
            }
            if kept.is_empty() {
                tx.delete(&SUPERSEDED, &last)?;
            } else if kept.len() < before {
                tx.put(&SUPERSEDED, &last, &Superseded { pages: kept })?;
            }
            if deletes == DELETES_MAX {
                next = last;
                break;
            }
            next = last.next();
        }
        self.sweep_from = (full || deletes == DELETES_MAX).then_some(next);
        Ok(())
    }

    /// The state of an epoch, if it is kept for joiners.
    pub(crate) fn joinable(&self, (epoch, key): (Epoch, KeyHash), now: Timestamp) -> Option<&Kept> {
        let is_it = |kept: &&Kept| {
            let in_time = kept.joinable.is_some_and(|expires| now <= expires);
            kept.epoch == epoch && kept.key == key && in_time
        };
        self.kept.iter().find(is_it)
    }

    /// The state from before a commit, if it can be undone.
    pub(crate) fn undoable(
        &mut self,
        (commit, key): (Seq, KeyHash),
        now: Timestamp,
    ) -> Option<(&mut Kept, Undo)> {
        self.kept.iter_mut().find_map(|kept| {
            let undo = kept.undo.filter(|undo| undo.commit == commit)?;
            (kept.key == key && now <= undo.expires).then_some((kept, undo))
        })
    }

    /// The state of the epoch with this key, and the commit that ended it, while it can be undone.
    pub(crate) fn ended(&self, key: KeyHash, now: Timestamp) -> Option<(Kept, Undo)> {
        let open = |undo: &Undo| now <= undo.expires;
        self.kept.iter().find_map(|kept| {
            let undo = kept.undo.filter(open)?;
            (kept.key == key).then_some((*kept, undo))
        })
    }

    /// Be again in a state from before a commit: what came after it is void, with all that was kept
    /// of it. The parts' next edition is another one than any there was. [DS-COMPLAIN-2]
    pub(crate) fn revert(
        &mut self,
        tx: &mut Tx<'_>,
        group: &mut Group,
        to: &Kept,
    ) -> Result<(), StoreError> {
        let (first, next) = (to.root.edition.next(), group.root.edition.next());
        tx.delete_range(&PAGES, &PageId::first(first), &PageId::first(next))?;
        // What ended since then and had begun before is in use again, the rest is deleted.
        tx.delete_range(&SUPERSEDED, &to.root.edition, &next)?;
        tx.delete_range(&WRAPS, &first, &next)?;
        let corrupt = StoreError::Corrupt {
            table: WRAPS.name(),
        };
        let mut kept = tx.get(&WRAPS, &to.root.data)?.ok_or(corrupt)?;
        kept.wraps.retain(|wrap| wrap.epoch <= to.epoch);
        tx.put(&WRAPS, &to.root.data, &kept)?;
        for undo in self.kept.iter().filter_map(|kept| kept.undo) {
            if to.undo.is_some_and(|first| first.commit <= undo.commit) {
                delete_complaints(tx, undo.commit)?;
            }
        }
        self.kept.retain(|kept| kept.root.edition < to.root.edition);
        self.joinable = to.joinable;
        self.committed = None;
        self.remember(group.key);
        group.epoch = to.epoch;
        group.key = to.key;
        group.root = to.root;
        group.root.edition = next;
        Ok(())
    }
}

impl Undo {
    /// What is needed to undo the commit that was just given its number.
    pub(crate) fn new(
        committer: PublicKey,
        recipients: usize,
        (commit, chain, content): (Seq, ChainHash, ContentDigest),
        expires: Timestamp,
    ) -> Self {
        Self {
            commit,
            chain,
            content,
            committer,
            recipients: u32::try_from(recipients).unwrap_or(u32::MAX),
            complaints: 0,
            expires,
        }
    }
}

fn delete_complaints(tx: &mut Tx<'_>, commit: Seq) -> Result<(), StoreError> {
    let [from, to] = [commit, commit.next()].map(ComplaintKey::first);
    tx.delete_range(&COMPLAINTS, &from, &to)
}
