//! What a server answers.

use protocol::request::{Operation, decode_reply, encode_reply};
use protocol::{auth, delivery, queue};

/// Decode as the reply to each operation.
macro_rules! replies {
    ($($operation:path,)*) => {
        /// The operations whose replies [`reply`] decodes.
        pub const ANSWERED: &[u16] = &[$(<$operation>::CODE),*];

        /// The payload of a reply to any operation.
        pub fn reply(bytes: &[u8]) {
            $(reply_to::<$operation>(bytes);)*
        }
    };
}

replies! {
    auth::FetchServerKeys,
    auth::FetchChallenge,
    auth::RegisterAccount,
    auth::ClaimUsername,
    auth::ReleaseUsername,
    auth::PublishConnectionPackages,
    auth::TakeConnectionPackage,
    auth::SendConnectionRequest,
    auth::FetchConnectionRequests,
    delivery::RequestGroupId,
    delivery::CreateGroup,
    delivery::CommitGroup,
    delivery::SendMessage,
    delivery::FetchWelcomeState,
    delivery::SendToMember,
    delivery::Propose,
    delivery::FetchExternalState,
    delivery::JoinGroup,
    delivery::UpdateTicket,
    delivery::DeleteGroup,
    delivery::Complain,
    queue::CreateQueue,
    queue::TakeTickets,
    queue::PublishKeyPackages,
    queue::TakeKeyPackage,
    queue::Listen,
    queue::PostEntry,
}

fn reply_to<T: Operation>(bytes: &[u8]) {
    if let Ok(reply) = decode_reply::<T::Reply>(bytes) {
        let name = T::ENTRY.name;
        assert_eq!(
            encode_reply(&reply),
            bytes,
            "a reply to {name} has two encodings"
        );
    }
}
