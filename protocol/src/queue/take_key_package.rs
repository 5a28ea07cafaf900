//! take_key_package — spec/queue.md#take_key_package

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::contact::{FriendshipToken, Ticket};
use crate::queue::PublishedKeyPackage;

/// Take one KeyPackage of a contact: by a ticket into its queue and its friendship token.
///
/// ```text
/// struct { Ticket ticket; FriendshipToken token; } TakeKeyPackage;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct TakeKeyPackage {
    /// Finds the queue.
    pub ticket: Ticket,
    /// Proves friendship.
    pub token: FriendshipToken,
}

/// A KeyPackage that nobody else gets, unless it is the last resort.
///
/// ```text
/// struct { PublishedKeyPackage package; } TakeKeyPackageReply;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct TakeKeyPackageReply {
    /// The KeyPackage.
    pub package: PublishedKeyPackage,
}
