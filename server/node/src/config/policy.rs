//! The services' policies as an operator writes them.

use engine::{AuthPolicy, DeliveryPolicy, Difficulty, Policies, QueuePolicy};
use serde::Deserialize;

use crate::config::Config;

const DAY: u64 = 86_400;
pub(super) const MIB: u64 = 1 << 20;

/// Policy of the authentication service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Accounts {
    /// Whether anybody may register.
    pub registration_open: bool,
    /// Proof of work for an account.
    pub account_work: Work,
    /// Proof of work for a username.
    pub username_work: Work,
    /// Seconds in which a puzzle may be answered.
    pub challenge_seconds: u64,
}

/// How much work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Work {
    /// KiB of memory of one attempt.
    pub memory_kib: u16,
    /// About 2^this attempts are needed.
    pub target_bits: u8,
    /// 2^this hashes are needed before the server looks at an answer.
    pub stamp_bits: u8,
}

/// Policy of the delivery service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Groups {
    /// Members of a group.
    pub members: u32,
    /// KiB of a group's state.
    pub state_kib: u32,
    /// Days that the state of an epoch waits for those who were added in it.
    pub past_state_days: u64,
    /// Seconds in which members can undo a commit that they cannot follow; 0 for never.
    pub undo_seconds: u64,
    /// Percent of those whom a commit was sent to that must complain to undo it.
    pub undo_quorum_percent: u8,
    /// Months without a request after which a member is to leave; 0 for never.
    pub inactive_months: u32,
    /// Days that a message waits to be delivered.
    pub undelivered_days: u64,
    /// Messages of a group that may wait to be delivered.
    pub undelivered_messages: u32,
}

/// Policy of the queueing service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Queues {
    /// Entries that may wait in one queue.
    pub entries: u64,
    /// MiB of entries that may wait in one queue.
    pub mib: u64,
    /// Percent of both that one sender may take.
    pub sender_percent: u8,
    /// A client is told to publish KeyPackages when no more than this are left.
    pub key_packages_low: u32,
}

impl Default for Accounts {
    fn default() -> Self {
        let account_work = Work {
            memory_kib: 16_384,
            target_bits: 7,
            stamp_bits: 20,
        };
        let username_work = Work {
            target_bits: 6,
            ..account_work
        };
        Self {
            registration_open: true,
            account_work,
            username_work,
            challenge_seconds: 600,
        }
    }
}

impl Default for Groups {
    fn default() -> Self {
        Self {
            members: 1_000,
            state_kib: 5_632,
            past_state_days: 14,
            undo_seconds: 600,
            undo_quorum_percent: 50,
            inactive_months: 6,
            undelivered_days: 14,
            undelivered_messages: 10_000,
        }
    }
}

impl Default for Queues {
    fn default() -> Self {
        Self {
            entries: 100_000,
            mib: 256,
            sender_percent: 50,
            key_packages_low: 20,
        }
    }
}

impl Work {
    /// A fraction of a second of one core.
    const EASY: Self = Self {
        memory_kib: 1_024,
        target_bits: 6,
        stamp_bits: 12,
    };

    pub(super) fn difficulty(self) -> Difficulty {
        let Self {
            memory_kib,
            target_bits,
            stamp_bits,
        } = self;
        Difficulty {
            memory_kib,
            target_bits,
            stamp_bits,
        }
    }
}

impl Config {
    /// The services' policies.
    pub(crate) fn policies(&self) -> Policies {
        let Groups {
            members,
            state_kib,
            past_state_days,
            undo_seconds,
            undo_quorum_percent,
            inactive_months,
            undelivered_days,
            undelivered_messages,
        } = self.groups;
        let Queues {
            entries,
            mib,
            sender_percent,
            key_packages_low,
        } = self.queues;
        Policies {
            auth: AuthPolicy {
                registration: self.accounts.account_work.difficulty(),
                username: self.accounts.username_work.difficulty(),
                challenge_seconds: self.accounts.challenge_seconds,
                registration_open: self.accounts.registration_open,
            },
            delivery: DeliveryPolicy {
                members_max: members,
                state_bytes_max: usize::try_from(state_kib).unwrap_or(usize::MAX) << 10,
                past_state_seconds: past_state_days.saturating_mul(DAY),
                undo_seconds,
                undo_quorum_percent,
                inactive_months,
                parcel_seconds: undelivered_days.saturating_mul(DAY),
                parcels_max: undelivered_messages,
            },
            queue: QueuePolicy {
                entries_max: entries,
                bytes_max: mib.saturating_mul(MIB),
                key_packages_low,
                ticket_share_percent: sender_percent,
            },
        }
    }

    /// Easy work and hardly any limits on a connection: for trying and for tests. All connections
    /// come from one address there.
    #[must_use]
    pub(crate) fn for_development(mut self) -> Self {
        self.accounts.account_work = Work::EASY;
        self.accounts.username_work = Work::EASY;
        self.connections.per_address = u32::MAX;
        self.connections.per_network = u32::MAX;
        self.handshakes = self.handshakes.without_networks();
        self.budget.requests_per_second = 100_000;
        self.budget.requests_burst = 100_000;
        self.budget.bytes_per_second = 1 << 30;
        self.budget.bytes_burst = 1 << 30;
        self
    }
}
