//! Requests, replies and the registry of operations. Spec: wire.md#requests, registry.md#operations.
//!
//! ```text
//! struct {
//!     uint16 operation;
//!     select (access mode of operation) {
//!         case open, work, anonymous: <Operation> body;
//!         case pseudonymous, account: Signed body;
//!     };
//! } Request;
//!
//! struct {
//!     uint8 failed;                       // 0 or 1
//!     select (failed) { case 0: <Operation>Reply reply; case 1: ErrorReply error; };
//! } Reply;
//! ```

use tls_codec::{DeserializeBytes, Serialize};

use crate::codec::{decode_exact, encode};
use crate::crypto::signed::Signed;
use crate::error::{ErrorCode, ErrorReply};
use crate::{auth, delivery, queue};

/// What a request proves about its sender. Every operation has exactly one. [WIRE-REQUEST-2]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessMode {
    /// Nothing.
    Open,
    /// Proof of work.
    Work,
    /// That the sender holds what the operation needs; nothing about who it is.
    Anonymous,
    /// That it holds the key of a pseudonym: a leaf, a queue, a username.
    Pseudonymous,
}

/// Under load, classes are shed from the last to the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Reading a queue.
    Listen,
    /// Sending a message.
    Send,
    /// Changing a group.
    Commit,
    /// Looking something up.
    Fetch,
    /// Obtaining or publishing stock.
    Issue,
    /// Signing up.
    Register,
}

/// One row of the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperationEntry {
    /// The number on the wire.
    pub code: u16,
    /// The name, the same in specification, code and tests.
    pub name: &'static str,
    /// What its requests prove.
    pub mode: AccessMode,
    /// When it is shed.
    pub class: Class,
}

/// A request's body.
pub trait Operation {
    /// Its number, name, access mode and class.
    const ENTRY: OperationEntry;
    /// Its number.
    const CODE: u16 = Self::ENTRY.code;
    /// What a success is answered with.
    type Reply: Serialize + DeserializeBytes;
}

/// The registry: number, name, body, reply, access mode, class.
macro_rules! operations {
    ($($code:literal $name:literal $body:path => $reply:path, $mode:ident, $class:ident;)*) => {
        $(impl Operation for $body {
            const ENTRY: OperationEntry = OperationEntry {
                code: $code, name: $name, mode: AccessMode::$mode, class: Class::$class,
            };
            type Reply = $reply;
        })*
        /// Every operation, in the order of their numbers.
        pub const REGISTRY: &[OperationEntry] = &[$(<$body as Operation>::ENTRY),*];
    };
}

operations! {
    0x0101 "fetch_server_keys" auth::FetchServerKeys => auth::FetchServerKeysReply, Open, Fetch;
    0x0102 "fetch_challenge" auth::FetchChallenge => auth::FetchChallengeReply, Open, Register;
    0x0103 "register_account" auth::RegisterAccount => auth::RegisterAccountReply, Work, Register;
    0x0104 "claim_username" auth::ClaimUsername => auth::ClaimUsernameReply, Work, Register;
    0x0105 "release_username" auth::ReleaseUsername => auth::ReleaseUsernameReply, Pseudonymous, Issue;
    0x0106 "publish_connection_packages" auth::PublishConnectionPackages => auth::PublishConnectionPackagesReply, Pseudonymous, Issue;
    0x0107 "take_connection_package" auth::TakeConnectionPackage => auth::TakeConnectionPackageReply, Anonymous, Fetch;
    0x0108 "send_connection_request" auth::SendConnectionRequest => auth::SendConnectionRequestReply, Anonymous, Send;
    0x0109 "fetch_connection_requests" auth::FetchConnectionRequests => auth::FetchConnectionRequestsReply, Pseudonymous, Fetch;
    0x0201 "request_group_id" delivery::RequestGroupId => delivery::RequestGroupIdReply, Anonymous, Issue;
    0x0202 "create_group" delivery::CreateGroup => delivery::CreateGroupReply, Pseudonymous, Commit;
    0x0203 "commit_group" delivery::CommitGroup => delivery::CommitGroupReply, Pseudonymous, Commit;
    0x0204 "send_message" delivery::SendMessage => delivery::SendMessageReply, Pseudonymous, Send;
    0x0205 "fetch_welcome_state" delivery::FetchWelcomeState => delivery::FetchWelcomeStateReply, Anonymous, Fetch;
    0x0206 "send_to_member" delivery::SendToMember => delivery::SendToMemberReply, Pseudonymous, Send;
    0x0207 "propose" delivery::Propose => delivery::ProposeReply, Pseudonymous, Commit;
    0x0208 "fetch_external_state" delivery::FetchExternalState => delivery::FetchExternalStateReply, Anonymous, Fetch;
    0x0209 "join_group" delivery::JoinGroup => delivery::JoinGroupReply, Pseudonymous, Commit;
    0x020a "update_ticket" delivery::UpdateTicket => delivery::UpdateTicketReply, Pseudonymous, Commit;
    0x020b "delete_group" delivery::DeleteGroup => delivery::DeleteGroupReply, Pseudonymous, Commit;
    0x020c "complain" delivery::Complain => delivery::ComplainReply, Pseudonymous, Commit;
    0x0301 "create_queue" queue::CreateQueue => queue::CreateQueueReply, Pseudonymous, Issue;
    0x0302 "take_tickets" queue::TakeTickets => queue::TakeTicketsReply, Pseudonymous, Issue;
    0x0303 "publish_key_packages" queue::PublishKeyPackages => queue::PublishKeyPackagesReply, Pseudonymous, Issue;
    0x0304 "take_key_package" queue::TakeKeyPackage => queue::TakeKeyPackageReply, Anonymous, Fetch;
    0x0305 "listen" queue::Listen => queue::ListenReply, Pseudonymous, Listen;
    0x0306 "post_entry" queue::PostEntry => queue::PostEntryReply, Anonymous, Send;
}

