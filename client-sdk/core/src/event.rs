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
        /// Those of them who wanted to.
        #[serde(default)]
        left: Vec<Person>,
    },
    /// Roles changed.
    RolesChanged {
        /// The group.
        group: String,
        /// The commit's number in the group.
        number: u64,
        /// Who did it.
        by: Person,
        /// Who became admin.
        promoted: Vec<Person>,
        /// Who is admin no more.
        demoted: Vec<Person>,
    },
    /// A member wants to leave, and is out with the next commit.
    LeaveProposed {
        /// The group.
        group: String,
        /// The proposal's number in the group.
        number: u64,
        /// Who.
        by: Person,
    },
    /// The server proposes to remove a member that was away too long, or whose queue is gone.
    RemovalProposed {
        /// The group.
        group: String,
        /// The proposal's number in the group.
        number: u64,
        /// Whom.
        member: Person,
    },
    /// A message came for us alone.
    DirectReceived {
        /// The group.
        group: String,
        /// The group's name in this home.
        group_name: String,
        /// Who.
        sender: Person,
        /// Its row in the history.
        message: i64,
        /// The text; bytes that are no UTF-8 are replaced.
        body: String,
        /// Seconds since 1970, by the sender's clock.
        sent_at: u64,
    },
    /// We are out of a group that we wanted to leave; nothing of its keys is left.
    LeftGroup {
        /// The group.
        group: String,
        /// The group's name in this home.
        group_name: String,
    },
    /// An admin ended the group for everybody; nothing of its keys is left.
    GroupDeleted {
        /// The group.
        group: String,
        /// The group's name in this home.
        group_name: String,
        /// Who did it.
        by: Person,
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
    /// The delivery service lied about the order of a group's events: to us, or to another member.
    OrderBroken {
        /// The group.
        group: String,
        /// How.
        how: Disorder,
        /// The number at which it shows.
        number: u64,
        /// The piece of evidence that was kept, to show others.
        evidence: Option<i64>,
    },
    /// This client cannot follow a group any more, and is helping itself.
    GroupDamaged {
        /// The group.
        group: String,
        /// The commit's number in the group; absent if it is what is missing.
        number: Option<u64>,
        /// Who made it.
        by: Person,
    },
    /// A member says that it cannot follow a commit.
    CommitDisputed {
        /// The group.
        group: String,
        /// The commit's number in the group.
        number: u64,
        /// Who says so.
        by: Person,
    },
    /// Commits were undone, because enough members could not follow them. What was said since is
    /// void; what of it was ours is sent again.
    GroupReverted {
        /// The group.
        group: String,
        /// The number of the first commit that was undone.
        commit: u64,
        /// Who made it, and is to be removed.
        offender: Person,
        /// The epoch that the group is in.
        epoch: u64,
    },
    /// This client follows the group again.
    GroupHealed {
        /// The group.
        group: String,
        /// By what.
        how: Remedy,
        /// The first and the last number that were missed, if any were.
        missed: Option<(u64, u64)>,
    },
    /// This client cannot help itself: an admin has to remove it from the group and add it again.
    /// The client of an admin who has it as a contact does so by itself if it had complained.
    HelpNeeded {
        /// The group.
        group: String,
        /// The group's name in this home.
        group_name: String,
    },
    /// Something arrived that could not be used; it was skipped.
    Problem {
        /// The group, if it is about one.
        group: Option<String>,
        /// What is wrong.
        problem: Problem,
    },
}

/// How the order of a group's events is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Disorder {
    /// Two orders of the same events are shown. The evidence is proof.
    Fork,
    /// Events were withheld.
    Gap,
    /// An event came after one with a higher number.
    Reordered,
    /// An event stands where the service said that another does.
    Replaced,
}

/// How a client that could not follow a group came to follow it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Remedy {
    /// The queue brought what was missing.
    CaughtUp,
    /// The commit was undone.
    Reverted,
    /// It replaced its own leaf.
    Resynced,
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
    /// The delivery service did not sign what it says about the order of events.
    ReceiptRefused,
    /// Commits are said to be undone, and are not: too few members complained.
    RevertRefused,
    /// The state for a resync makes no sense.
    ResyncRefused,
    /// The service does not see that a commit has locked us out, though this client has proof.
    ProofRefused,
    /// A member's complaint about a commit that is not by that member.
    ComplaintRefused,
    /// A group event that came twice or out of order.
    EventRepeated,
    /// The event does not open under any key of the group.
    EventUnreadable,
    /// MLS refused the message.
    MessageRefused,
    /// MLS refused the proposal, or it is none that our groups have.
    ProposalRefused,
    /// MLS refused the commit: this client cannot follow the group any more.
    CommitRefused,
    /// Members are shown as unverified: an identity does not verify.
    MemberUnverified,
    /// A commit changes who stands behind a leaf; it was followed, the member is unverified.
    IdentityChanged,
    /// The Welcome does not open, or leads to no state.
    WelcomeRefused,
    /// The group to which the Welcome leads is deleted, or has moved on too long ago.
    WelcomeLate,
    /// An invitation to a connection group that does not open, or leads into none.
    InvitationRefused,
    /// A connection request or acceptance that does not verify.
    ConnectionRefused,
    /// The server lost data that this client has seen.
    ServerRewound,
}
