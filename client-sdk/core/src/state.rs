//! What a job has stored: where it stands, and the requests that it must repeat as they are.

use std::ops::Deref;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::error::Error;
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
    SendToMember {
        message: i64,
        sent: Option<SentMessage>,
        behind: Option<Behind>,
    },
    /// With the `Propose`.
    LeaveGroup {
        sent: Option<Encoded>,
        behind: Option<Behind>,
    },
    /// With the `DeleteGroup`.
    DeleteGroup {
        sent: Option<Encoded>,
        behind: Option<Behind>,
    },
    /// With the `UpdateTicket`, as of an epoch that may have passed.
    UpdateTicket {
        body: Option<Encoded>,
        behind: Option<Behind>,
    },
    /// With the `Complain`.
    Complain {
        group: [u8; 16],
        body: Encoded,
    },
    Resync {
        group: [u8; 16],
        state: ResyncState,
    },
    OpenConnectionGroup {
        contact: i64,
        state: OpeningState,
    },
    /// As a resync does it, but with a leaf of its own.
    EnterConnectionGroup {
        group: [u8; 16],
        state: ResyncState,
    },
}

/// How far the opening of a connection group is.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum OpeningState {
    /// Is there one?
    Look,
    /// With the `CreateGroup`.
    Create(Encoded),
    /// With the `PostEntry`.
    Invite { group: [u8; 16], body: Encoded },
}

/// How far a resync is.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum ResyncState {
    /// Windows of the state of an epoch are fetched, up to here.
    Fetch { from: u32, epoch: u64 },
    /// With the `JoinGroup`.
    Join(Encoded),
}

impl ResyncState {
    /// A fetch from the beginning.
    pub(crate) const START: Self = Self::Fetch { from: 0, epoch: 0 };
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
    /// And until an event of this number or a later one has been taken; zero for any.
    pub(crate) number: u64,
    /// Since when.
    pub(crate) since: u64,
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
    /// Members by their signature keys, and whether they are to be admin.
    pub(crate) roles: Vec<([u8; 32], bool)>,
    pub(crate) purpose: Purpose,
    pub(crate) sent: Option<SentCommit>,
    pub(crate) behind: Option<Behind>,
    /// The epoch that the accepted commit led to, however that became known.
    pub(crate) accepted: Option<u64>,
}

/// What a commit is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Purpose {
    /// What somebody asked for.
    Asked,
    /// The proposals that wait, because nobody else has committed them.
    Proposals,
}

impl CommitState {
    /// A commit that changes nothing yet but our keys.
    pub(crate) fn new() -> Self {
        Self {
            wanted: Vec::new(),
            taken: Vec::new(),
            removed: Vec::new(),
            roles: Vec::new(),
            purpose: Purpose::Asked,
            sent: None,
            behind: None,
            accepted: None,
        }
    }

    /// A commit of what waits.
    pub(crate) fn proposals() -> Self {
        Self {
            purpose: Purpose::Proposals,
            ..Self::new()
        }
    }

    /// Whether nothing but our keys is to change.
    pub(crate) fn is_update(&self) -> bool {
        self.purpose == Purpose::Asked
            && self.wanted.is_empty()
            && self.taken.is_empty()
            && self.removed.is_empty()
            && self.roles.is_empty()
    }
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
    /// The last event that had been taken when it was made.
    pub(crate) last: u64,
}

impl JobState {
    /// As the database keeps it.
    pub(crate) fn pack(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        postcard::to_stdvec(self)
            .map(Zeroizing::new)
            .map_err(|_| Error::Corrupt("job"))
    }

    /// The opposite.
    pub(crate) fn unpack(bytes: &[u8]) -> Result<Self, Error> {
        postcard::from_bytes(bytes).map_err(|_| Error::Corrupt("job"))
    }

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
            Self::CommitGroup(commit) => match commit.purpose {
                Purpose::Asked => JobKind::CommitGroup,
                Purpose::Proposals => JobKind::CommitProposals,
            },
            Self::SendMessage { .. } => JobKind::SendMessage,
            Self::JoinGroup { .. } => JobKind::JoinGroup,
            Self::SendToMember { .. } => JobKind::SendToMember,
            Self::LeaveGroup { .. } => JobKind::LeaveGroup,
            Self::DeleteGroup { .. } => JobKind::DeleteGroup,
            Self::UpdateTicket { .. } => JobKind::UpdateTicket,
            Self::Complain { .. } => JobKind::Complain,
            Self::Resync { .. } => JobKind::Resync,
            Self::OpenConnectionGroup { .. } => JobKind::OpenConnectionGroup,
            Self::EnterConnectionGroup { .. } => JobKind::EnterConnectionGroup,
        }
    }

    /// What makes two jobs of a kind the same job.
    pub(crate) fn subject(&self) -> Vec<u8> {
        match self {
            Self::Register { .. }
            | Self::CreateQueue
            | Self::TakeTickets
            | Self::PublishKeyPackages { .. }
            | Self::CommitGroup(_)
            | Self::LeaveGroup { .. }
            | Self::DeleteGroup { .. }
            | Self::UpdateTicket { .. } => Vec::new(),
            Self::FetchServerKeys { domain } => domain.as_bytes().to_vec(),
            Self::ClaimUsername { hash, .. }
            | Self::ReleaseUsername { hash }
            | Self::PublishConnectionPackages { hash, .. }
            | Self::FetchConnectionRequests { hash, .. }
            | Self::Connect { hash, .. } => hash.to_vec(),
            Self::AcceptConnection { request, .. } => request.to_be_bytes().to_vec(),
            Self::CreateGroup { name, .. } => name.as_bytes().to_vec(),
            Self::SendMessage { message, .. } | Self::SendToMember { message, .. } => {
                message.to_be_bytes().to_vec()
            }
            Self::JoinGroup { join, .. } => join.to_be_bytes().to_vec(),
            Self::Complain { group, .. }
            | Self::Resync { group, .. }
            | Self::EnterConnectionGroup { group, .. } => group.to_vec(),
            Self::OpenConnectionGroup { contact, .. } => contact.to_be_bytes().to_vec(),
        }
    }
}