/// Any request of a client. Repeating one that changes state is safe; each operation says what
/// makes two requests the same. [WIRE-REQUEST-3]
#[derive(Debug)]
pub enum Request {
    /// To the authentication service.
    Auth(auth::Request),
    /// To the delivery service.
    Delivery(delivery::Request),
    /// To the queueing service.
    Queue(queue::Request),
}

impl Request {
    /// Decode a frame's payload. [WIRE-REQUEST-1]
    ///
    /// # Errors
    /// `UnknownOperation` for a number outside the registry, `Malformed` for anything else.
    pub fn decode(payload: &[u8]) -> Result<Self, ErrorCode> {
        let service = peek(payload)?.code >> 8;
        let request = match service {
            0x01 => decode_exact(payload).map(Self::Auth),
            0x02 => decode_exact(payload).map(Self::Delivery),
            _ => decode_exact(payload).map(Self::Queue),
        };
        request.map_err(|_| ErrorCode::Malformed)
    }
}

/// The registry's entry for a payload, from its first two bytes: enough to decide whether the
/// request is worth decoding.
///
/// # Errors
/// `UnknownOperation` for a number outside the registry, `Malformed` for fewer than two bytes.
pub fn peek(payload: &[u8]) -> Result<OperationEntry, ErrorCode> {
    let code = payload.first_chunk::<2>().ok_or(ErrorCode::Malformed)?;
    let code = u16::from_be_bytes(*code);
    let entry = REGISTRY.iter().find(|entry| entry.code == code);
    entry.copied().ok_or(ErrorCode::UnknownOperation)
}

/// The payload of an unsigned request.
#[must_use]
pub fn encode_request<T: Operation + Serialize>(body: &T) -> Vec<u8> {
    prefixed(T::CODE, &encode(body))
}

/// The payload of a signed request.
#[must_use]
pub fn encode_signed<T: Operation>(body: &Signed<T>) -> Vec<u8> {
    prefixed(T::CODE, &encode(body))
}

fn prefixed(code: u16, body: &[u8]) -> Vec<u8> {
    [code.to_be_bytes().as_slice(), body].concat()
}

/// The payload of a reply.
#[must_use]
pub fn encode_reply<T: Serialize>(reply: &Result<T, ErrorReply>) -> Vec<u8> {
    match reply {
        Ok(reply) => [[0].as_slice(), &encode(reply)].concat(),
        Err(error) => [[1].as_slice(), &encode(error)].concat(),
    }
}

/// Decode the payload of a reply. The outer error is the server's failure to speak the protocol,
/// the inner one its answer.
///
/// # Errors
/// The server's fault: not an encoding of a reply.
pub fn decode_reply<T: DeserializeBytes>(
    payload: &[u8],
) -> Result<Result<T, ErrorReply>, tls_codec::Error> {
    match payload.split_first() {
        Some((0, reply)) => Ok(Ok(decode_exact(reply)?)),
        Some((1, error)) => Ok(Err(decode_exact(error)?)),
        _ => Err(tls_codec::Error::InvalidInput),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// [WIRE-REQUEST-2]
    #[test]
    fn the_registry_is_in_order_without_repetition() {
        assert!(REGISTRY.windows(2).all(|pair| pair[0].code < pair[1].code));
    }

    #[test]
    fn unknown_operations_are_told_apart_from_malformed_requests() {
        assert_eq!(
            Request::decode(&[0x7f, 0xff, 0]).unwrap_err(),
            ErrorCode::UnknownOperation
        );
        assert_eq!(Request::decode(&[0x01]).unwrap_err(), ErrorCode::Malformed);
        assert_eq!(
            Request::decode(&[0x02, 0x01, 0]).unwrap_err(),
            ErrorCode::Malformed
        );
        assert!(Request::decode(&[0x02, 0x01]).is_ok());
    }

    #[test]
    fn every_registered_operation_has_a_variant() {
        for entry in REGISTRY {
            let decoded = Request::decode(&entry.code.to_be_bytes());
            let known = !matches!(decoded, Err(ErrorCode::UnknownOperation));
            assert!(known, "{}", entry.name);
        }
    }

    proptest! {
        #[test]
        fn decoding_never_panics(entry in 0..REGISTRY.len(), body in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            drop(Request::decode(&prefixed(REGISTRY[entry].code, &body)));
        }
    }
}
