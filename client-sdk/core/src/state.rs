//! What a job has stored: where it stands, and the requests that it must repeat as they are.

use std::ops::Deref;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::job::JobKind;

/// Bytes of a wire structure, most of which hold a key; zeroed when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop, Serialize, Deserialize)]
pub(crate) struct Encoded(Vec<u8>);

impl From<Vec<u8>> for Encoded {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Deref for Encoded {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// A job's state. Written with postcard: variants and fields are only ever appended.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum JobState {
    Register {
        request: Option<Encoded>,
        work: WorkState,
    },
    FetchServerKeys {
        domain: String,
    },
    CreateQueue,
    TakeTickets,
    PublishKeyPackages {
        body: Option<Encoded>,
    },
    ClaimUsername {
        hash: [u8; 32],
        work: WorkState,
    },
    ReleaseUsername {
        hash: [u8; 32],
    },
    PublishConnectionPackages {
        hash: [u8; 32],
        body: Option<Encoded>,
    },
    FetchConnectionRequests {
        hash: [u8; 32],
        count: usize,
    },
    /// Without a body the package is still to be taken.
    Connect {
        username: String,
        hash: [u8; 32],
        body: Option<Encoded>,
    },
    AcceptConnection {
        request: i64,
        body: Option<Encoded>,
    },
    CreateGroup {
        name: String,
        body: Option<Encoded>,
    },
    CommitGroup(CommitState),
    SendMessage {
        message: i64,
        sent: Option<SentMessage>,
        behind: Option<Behind>,
    },
    /// With the `FetchWelcomeState`, once the Welcome was opened.
    JoinGroup {
        join: i64,
        body: Option<Encoded>,
    },
}

/// A request that costs work.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum WorkState {
    Challenge,
    Solve(Encoded),
    Send(Encoded),
}

/// The group has moved on without us: the queue must be read first.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Behind {
    /// Until this epoch is reached.
    pub(crate) epoch: u64,
    /// When the server denied that we are in the group. It says so, too, when it has forgotten the
    /// epoch that we are in, so what the queue tells goes before.
    pub(crate) denied: Option<u64>,
}

/// A message as it was encrypted.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct SentMessage {
    pub(crate) body: Encoded,
}

/// A change of a group.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct CommitState {
    /// Contacts whose KeyPackages are still to be taken, last first.
    pub(crate) wanted: Vec<i64>,
    /// Taken and verified.
    pub(crate) taken: Vec<Taken>,
    /// Leaves to remove, with the signature key by which they are meant.
    pub(crate) removed: Vec<(u32, [u8; 32])>,
    pub(crate) sent: Option<SentCommit>,
    pub(crate) behind: Option<Behind>,
    /// The epoch that the accepted commit led to, however that became known.
    pub(crate) accepted: Option<u64>,
}

/// A contact's KeyPackage, verified.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Taken {
    pub(crate) contact: i64,
    /// `PublishedKeyPackage`.
    pub(crate) package: Encoded,
}

/// A commit as it was made.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct SentCommit {
    /// The epoch that it changes.
    pub(crate) epoch: u64,
    /// `CommitGroup`.
    pub(crate) body: Encoded,
    /// Signature keys of those added, in the order of `CommitGroup::added`.
    pub(crate) added: Vec<[u8; 32]>,
}

impl JobState {
    pub(crate) fn kind(&self) -> JobKind {
        match self {
            Self::Register { .. } => JobKind::Register,
            Self::FetchServerKeys { .. } => JobKind::FetchServerKeys,
            Self::CreateQueue => JobKind::CreateQueue,
            Self::TakeTickets => JobKind::TakeTickets,
            Self::PublishKeyPackages { .. } => JobKind::PublishKeyPackages,
            Self::ClaimUsername { .. } => JobKind::ClaimUsername,
            Self::ReleaseUsername { .. } => JobKind::ReleaseUsername,
            Self::PublishConnectionPackages { .. } => JobKind::PublishConnectionPackages,
            Self::FetchConnectionRequests { .. } => JobKind::FetchConnectionRequests,
            Self::Connect { .. } => JobKind::Connect,
            Self::AcceptConnection { .. } => JobKind::AcceptConnection,
            Self::CreateGroup { .. } => JobKind::CreateGroup,
            Self::CommitGroup(_) => JobKind::CommitGroup,
            Self::SendMessage { .. } => JobKind::SendMessage,
            Self::JoinGroup { .. } => JobKind::JoinGroup,
        }
    }

    /// What makes two jobs of a kind the same job.
    pub(crate) fn subject(&self) -> Vec<u8> {
        match self {
            Self::Register { .. }
            | Self::CreateQueue
            | Self::TakeTickets
            | Self::PublishKeyPackages { .. }
            | Self::CommitGroup(_) => Vec::new(),
            Self::FetchServerKeys { domain } => domain.as_bytes().to_vec(),
            Self::ClaimUsername { hash, .. }
            | Self::ReleaseUsername { hash }
            | Self::PublishConnectionPackages { hash, .. }
            | Self::FetchConnectionRequests { hash, .. }
            | Self::Connect { hash, .. } => hash.to_vec(),
            Self::AcceptConnection { request, .. } => request.to_be_bytes().to_vec(),
            Self::CreateGroup { name, .. } => name.as_bytes().to_vec(),
            Self::SendMessage { message, .. } => message.to_be_bytes().to_vec(),
            Self::JoinGroup { join, .. } => join.to_be_bytes().to_vec(),
        }
    }
}
