//! What requests and replies say to who reads along.

use protocol::delivery::{
    CommitGroupReply, DeleteGroupReply, JoinGroupReply, ProposeReply, SendMessageReply,
};
use protocol::id::Seq;
use protocol::queue::{self, TakeKeyPackageReply};
use protocol::receipt::Receipt;
use protocol::request::{Request, decode_reply};
use tests::journal::{Accepted, Kind, Who};
use tls_codec::DeserializeBytes;

/// The number and the rest, if the reply is a success of an operation that takes a number.
pub(crate) fn of(by: Who, operation: &str, reply: &[u8]) -> Option<(Seq, Accepted)> {
    let (receipt, kind) = match operation {
        "send_message" => {
            let reply: SendMessageReply = success(reply)?;
            (reply.receipt, Kind::Message)
        }
        "commit_group" => {
            let reply: CommitGroupReply = success(reply)?;
            (reply.receipt, Kind::Commit { epoch: reply.epoch })
        }
        "join_group" => {
            let reply: JoinGroupReply = success(reply)?;
            (reply.receipt, Kind::Commit { epoch: reply.epoch })
        }
        "propose" => {
            let reply: ProposeReply = success(reply)?;
            (reply.receipt, Kind::Proposal)
        }
        "delete_group" => {
            let reply: DeleteGroupReply = success(reply)?;
            (reply.receipt, Kind::End)
        }
        _ => return None,
    };
    let Receipt { number, chain, .. } = receipt;
    let accepted = Accepted {
        by,
        kind,
        chain: chain.0,
    };
    Some((number, accepted))
}

/// The ticket of the KeyPackage that a reply hands out.
pub(crate) fn handed_out(operation: &str, reply: &[u8]) -> Option<[u8; 64]> {
    if operation != "take_key_package" {
        return None;
    }
    let reply: TakeKeyPackageReply = success(reply)?;
    Some(reply.package.ticket.0)
}

/// The ticket of the last resort that a request publishes.
pub(crate) fn last_resort(request: &[u8]) -> Option<[u8; 64]> {
    let Ok(Request::Queue(queue::Request::PublishKeyPackages(publish))) = Request::decode(request)
    else {
        return None;
    };
    Some(publish.unverified().last_resort.ticket.0)
}

fn success<T: DeserializeBytes>(reply: &[u8]) -> Option<T> {
    decode_reply(reply).ok()?.ok()
}
