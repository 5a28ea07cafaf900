//! What the types of a configuration do not say.

use protocol::limit::{ENTRY_BYTES_MAX, FRAME_BYTES_MAX, GROUP_MEMBERS_MAX};

use crate::Error;
use crate::config::policy::MIB;
use crate::config::{Accounts, Budget, Config, Connections, Groups, Queues, Streams, Workers};

/// `Ok` if a value is good; otherwise its key, and what it must be.
pub(super) fn demand(key: &'static str, is_good: bool, what: &str) -> Result<(), Error> {
    if is_good {
        Ok(())
    } else {
        Err(Error::Value {
            key,
            what: what.to_owned(),
        })
    }
}

impl Config {
    /// Whether the values go together.
    pub(super) fn check(&self) -> Result<(), Error> {
        demand(
            "listen",
            !self.listen.is_empty(),
            "name at least one address",
        )?;
        let is_private = self
            .metrics
            .is_none_or(|address| address.ip().is_loopback());
        demand(
            "metrics",
            is_private,
            "must be an address of this machine, as 127.0.0.1:9433",
        )?;
        self.connections.check()?;
        self.handshakes.check()?;
        self.strangers.check()?;
        self.transport.check()?;
        self.streams.check()?;
        self.budget.check()?;
        self.watch.check()?;
        self.memory.check()?;
        self.workers.check()?;
        self.accounts.check()?;
        self.groups.check()?;
        self.queues.check()
    }
}

impl Connections {
    fn check(&self) -> Result<(), Error> {
        demand("connections.total", self.total > 0, "must be at least 1")?;
        demand(
            "connections.per_address",
            self.per_address > 0,
            "must be at least 1",
        )?;
        demand(
            "connections.per_network",
            self.per_network > 0,
            "must be at least 1",
        )?;
        demand(
            "connections.per_identity",
            self.per_identity > 0,
            "must be at least 1",
        )?;
        demand(
            "connections.handshakes",
            self.handshakes > 0,
            "must be at least 1",
        )?;
        let is_good = (10..=3_600).contains(&self.idle_seconds);
        demand("connections.idle_seconds", is_good, "must be 10 to 3600")
    }
}

impl Streams {
    fn check(&self) -> Result<(), Error> {
        let is_good = (1..=1_024).contains(&self.concurrent);
        demand("streams.concurrent", is_good, "must be 1 to 1024")?;
        let millis = [
            ("streams.handshake_millis", self.handshake_millis),
            (
                "streams.crowded_handshake_millis",
                self.crowded_handshake_millis,
            ),
            ("streams.first_request_millis", self.first_request_millis),
            ("streams.frame_millis", self.frame_millis),
            ("streams.write_millis", self.write_millis),
        ];
        for (key, millis) in millis {
            demand(key, (1..=600_000).contains(&millis), "must be 1 to 600000")?;
        }
        let one = self.unfinished_bytes_per_connection;
        let is_good = one >= 2 * FRAME_BYTES_MAX;
        let key = "streams.unfinished_bytes_per_connection";
        demand(key, is_good, "must hold two of the longest frames: 4194304")?;
        let is_good = self.unfinished_bytes >= one;
        demand(
            "streams.unfinished_bytes",
            is_good,
            "must be no less than one connection's",
        )?;
        demand(
            "streams.receive_window",
            self.receive_window >= 4_096,
            "must be at least 4096",
        )?;
        let is_good = self.connection_receive_window >= self.receive_window;
        let key = "streams.connection_receive_window";
        demand(
            key,
            is_good,
            "must be no less than one stream's receive_window",
        )?;
        demand(
            "streams.send_window",
            self.send_window >= 4_096,
            "must be at least 4096",
        )
    }
}

impl Budget {
    fn check(&self) -> Result<(), Error> {
        demand(
            "budget.requests_burst",
            self.requests_burst > 0,
            "must be at least 1",
        )?;
        let longest = 2 * FRAME_BYTES_MAX as u64;
        let what = "must allow two of the longest frames: 4194304";
        demand("budget.bytes_burst", self.bytes_burst >= longest, what)?;
        demand(
            "budget.misbehaviour",
            self.misbehaviour >= 10,
            "must be at least 10",
        )
    }
}

impl Workers {
    fn check(&self) -> Result<(), Error> {
        demand(
            "workers.threads",
            self.threads.get() <= 1_024,
            "must be at most 1024",
        )?;
        demand("workers.waiting", self.waiting > 0, "must be at least 1")
    }
}

impl Accounts {
    fn check(&self) -> Result<(), Error> {
        let works = [
            ("accounts.account_work", self.account_work),
            ("accounts.username_work", self.username_work),
        ];
        for (key, work) in works {
            let is_good = work.difficulty().is_reasonable();
            demand(
                key,
                is_good,
                "clients refuse target above 20, stamp above 32, memory below 8",
            )?;
        }
        let is_good = self.challenge_seconds > 0;
        demand("accounts.challenge_seconds", is_good, "must be at least 1")
    }
}

impl Groups {
    fn check(&self) -> Result<(), Error> {
        let members = usize::try_from(self.members).unwrap_or(usize::MAX);
        let is_good = (2..=GROUP_MEMBERS_MAX).contains(&members);
        demand(
            "groups.members",
            is_good,
            "must be 2 to 1000, the protocol's limit",
        )?;
        let is_good = self.undelivered_messages > 0;
        demand("groups.undelivered_messages", is_good, "must be at least 1")
    }
}

impl Queues {
    fn check(&self) -> Result<(), Error> {
        demand("queues.entries", self.entries > 0, "must be at least 1")?;
        let longest = (ENTRY_BYTES_MAX as u64).div_ceil(MIB);
        demand(
            "queues.mib",
            self.mib >= longest,
            "must hold the longest entry: 2",
        )?;
        let is_good = (1..=100).contains(&self.sender_percent);
        demand("queues.sender_percent", is_good, "must be 1 to 100")
    }
}
