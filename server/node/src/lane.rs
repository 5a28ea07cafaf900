//! Jobs of one class: networks in the order of their marks, in each its accounts likewise, and the
//! jobs of an account as they came.
//!
//! Marks move while jobs wait. An order that is out of date is put right when somebody looks at its
//! front, so that work for a network costs one step in each lane, however many of its accounts wait.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;

use crate::share::{Share, is_within};

/// Where a job waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) network: u64,
    pub(crate) account: u64,
}

/// Jobs of one class.
#[derive(Debug)]
pub(crate) struct Lane<T> {
    networks: Order<Network<T>>,
    jobs: usize,
}

/// Jobs of one network.
#[derive(Debug)]
struct Network<T> {
    accounts: Order<VecDeque<T>>,
    jobs: usize,
}

impl<T> Default for Network<T> {
    fn default() -> Self {
        Self {
            accounts: Order::default(),
            jobs: 0,
        }
    }
}

impl<T> Lane<T> {
    pub(crate) fn new() -> Self {
        Self {
            networks: Order::default(),
            jobs: 0,
        }
    }

    /// Jobs that wait.
    pub(crate) fn len(&self) -> usize {
        self.jobs
    }

    /// Jobs of a network and, among them, of an account.
    pub(crate) fn waiting(&self, place: Place) -> [usize; 2] {
        let network = self.networks.get(place.network);
        let account = network.and_then(|network| network.accounts.get(place.account));
        [
            network.map_or(0, |network| network.jobs),
            account.map_or(0, VecDeque::len),
        ]
    }

    /// Add a job behind those of its account.
    pub(crate) fn push(&mut self, place: Place, accounts: &Share, networks: &Share, job: T) {
        let rank = networks.mark(place.network);
        let network = self.networks.entry(place.network, rank);
        network.jobs += 1;
        let rank = accounts.mark(place.account);
        network.accounts.entry(place.account, rank).push_back(job);
        self.jobs += 1;
    }

    /// Whose job is least ahead, and by how much: the account's or the network's lead, whichever is
    /// the longer. Stops at the first that has not had its share.
    pub(crate) fn least_ahead(
        &mut self,
        accounts: &Share,
        networks: &Share,
    ) -> Option<(u64, Place)> {
        let (mut least, mut passed) = (None, None);
        while let Some(next) = self.networks.after(passed, networks) {
            let (_, network) = next;
            let lead = networks.ahead(network);
            if least.is_some_and(|(best, _)| lead >= best) {
                // All that follow are further ahead.
                break;
            }
            let waiting = self.networks.get_mut(network)?;
            let (_, account) = waiting.accounts.after(None, accounts)?;
            let lead = lead.max(accounts.ahead(account));
            if least.is_none_or(|(best, _)| lead < best) {
                least = Some((lead, Place { network, account }));
            }
            if is_within(lead) {
                break;
            }
            passed = Some(next);
        }
        least
    }

    /// The oldest job of an account.
    pub(crate) fn peek(&self, place: Place) -> Option<&T> {
        let network = self.networks.get(place.network)?;
        network.accounts.get(place.account)?.front()
    }

    /// Take the oldest job of an account.
    pub(crate) fn pop(&mut self, place: Place) -> Option<T> {
        let network = self.networks.get_mut(place.network)?;
        let line = network.accounts.get_mut(place.account)?;
        let job = line.pop_front()?;
        network.jobs -= 1;
        self.jobs -= 1;
        if line.is_empty() {
            network.accounts.remove(place.account);
        }
        if network.jobs == 0 {
            self.networks.remove(place.network);
        }
        Some(job)
    }
}

/// Things by key, in the order of ranks that only grow.
#[derive(Debug)]
struct Order<V> {
    ranks: BTreeSet<(u64, u64)>,
    things: BTreeMap<u64, (u64, V)>,
}

impl<V> Default for Order<V> {
    fn default() -> Self {
        Self {
            ranks: BTreeSet::new(),
            things: BTreeMap::new(),
        }
    }
}

impl<V: Default> Order<V> {
    /// The thing of a key; a new one begins at `rank`.
    fn entry(&mut self, key: u64, rank: u64) -> &mut V {
        let (_, thing) = self.things.entry(key).or_insert_with(|| {
            self.ranks.insert((rank, key));
            (rank, V::default())
        });
        thing
    }
}

impl<V> Order<V> {
    fn get(&self, key: u64) -> Option<&V> {
        self.things.get(&key).map(|(_, thing)| thing)
    }

    fn get_mut(&mut self, key: u64) -> Option<&mut V> {
        self.things.get_mut(&key).map(|(_, thing)| thing)
    }

    fn remove(&mut self, key: u64) {
        if let Some((rank, _)) = self.things.remove(&key) {
            self.ranks.remove(&(rank, key));
        }
    }

    /// The first behind `passed`, by what `share` says at present.
    fn after(&mut self, passed: Option<(u64, u64)>, share: &Share) -> Option<(u64, u64)> {
        let from = passed.map_or(Bound::Unbounded, Bound::Excluded);
        loop {
            let (rank, key) = *self.ranks.range((from, Bound::Unbounded)).next()?;
            let present = share.rank(key).max(rank);
            if present == rank {
                return Some((rank, key));
            }
            self.ranks.remove(&(rank, key));
            self.ranks.insert((present, key));
            if let Some((old, _)) = self.things.get_mut(&key) {
                *old = present;
            }
        }
    }
}
