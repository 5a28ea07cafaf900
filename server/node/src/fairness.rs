//! Which waiting job goes first, so that no account and no network takes more than its share.
//!
//! ```text
//! job ──► lane of its class ──► its network ──► its account, first in first out
//!
//! take:  the most urgent class with a job whose account and network are both within their share;
//!        if there is none, the job that is least beyond
//! ```
//!
//! Each account and each network has a mark: how much work was done for it, but never behind the
//! common mark when its work begins, so that nothing is saved up. The common mark moves on by a
//! quarter of all work, or by an equal part while fewer than four compete. Whoever is ahead of it
//! by more than a small advance has had its share and waits behind those who have not.
//!
//! What follows: let an account (or a network) compete with at least three others throughout a
//! span. The common mark moves by a quarter of the work of the span, and the account's own by at
//! least the work done for it, which only begins while its mark is within the advance. So it gets
//! at most a quarter, plus the advance, plus what was under way on each thread. With one or two
//! others it gets at most a half or a third, plus the same, unless it goes through several accounts
//! or networks at once: then it is taken for several until four compete. The exception is work that
//! nobody else could have had: a job whose account or network is ahead goes when all that wait are.
//! [NODE-FAIR-1]

use std::time::Duration;

use protocol::request::Class;

use crate::identity::Identity;
use crate::lane::{Lane, Place};
use crate::share::{Share, is_within};

/// Classes.
pub(crate) const CLASSES: usize = 6;
/// All classes, the most urgent first.
pub(crate) const URGENCY: [Class; CLASSES] = [
    Class::Listen,
    Class::Send,
    Class::Commit,
    Class::Fetch,
    Class::Issue,
    Class::Register,
];

/// A job that waits.
#[derive(Debug)]
pub(crate) struct Waiting<T> {
    pub(crate) identity: Identity,
    /// Since when it waits.
    pub(crate) since: Duration,
    pub(crate) job: T,
}

/// A job whose turn it is.
#[derive(Debug)]
pub(crate) struct Turn<T> {
    pub(crate) class: Class,
    pub(crate) waiting: Waiting<T>,
    /// Whether its account or network had its share already: nobody waits who has not.
    pub(crate) is_beyond: bool,
}

/// There is no room, in all or for this account or network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoRoom;

/// Jobs that wait, and whose turn it is. [NODE-FAIR-1]
#[derive(Debug)]
pub(crate) struct Fairness<T> {
    lanes: [Lane<Waiting<T>>; CLASSES],
    accounts: Share,
    networks: Share,
    server: Identity,
}

impl<T> Fairness<T> {
    pub(crate) fn new() -> Self {
        Self {
            lanes: [(); CLASSES].map(|()| Lane::new()),
            accounts: Share::new(),
            networks: Share::new(),
            server: Identity::server(),
        }
    }

    /// Let a job wait where at most `most` of its class may. An account or a network may have as
    /// many as there are places left, so that it never takes the last of another. [NODE-FAIR-2]
    pub(crate) fn push(
        &mut self,
        class: Class,
        waiting: Waiting<T>,
        most: usize,
    ) -> Result<(), NoRoom> {
        let identity = waiting.identity;
        let is_exempt = identity == self.server;
        let place = place(&identity);
        let lane = lane(&mut self.lanes, class);
        let left = most.saturating_sub(lane.len());
        let taken = lane.waiting(place);
        if left == 0 || (!is_exempt && taken.iter().any(|taken| *taken >= left)) {
            return Err(NoRoom);
        }
        lane.push(place, &self.accounts, &self.networks, waiting);
        self.accounts.enter(place.account);
        self.networks.enter(place.network);
        Ok(())
    }

    /// The job whose turn it is, of those classes that `may_run`.
    pub(crate) fn take(&mut self, may_run: impl Fn(Class) -> bool) -> Option<Turn<T>> {
        let mut least: Option<(u64, Class, Place)> = None;
        for class in URGENCY.into_iter().filter(|class| may_run(*class)) {
            let lane = lane(&mut self.lanes, class);
            let Some((ahead, place)) = lane.least_ahead(&self.accounts, &self.networks) else {
                continue;
            };
            if is_within(ahead) {
                return self.turn(class, place, false);
            }
            if least.is_none_or(|(best, ..)| ahead < best) {
                least = Some((ahead, class, place));
            }
        }
        let (_, class, place) = least?;
        self.turn(class, place, true)
    }

    /// The oldest job of an account that is ahead of its share, if it has waited since before
    /// `since`: it is to be told to come back rather than to go on waiting.
    pub(crate) fn take_stale(
        &mut self,
        class: Class,
        identity: &Identity,
        since: Duration,
    ) -> Option<Waiting<T>> {
        let place = place(identity);
        if self.accounts.is_within(place.account) && self.networks.is_within(place.network) {
            return None;
        }
        let oldest = lane(&mut self.lanes, class).peek(place)?;
        if oldest.since >= since {
            return None;
        }
        self.turn(class, place, true).map(|turn| turn.waiting)
    }

    /// Work was done for an identity.
    pub(crate) fn charge(&mut self, identity: &Identity, work: Duration) {
        let is_exempt = *identity == self.server;
        let work = u64::try_from(work.as_nanos()).unwrap_or(u64::MAX);
        for (share, key) in [
            (&mut self.accounts, identity.account()),
            (&mut self.networks, identity.network()),
        ] {
            share.charge((!is_exempt).then_some(key), work);
        }
    }

    /// How many wait, by class in the order of urgency.
    pub(crate) fn waiting(&self) -> [usize; CLASSES] {
        self.lanes.each_ref().map(Lane::len)
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.lanes.iter().all(|lane| lane.len() == 0)
    }

    fn turn(&mut self, class: Class, place: Place, is_beyond: bool) -> Option<Turn<T>> {
        let waiting = lane(&mut self.lanes, class).pop(place)?;
        self.accounts.leave(place.account);
        self.networks.leave(place.network);
        Some(Turn {
            class,
            waiting,
            is_beyond,
        })
    }
}

fn place(identity: &Identity) -> Place {
    Place {
        network: identity.network(),
        account: identity.account(),
    }
}

fn lane<T>(lanes: &mut [Lane<T>; CLASSES], class: Class) -> &mut Lane<T> {
    let [listen, send, commit, fetch, issue, register] = lanes;
    match class {
        Class::Listen => listen,
        Class::Send => send,
        Class::Commit => commit,
        Class::Fetch => fetch,
        Class::Issue => issue,
        Class::Register => register,
    }
}

#[cfg(test)]
mod tests;
