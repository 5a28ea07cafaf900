//! What the client tells its user. Field names are stable: scripts read them as JSON.

use serde::{Deserialize, Serialize};

/// Somebody, as far as they are known. Only a verified person's address is to be believed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// `<user id in hex>@<domain>`; absent if nothing about the identity could be opened.
    pub address: Option<String>,
    /// The client's id in hex.
    pub client: Option<String>,
    /// The username by which they are a contact of ours.
    pub username: Option<String>,
    /// How they want to be shown, if they are a contact. Proves nothing.
    pub display_name: Option<String>,
    /// Whether credential, leaf and domain keys were checked and fit. [SDK-IDENTITY-1]
    pub verified: bool,
    /// Whether it is this very client.
    pub is_self: bool,
}

/// An event with its number in the home.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredEvent {
    /// Counts up.
    pub id: i64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened. Group ids are in hex.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// Somebody wants to become a contact.
    ConnectionRequested {
        /// The number for accept and reject.
        request: i64,
        /// Who.
        from: Person,
        /// Our username that they asked.
        username: String,
    },
    /// Somebody whom we asked became a contact.
    ConnectionAccepted {
        /// The contact's number.
        contact: i64,
        /// Who.
        from: Person,
    },
    /// We are a member of a group.
    GroupJoined {
        /// The group.
        group: String,
        /// Everybody in it.
        members: Vec<Person>,
        /// Whether every member's identity was verified.
        verified: bool,
    },
    /// The group's name was told.
    GroupNamed {
        /// The group.
        group: String,
        /// The name.
        name: String,
        /// Who told it.
        by: Person,
    },
    /// A message came.
    MessageReceived {
        /// The group.
        group: String,
        /// The group's name in this home.
        group_name: String,
        /// Who.
        sender: Person,
        /// Its number in the group.
        number: u64,
        /// Its row in the history.
        message: i64,
        /// The text; bytes that are no UTF-8 are replaced.
        body: String,
        /// Seconds since 1970, by the sender's clock.
        sent_at: u64,
    },
    /// Members came or went.
    MembersChanged {
        /// The group.
        group: String,
        /// The commit's number in the group.
        number: u64,
        /// Who did it.
        by: Person,
        /// Who came.
        added: Vec<Person>,
        /// Who went.
        removed: Vec<Person>,
    },
    /// A member renewed its keys; so the group's changed.
    KeysUpdated {
        /// The group.
        group: String,
        /// The commit's number in the group.
        number: u64,
        /// Who.
        by: Person,
    },
    /// We are no member any more; nothing of the group's keys is left.
    RemovedFromGroup {
        /// The group.
        group: String,
        /// The group's name in this home.
        group_name: String,
        /// Who did it.
        by: Person,
    },
    /// Something arrived that could not be used; it was skipped.
    Problem {
        /// The group, if it is about one.
        group: Option<String>,
        /// What is wrong.
        problem: Problem,
    },
}

/// Why something that arrived could not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Problem {
    /// The queue skipped entries.
    QueueGap,
    /// The entry does not open under the queue's ratchet.
    EntryUnreadable,
    /// The entry came by a ticket that leads nowhere.
    TicketUnknown,
    /// Not a payload that we know.
    PayloadMalformed,
    /// The group's events have a gap: the server withheld some.
    EventGap,
    /// A group event that came twice or out of order.
    EventRepeated,
    /// The event does not open under any key of the group.
    EventUnreadable,
    /// MLS refused the message.
    MessageRefused,
    /// MLS refused the commit: this client cannot follow the group any more.
    CommitRefused,
    /// Members are shown as unverified: an identity does not verify.
    MemberUnverified,
    /// A commit changes who stands behind a leaf; it was followed, the member is unverified.
    IdentityChanged,
    /// The Welcome does not open, or leads to no state.
    WelcomeRefused,
    /// A connection request or acceptance that does not verify.
    ConnectionRefused,
    /// The server lost data that this client has seen.
    ServerRewound,
}
