//! Operations of the delivery service. Spec: delivery.md.

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::crypto::signed::Signed;

mod commit_group;
mod complain;
mod create_group;
mod delete_group;
mod fetch_external_state;
mod fetch_welcome_state;
mod join_group;
mod propose;
mod request_group_id;
mod send_message;
mod send_to_member;
mod update_ticket;

pub use commit_group::{AddedMember, CommitGroup, CommitGroupReply, WelcomeForAdded};
pub use complain::{Complain, ComplainReply, Complaint, ComplaintTbs};
pub use create_group::{CreateGroup, CreateGroupReply};
pub use delete_group::{DeleteGroup, DeleteGroupReply};
pub use fetch_external_state::{FetchExternalState, FetchExternalStateReply};
pub use fetch_welcome_state::{
    FetchWelcomeState, FetchWelcomeStateReply, GroupState, SealedIdentityKey, StateWindow,
};
pub use join_group::{JoinGroup, JoinGroupReply, PathProof, ProofVerdict};
pub use propose::{Propose, ProposeReply};
pub use request_group_id::{RequestGroupId, RequestGroupIdReply};
pub use send_message::{SendMessage, SendMessageReply};
pub use send_to_member::{SendToMember, SendToMemberReply};
pub use update_ticket::{UpdateTicket, UpdateTicketReply};

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
    /// Send an application message to one other member.
    #[tls_codec(discriminant = 0x0206)]
    SendToMember(Signed<SendToMember>),
    /// Propose to leave.
    #[tls_codec(discriminant = 0x0207)]
    Propose(Signed<Propose>),
    /// Fetch what an external commit needs.
    #[tls_codec(discriminant = 0x0208)]
    FetchExternalState(FetchExternalState),
    /// Join by an external commit.
    #[tls_codec(discriminant = 0x0209)]
    JoinGroup(Signed<JoinGroup>),
    /// Replace the way into one's own queue.
    #[tls_codec(discriminant = 0x020a)]
    UpdateTicket(Signed<UpdateTicket>),
    /// End a group for everybody.
    #[tls_codec(discriminant = 0x020b)]
    DeleteGroup(Signed<DeleteGroup>),
    /// Complain about a commit.
    #[tls_codec(discriminant = 0x020c)]
    Complain(Signed<Complain>),
}
