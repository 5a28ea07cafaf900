//! The client of Hearth without its network: all state and all cryptography.
//!
//! Synchronous, no network, no clock: the shell passes `now` and carries bytes. Everything is in
//! one encrypted SQLite database, so that a message, its MLS effect and the queue's position are
//! one transaction: an item is acknowledged only after its effect is stored. [SDK-STORE-1]
//!
//! What needs the server is a [`Job`]: start it, then drive it with [`Core::step`],
//! [`Core::reply`] and [`Core::solved`] until [`Step::Done`]. What the server sends by itself goes
//! through [`Core::listen`], [`Core::listening`] and [`Core::receive`]. Everything else reads.
//!
//! | module | holds |
//! |---|---|
//! | `home`, `database`, `tx` | the open home, its file, a transaction |
//! | `job`, `state`, `agenda`, `drive` | what jobs are, what they store, their rows, how they move |
//! | `auth`, `delivery`, `queue` | a file for each operation, named as in the registry |
//! | `group` | leaves, members, events of groups, what members say |
//! | `account`, `contact` | who we are, whom we know |
//! | `upkeep` | what a client does by itself |
//! | `event`, `read`, `history` | what the user is shown |

mod account;
mod agenda;
mod auth;
mod codec;
mod contact;
mod database;
mod delivery;
mod drive;
mod error;
mod event;
mod group;
mod hex;
mod history;
mod home;
mod job;
mod opaque;
mod outgoing;
mod queue;
mod read;
mod setting;
mod state;
mod tx;
mod upkeep;

#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod testing;

pub use database::HomeKey;
pub use error::Error;
pub use event::{Disorder, Event, Person, Problem, Remedy, StoredEvent};
pub use group::content::{GROUP_NAME_BYTES_MAX, TEXT_BYTES_MAX};
pub use group::evidence::check_evidence;
pub use hex::group_hex;
pub use home::{Core, Stock};
pub use job::{Job, JobId, JobKind, Outcome, Step, WorkOrder};
pub use outgoing::{Isolation, Outgoing};
pub use queue::Received;
pub use read::{
    Account, ContactEntry, ContactId, EvidenceEntry, GroupEntry, IncomingRequest, MemberEntry,
    MessageEntry, MessageId, MessageState, OutgoingRequest, OwnUsername, RequestId,
};
