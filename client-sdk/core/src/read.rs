//! What the home holds, for showing.

use protocol::group_policy::GroupKind;
use protocol::id::{Epoch, GroupId, LeafIndex};
use serde::Serialize;

use crate::event::Person;

/// A contact's number in its home.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ContactId(pub i64);

/// An incoming connection request's number in its home.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct RequestId(pub i64);

/// A message's row in the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct MessageId(pub i64);

/// The client's own account.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    /// `<user id in hex>@<domain>`.
    pub address: String,
    /// The client's id in hex.
    pub client: String,
    /// How we want to be shown.
    pub display_name: String,
    /// Whether the server has signed the credential.
    pub registered: bool,
}

/// A username of ours.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct OwnUsername {
    /// `name@domain`.
    pub username: String,
    /// Whether the server has confirmed the claim.
    pub claimed: bool,
    /// Until then, seconds since 1970.
    pub expires: u64,
}

/// Somebody who can be invited.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct ContactEntry {
    /// The number for invitations.
    pub id: ContactId,
    /// Who.
    pub person: Person,
}

/// Somebody's open wish to become a contact.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct IncomingRequest {
    /// The number for accept and reject.
    pub id: RequestId,
    /// Who.
    pub from: Person,
    /// Our username that they asked.
    pub username: String,
}

/// Our open wish to become somebody's contact.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct OutgoingRequest {
    /// Whom we asked.
    pub username: String,
    /// Whether the server has it.
    pub sent: bool,
}

/// A group.
#[derive(Clone, PartialEq, Eq)]
pub struct GroupEntry {
    /// Its id.
    pub id: GroupId,
    /// Its name in this home.
    pub name: String,
    /// Whether it is for two people alone.
    pub kind: GroupKind,
    /// The epoch that this client is in.
    pub epoch: Epoch,
    /// How many members it has.
    pub members: usize,
    /// Whether the server has confirmed it and we are in it.
    pub active: bool,
    /// Whether we are an admin.
    pub admin: bool,
    /// Whether we asked to leave, and wait for somebody's commit.
    pub leaving: bool,
}

/// A member of a group.
#[derive(Clone, PartialEq, Eq)]
pub struct MemberEntry {
    /// The place in the group: for removal.
    pub leaf: LeafIndex,
    /// Who.
    pub person: Person,
    /// Whether it is an admin.
    pub admin: bool,
}

/// What a delivery service was caught at.
#[derive(Clone, PartialEq, Eq)]
pub struct EvidenceEntry {
    /// Its number in this home.
    pub id: i64,
    /// The group.
    pub group: GroupId,
    /// How the order is broken.
    pub how: crate::event::Disorder,
    /// The number at which it shows.
    pub number: u64,
    /// An encoded `OrderEvidence`: all that a third party needs.
    pub bytes: Vec<u8>,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageState {
    /// Ours, not yet accepted by the server.
    Sending,
    /// Ours, accepted.
    Sent,
    /// Ours, refused for good.
    Failed,
    /// Somebody else's.
    Received,
}

/// A message of the history.
#[derive(Clone, PartialEq, Eq)]
pub struct MessageEntry {
    /// Its row.
    pub id: MessageId,
    /// Its number in the group, once accepted.
    pub number: Option<u64>,
    /// Who.
    pub sender: Person,
    /// The content.
    pub body: Vec<u8>,
    /// Seconds since 1970, by the sender's clock.
    pub sent_at: u64,
    /// What became of it.
    pub state: MessageState,
    /// Whether it is for one member alone: for us, or for `to`.
    pub direct: bool,
    /// For whom alone we sent it.
    pub to: Option<Person>,
}
