//! Hearth for applications: end-to-end encrypted groups through a homeserver that does not know
//! who talks to whom.
//!
//! [`Hearth`] is all there is to hold. It keeps its state, encrypted, in a [`Home`]; does by itself
//! what a user should not see (proof of work, stocks of packages, reconnecting, repeating what was
//! interrupted, following its groups); and tells what happens as [`Event`]s.
//!
//! ```no_run
//! # async fn example() -> Result<(), hearth_sdk::Error> {
//! use hearth_sdk::{Hearth, Home, RegisterOptions, Trust};
//!
//! let options = RegisterOptions {
//!     server: "localhost:4433".parse()?,
//!     display_name: "Aspen".to_owned(),
//!     trust: Trust::Usual,
//! };
//! let hearth = Hearth::register(&Home::new("a"), options, |_| {}).await?;
//! hearth.claim_username("aspen", |_| {}).await?;
//! for request in hearth.connection_requests().await? {
//!     hearth.accept(request.id).await?;
//! }
//! let mut events = hearth.events();
//! while let Some(event) = events.next().await? {
//!     println!("{event:?}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Requests that must not be linked to each other travel over connections of their own, from
//! sockets of their own, and share no session ticket: the account's, the queue's, each username's,
//! each group's and anonymous ones. 0-RTT is off. [SDK-ISOLATION-1]

mod address;
mod client;
mod clock;
mod error;
mod event_stream;
mod evidence;
mod group;
mod hearth;
mod home;
mod jobs;
mod listen;
mod opening;
mod transport;

pub use address::ServerAddress;
pub use client_core::{
    Account, ContactEntry, ContactId, Disorder, Event, EvidenceEntry, GroupEntry, IncomingRequest,
    MemberEntry, MessageEntry, MessageId, MessageState, OutgoingRequest, OwnUsername, Person,
    Problem, Remedy, RequestId, StoredEvent, check_evidence, group_hex,
};
pub use error::Error;
pub use event_stream::EventStream;
pub use evidence::Accused;
pub use group::Leave;
pub use hearth::{Hearth, Progress};
pub use home::Home;
pub use opening::{RegisterOptions, Trust};
pub use protocol::error::{ErrorCode, ErrorReply};
pub use protocol::group_policy::{GroupKind, Role};
pub use protocol::id::{BadName, Domain, Epoch, GroupId, LeafIndex, Username};
