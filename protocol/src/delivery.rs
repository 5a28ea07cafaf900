//! Operations of the delivery service. Spec: delivery.md.

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::crypto::signed::Signed;

mod commit_group;
mod create_group;
mod fetch_welcome_state;
mod request_group_id;
mod send_message;

pub use commit_group::{AddedMember, CommitGroup, CommitGroupReply, WelcomeForAdded};
pub use create_group::{CreateGroup, CreateGroupReply};
pub use fetch_welcome_state::{FetchWelcomeState, FetchWelcomeStateReply, SealedIdentityKey};
pub use request_group_id::{RequestGroupId, RequestGroupIdReply};
pub use send_message::{SendMessage, SendMessageReply};

/// Every request to the service.
#[derive(Debug, TlsSize, TlsSerialize, TlsDeserializeBytes)]
#[repr(u16)]
pub enum Request {
    /// Obtain an unused group id.
    #[tls_codec(discriminant = 0x0201)]
    RequestGroupId(RequestGroupId),
    /// Create a group with its first member.
    #[tls_codec(discriminant = 0x0202)]
    CreateGroup(Signed<CreateGroup>),
    /// Move a group to its next epoch.
    #[tls_codec(discriminant = 0x0203)]
    CommitGroup(Signed<CommitGroup>),
    /// Send an application message to all other members.
    #[tls_codec(discriminant = 0x0204)]
    SendMessage(Signed<SendMessage>),
    /// Fetch what a joiner needs beside its Welcome.
    #[tls_codec(discriminant = 0x0205)]
    FetchWelcomeState(FetchWelcomeState),
}
