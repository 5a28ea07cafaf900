//! Whom work is charged to: numbers that stand for accounts, addresses and networks.
//!
//! The only accounts that a server knows are pseudonyms: a queue's key, a username's key, a leaf of
//! a group. Whoever has many of them counts as many; the address and the network count beside
//! them, and they are what such a one does not have many of.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::LazyLock;

use crate::prefix;

/// Keyed anew in each process, so that no peer knows whose number meets whose.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// Whom work is charged to. [NODE-CPU-1]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    account: u64,
    host: u64,
    network: u64,
}

impl Identity {
    /// Somebody of whom nothing but the address is known: the address stands for the account.
    pub(crate) fn stranger(address: IpAddr) -> Self {
        let host = HASHER.hash_one(("host", prefix::host(address)));
        Self {
            account: host,
            host,
            network: HASHER.hash_one(("network", prefix::network(address))),
        }
    }

    /// The same peer, having shown the key of a pseudonym.
    pub(crate) fn known(self, account: u64) -> Self {
        Self { account, ..self }
    }

    /// The server itself, whose own work competes with nobody's in particular.
    pub(crate) fn server() -> Self {
        let [account, host, network] =
            ["account", "host", "network"].map(|kind| HASHER.hash_one(("server", kind)));
        Self {
            account,
            host,
            network,
        }
    }

    #[cfg(test)]
    pub(crate) fn for_test(account: u64, host: u64, network: u64) -> Self {
        Self {
            account,
            host,
            network,
        }
    }

    /// The number of the account; a stranger's is that of its address.
    pub(crate) fn account(&self) -> u64 {
        self.account
    }

    /// The number of the network.
    pub(crate) fn network(&self) -> u64 {
        self.network
    }

    /// All that use is charged to, each with a number of its own.
    pub(crate) fn keys(&self) -> [u64; 3] {
        // A stranger's account is its address; charging it twice would count double.
        let account = if self.account == self.host {
            self.host ^ u64::MAX
        } else {
            self.account
        };
        [account, self.host, self.network]
    }

    /// The number under which the account's own use is read.
    pub(crate) fn account_key(&self) -> u64 {
        let [account, ..] = self.keys();
        account
    }
}

/// The number of the pseudonym of a request that was verified.
pub(crate) fn account(pseudonym: &[u8]) -> u64 {
    HASHER.hash_one(("account", pseudonym))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_the_same_from_everywhere_and_a_stranger_is_its_address() {
        let [here, there] = ["10.0.0.1", "10.0.1.1"].map(|text| text.parse().unwrap());
        let number = account(b"queue");
        let [one, two] = [here, there].map(|from| Identity::stranger(from).known(number));
        assert_eq!(one.account(), two.account());
        assert_ne!(one.network(), two.network());
        assert_eq!(Identity::stranger(here), Identity::stranger(here));
        assert_ne!(
            Identity::stranger(here).account(),
            Identity::stranger(there).account()
        );
        assert_ne!(account(b"queue"), account(b"other"));
    }
}
