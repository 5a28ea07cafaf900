//! Jobs: everything that needs the server, as steps that survive a crash.
//!
//! ```text
//!              step(job)                    reply(job, payload)
//! (stored) ---------------> Send(request) ----------------------> next step ... Done(outcome)
//!                           Solve(order)  --- solved(job, work) ->
//!                           Retry, CatchUp, Wait: step(job) again later
//! ```
//!
//! A job is a row in the database from its start to its end. Whatever a step must not lose or
//! repeat (a commit, a message) is stored before its request is handed out; asked again after a
//! restart, `step` gives the same request. [SDK-JOB-1]

use std::time::Duration;

use protocol::crypto::work::{BadWork, Challenge, Work};
use protocol::id::{Epoch, GroupId};
use protocol::time::Timestamp;
use serde::Serialize;

use crate::outgoing::Outgoing;

/// A job's number in its home.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct JobId(pub i64);

/// A job that is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// What it is for.
    pub kind: JobKind,
    /// The group whose order it keeps: jobs of one group run one after another.
    pub group: Option<GroupId>,
}

/// What a job is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobKind {
    /// Sign up.
    Register,
    /// Upkeep: fetch and verify a domain's keys.
    FetchServerKeys,
    /// Upkeep: create the queue.
    CreateQueue,
    /// Upkeep: stock tickets.
    TakeTickets,
    /// Upkeep: stock KeyPackages.
    PublishKeyPackages,
    /// Claim or refresh a username.
    ClaimUsername,
    /// Give a username up.
    ReleaseUsername,
    /// Upkeep: stock connection packages.
    PublishConnectionPackages,
    /// Fetch the connection requests left at a username.
    FetchConnectionRequests,
    /// Ask somebody to become a contact.
    Connect,
    /// Accept somebody's request.
    AcceptConnection,
    /// Create a group.
    CreateGroup,
    /// Change a group: invite, remove, change roles, update keys.
    CommitGroup,
    /// Send a message.
    SendMessage,
    /// Upkeep: join a group after a Welcome.
    JoinGroup,
    /// Upkeep: commit proposals that have waited long enough.
    CommitProposals,
    /// Send a message to one member.
    SendToMember,
    /// Propose to leave a group.
    LeaveGroup,
    /// End a group for everybody.
    DeleteGroup,
    /// Upkeep, or asked for: give a group another ticket.
    UpdateTicket,
    /// Upkeep: complain about a commit that this client cannot follow.
    Complain,
    /// Upkeep: enter a group again by an external commit.
    Resync,
    /// Open the group that is for a contact and us alone.
    OpenConnectionGroup,
    /// Upkeep: enter such a group, which a contact has opened.
    EnterConnectionGroup,
}

impl JobKind {
    /// Whether the client does it by itself, without being asked.
    #[must_use]
    pub fn is_upkeep(self) -> bool {
        match self {
            Self::FetchServerKeys
            | Self::CreateQueue
            | Self::TakeTickets
            | Self::PublishKeyPackages
            | Self::PublishConnectionPackages
            | Self::JoinGroup
            | Self::CommitProposals
            | Self::UpdateTicket
            | Self::Complain
            | Self::Resync
            | Self::EnterConnectionGroup => true,
            Self::Register
            | Self::ClaimUsername
            | Self::ReleaseUsername
            | Self::FetchConnectionRequests
            | Self::Connect
            | Self::AcceptConnection
            | Self::CreateGroup
            | Self::CommitGroup
            | Self::SendMessage
            | Self::SendToMember
            | Self::LeaveGroup
            | Self::DeleteGroup
            | Self::OpenConnectionGroup => false,
        }
    }
}

/// What a job needs next.
#[derive(Debug)]
pub enum Step {
    /// Send it and give the reply's payload to `Core::reply`. If the connection fails, send it
    /// again: on the wire it is idempotent.
    Send(Outgoing),
    /// Solve the puzzle on a thread of its own and give the work to `Core::solved`.
    Solve(WorkOrder),
    /// The server is busy: call `Core::step` after this time.
    Retry(Duration),
    /// The group has moved on: read the queue, and call `Core::step` when it has brought the group
    /// there (`Core::has_reached`), or when it has not for as long as `patience`.
    CatchUp {
        /// The group.
        group: GroupId,
        /// The server's epoch.
        epoch: Epoch,
        /// An event that must have been taken; zero for any.
        number: u64,
        /// Call `Core::step` after this time anyway; none: for as long as it takes.
        patience: Option<Duration>,
    },
    /// Finish that job first, then call `Core::step`.
    Wait(JobId),
    /// The job is over and forgotten.
    Done(Outcome),
}

/// A puzzle to solve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkOrder {
    pub(crate) challenge: Challenge,
    pub(crate) purpose: [u8; 32],
}

impl WorkOrder {
    /// How many attempts the solution takes on average: the scale of a progress bar.
    #[must_use]
    pub fn attempts_expected(&self) -> u64 {
        1_u64
            .checked_shl(u32::from(self.challenge.difficulty.target_bits))
            .unwrap_or(u64::MAX)
    }

    /// Search for the solution: seconds of one core. `progress` hears the number of attempts so
    /// far and stops the search by answering `false`.
    ///
    /// # Errors
    /// The puzzle is unreasonable, or the search was stopped.
    pub fn solve(&self, progress: impl FnMut(u64) -> bool) -> Result<Work, BadWork> {
        self.challenge.solve(&self.purpose, progress)
    }
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The account exists.
    Registered,
    /// The username is ours until then.
    UsernameClaimed {
        /// Until then, unless refreshed.
        expires: Timestamp,
    },
    /// The username is free.
    UsernameReleased,
    /// The request waits for its addressee.
    ConnectionRequested,
    /// So many requests are new; each is an event.
    ConnectionRequestsFetched {
        /// Requests that were not known.
        count: usize,
    },
    /// The acceptance is under way to the requester, who is a contact.
    ConnectionAccepted {
        /// The contact.
        contact: crate::read::ContactId,
    },
    /// The group exists.
    GroupCreated {
        /// The group.
        group: GroupId,
    },
    /// The commit was accepted.
    GroupChanged {
        /// The group.
        group: GroupId,
        /// The epoch that it is in.
        epoch: Epoch,
    },
    /// The message was accepted.
    MessageSent {
        /// The group.
        group: GroupId,
        /// Its number in the group.
        number: u64,
        /// Its row in the history.
        message: crate::read::MessageId,
    },
    /// The message was accepted for the one member.
    SentToMember {
        /// The group.
        group: GroupId,
        /// Its row in the history.
        message: crate::read::MessageId,
    },
    /// The others know that we want to leave; an event tells when we are out.
    LeaveProposed {
        /// The group.
        group: GroupId,
    },
    /// The group is no more.
    GroupDeleted {
        /// The group.
        group: GroupId,
    },
    /// The group comes by another ticket.
    TicketUpdated {
        /// The group.
        group: GroupId,
    },
    /// We are in; the events tell more.
    GroupJoined {
        /// The group.
        group: GroupId,
    },
    /// Upkeep is done.
    Kept,
}
