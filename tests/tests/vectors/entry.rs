//! Vectors of what lies in queues, layer by layer.

use std::fmt::Debug;

use protocol::codec::{decode_exact, encode};
use protocol::entry::{
    CommitEvent, Delivered, Entry, GroupEvent, GroupEventContent, LeafLinkKey, NumberedEntry,
    Payload, RevertedEvent, SealedAcceptance, SealedInvitation,
};
use protocol::id::{Epoch, LeafIndex, ReplyId, Seq, TicketId};
use tls_codec::{DeserializeBytes, Serialize};

use crate::sample::{self, counting, hpke_ciphertext, opaque};
use crate::vector::{Case, Fields, Vector, name};

pub(crate) fn vector() -> Vector {
    let cases = [entries(), payloads(), events()].concat();
    Vector::new(
        "queue/entry",
        "queue.md#entries",
        "Bytes are the structure that the case's name begins with.",
        cases,
    )
}

fn structure<T>(name_of_case: &str, value: &T, fields: Fields) -> Case
where
    T: Serialize + DeserializeBytes + Debug + 'static,
{
    Case::new(name_of_case, fields, encode(value), |bytes| {
        Ok(encode(&decode_exact::<T>(bytes).map_err(name)?))
    })
}

/// [QS-ENTRY-1] for the bucket.
fn entries() -> Vec<Case> {
    let item = NumberedEntry {
        seq: Seq(1),
        entry: Entry::Item(opaque(&[0x69; 60])),
    };
    let refresh = NumberedEntry {
        seq: Seq(0),
        entry: Entry::Refresh(hpke_ciphertext()),
    };
    let ticket = TicketId(counting(0x23));
    let payload = [0x70; 50];
    vec![
        structure(
            "NumberedEntry item",
            &item,
            Fields::new()
                .encoded("seq", &item.seq)
                .bytes("sealed", [0x69; 60]),
        ),
        structure(
            "NumberedEntry refresh",
            &refresh,
            Fields::new()
                .encoded("seq", &refresh.seq)
                .encoded("sealed", &hpke_ciphertext::<64>()),
        ),
        structure(
            "Delivered, padded to a bucket",
            &Delivered::new(ticket, opaque(&payload)),
            Fields::new()
                .encoded("ticket", &ticket)
                .bytes("payload", payload),
        ),
    ]
}

fn payloads() -> Vec<Case> {
    let acceptance = SealedAcceptance {
        reply_id: ReplyId(counting(0xc0)),
        sealed: opaque(&[0x61; 40]),
    };
    let acceptance_fields = Fields::new()
        .encoded("reply_id", &acceptance.reply_id)
        .bytes("sealed", acceptance.sealed.as_slice());
    let invitation = SealedInvitation {
        reply_id: ReplyId(counting(0xc0)),
        sealed: opaque(&[0x69; 40]),
    };
    let invitation_fields = Fields::new()
        .encoded("reply_id", &invitation.reply_id)
        .bytes("sealed", invitation.sealed.as_slice());
    vec![
        structure(
            "Payload group",
            &Payload::Group(opaque(&[0x67; 40])),
            Fields::new().bytes("sealed", [0x67; 40]),
        ),
        structure(
            "Payload welcome",
            &Payload::Welcome(opaque(&[0x77; 40])),
            Fields::new().bytes("welcome", [0x77; 40]),
        ),
        structure(
            "Payload connection_acceptance",
            &Payload::ConnectionAcceptance(acceptance),
            acceptance_fields,
        ),
        structure(
            "Payload connection_invitation",
            &Payload::ConnectionInvitation(invitation),
            invitation_fields,
        ),
    ]
}

/// [DS-FANOUT-2] for the kinds.
fn events() -> Vec<Case> {
    let link_key = LeafLinkKey {
        leaf: LeafIndex(1),
        key: sample::wrapped_link_key(),
    };
    let commit = CommitEvent {
        commit: opaque(&[0x63; 40]),
        link_keys: vec![link_key],
    };
    let reverted = RevertedEvent {
        epoch: Epoch(0),
        commit: Seq(1),
        complaints: vec![sample::complaint()],
    };
    let text = |name: &str| Fields::new().bytes(name, [0x65; 40]);
    let message = || opaque(&[0x65; 40]);
    vec![
        event(
            "message",
            GroupEventContent::Message(message()),
            text("message"),
        ),
        event(
            "commit",
            GroupEventContent::Commit(commit),
            Fields::new()
                .bytes("commit", [0x63; 40])
                .encoded("link_keys[0]", &link_key),
        ),
        event(
            "proposal",
            GroupEventContent::Proposal(opaque(&[0x65; 40])),
            text("proposal"),
        ),
        event(
            "deleted",
            GroupEventContent::Deleted(message()),
            text("message"),
        ),
        event(
            "reverted",
            GroupEventContent::Reverted(reverted),
            Fields::new()
                .encoded("epoch", &Epoch(0))
                .encoded("commit", &Seq(1))
                .encoded("complaints[0]", &sample::complaint()),
        ),
        event(
            "direct",
            GroupEventContent::Direct(message()),
            text("message"),
        ),
        event(
            "complaint",
            GroupEventContent::Complaint(sample::complaint()),
            Fields::new().encoded("complaint", &sample::complaint()),
        ),
    ]
}

fn event(kind: &str, content: GroupEventContent, fields: Fields) -> Case {
    let receipt = sample::receipt(2);
    let head = Fields::new().encoded("receipt", &receipt);
    let event = GroupEvent { receipt, content };
    structure(&format!("GroupEvent {kind}"), &event, head.and(fields))
}
