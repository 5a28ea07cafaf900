//! What a request causes outside its own transaction. Everything here may be lost: a restart finds
//! outboxes by sweeping, and a listener reads its queue again.

use delivery::Outbox;
use protocol::error::{ErrorCode, ErrorReply};
use protocol::id::QueueId;

/// Hints for the shell, valid once the reply is made.
#[derive(Debug, Default)]
pub struct Effects {
    /// Queues that got something.
    pub wake: Vec<QueueId>,
    /// Groups with parcels to deliver.
    pub ship: Vec<Outbox>,
    /// Queues whose owner should publish KeyPackages.
    pub stock_low: Vec<QueueId>,
}

/// Whose fault a reply is, for budgets and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nobody's: it is a success, or what an honest client meets (a race, a quota, a full server).
    Fine,
    /// The peer's: an honest client does not cause it.
    Refused,
    /// Ours.
    Failed,
}

impl Outcome {
    /// Who is at fault when a request ends like this.
    pub(crate) fn of<T>(reply: &Result<T, ErrorReply>) -> Self {
        let Err(error) = reply else { return Self::Fine };
        match error.code {
            ErrorCode::Malformed
            | ErrorCode::UnsupportedVersion
            | ErrorCode::UnknownOperation
            | ErrorCode::Denied
            | ErrorCode::TooLarge
            | ErrorCode::WorkRequired
            | ErrorCode::Invalid => Self::Refused,
            ErrorCode::NotFound
            | ErrorCode::RateLimited
            | ErrorCode::Busy
            | ErrorCode::WrongEpoch
            | ErrorCode::Exists
            | ErrorCode::QuotaExceeded
            | ErrorCode::Rewound => Self::Fine,
            ErrorCode::Internal => Self::Failed,
        }
    }
}
