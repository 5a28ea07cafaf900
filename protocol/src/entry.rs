//! What arrives in a queue, layer by layer. Spec: queue.md#entries.
//!
//! ```text
//! Entry (stored)  --queue ratchet-->  Delivered { ticket, payload }  --by ticket-->  Payload
//! Payload::Group  --fan-out key of the group's epoch-->  GroupEvent
//! ```

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::codec::{Opaque, encode};
use crate::crypto::hpke::HpkeCiphertext;
use crate::crypto::identity::WrappedLinkKey;
use crate::crypto::label;
use crate::crypto::sealed::{BadCiphertext, SymmetricKey};
use crate::frame::bucket;
use crate::id::{LeafIndex, ReplyId, Seq, TicketId};
use crate::limit::{
    COMMIT_BYTES_MAX, ENTRY_BYTES_MAX, MESSAGE_BYTES_MAX, PAYLOAD_BYTES_MAX, WELCOME_BYTES_MAX,
};

/// One stored item.
///
/// ```text
/// enum { item(0), refresh(1) } EntryKind;
/// struct {
///     EntryKind kind;
///     select (kind) {
///         case item: opaque sealed<V>;         // Delivered, under the next ratchet key
///         case refresh: HpkeCiphertext sealed; // 32 random bytes, to the queue's key
///     };
/// } Entry;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
#[repr(u8)]
pub enum Entry {
    /// A [`Delivered`], padded to a bucket, under the next key of the queue ratchet.
    #[tls_codec(discriminant = 0)]
    Item(Opaque<ENTRY_BYTES_MAX>),
    /// Randomness for the ratchet, sealed to the queue's HPKE key.
    #[tls_codec(discriminant = 1)]
    Refresh(HpkeCiphertext<64>),
}

/// An entry at its place.
///
/// ```text
/// struct { Seq seq; Entry entry; } NumberedEntry;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct NumberedEntry {
    /// Its place: counts up from 0 without gaps.
    pub seq: Seq,
    /// What is there.
    pub entry: Entry,
}

/// What an item holds: a payload and which ticket it came by.
///
/// ```text
/// struct { TicketId ticket; Payload payload; opaque padding<V>; } Delivered;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Delivered {
    /// The ticket that the sender used.
    pub ticket: TicketId,
    /// An encoded [`Payload`]. The queueing service does not look inside.
    pub payload: Opaque<PAYLOAD_BYTES_MAX>,
    /// Zeros, to fill a bucket.
    pub padding: Opaque<PAYLOAD_BYTES_MAX>,
}

impl Delivered {
    /// A payload, padded to a bucket.
    #[must_use]
    pub fn new(ticket: TicketId, payload: Opaque<PAYLOAD_BYTES_MAX>) -> Self {
        let bare = 16 + tls_codec::Size::tls_serialized_len(&payload) + 4;
        let padding = vec![0; bucket(bare) - bare];
        let padding = Opaque::new(padding).unwrap_or_default();
        Self {
            ticket,
            payload,
            padding,
        }
    }
}

/// What a sender puts into a queue.
///
/// ```text
/// enum { group(1), welcome(2), connection_acceptance(3) } PayloadKind;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
#[repr(u8)]
pub enum Payload {
    /// A [`GroupEvent`] under the fan-out key of the group's epoch; the ticket says which group.
    #[tls_codec(discriminant = 1)]
    Group(Opaque<PAYLOAD_BYTES_MAX>),
    /// An MLS Welcome for the KeyPackage that was published with the ticket.
    #[tls_codec(discriminant = 2)]
    Welcome(Opaque<WELCOME_BYTES_MAX>),
    /// A contact accepted; sealed under the request's reply key.
    #[tls_codec(discriminant = 3)]
    ConnectionAcceptance(SealedAcceptance),
}

/// ```text
/// struct { ReplyId reply_id; opaque sealed<V>; } SealedAcceptance;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct SealedAcceptance {
    /// Which request.
    pub reply_id: ReplyId,
    /// A `ConnectionAcceptance` under its reply key, the reply id as associated data.
    pub sealed: Opaque<4_096>,
}

/// What the delivery service tells the members of a group, in its order.
///
/// ```text
/// struct { Seq number; GroupEventContent content; } GroupEvent;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct GroupEvent {
    /// Its number in the group, which counts up from 1 without gaps.
    pub number: Seq,
    /// What happened.
    pub content: GroupEventContent,
}

/// ```text
/// enum { message(1), commit(2) } GroupEventKind;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
#[repr(u8)]
pub enum GroupEventContent {
    /// An application message: an `MLSMessage` with a `PrivateMessage`.
    #[tls_codec(discriminant = 1)]
    Message(Opaque<MESSAGE_BYTES_MAX>),
    /// A commit with what members need to open the identities of those it adds.
    #[tls_codec(discriminant = 2)]
    Commit(CommitEvent),
}

/// ```text
/// struct { opaque commit<V>; LeafLinkKey link_keys<V>; } CommitEvent;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct CommitEvent {
    /// An `MLSMessage` with a `PublicMessage`.
    pub commit: Opaque<COMMIT_BYTES_MAX>,
    /// The added leaves' link keys, under the group's identity key.
    pub link_keys: Vec<LeafLinkKey>,
}

/// ```text
/// struct { LeafIndex leaf; WrappedLinkKey key; } LeafLinkKey;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct LeafLinkKey {
    /// The leaf.
    pub leaf: LeafIndex,
    /// Its link key, wrapped.
    pub key: WrappedLinkKey,
}

impl GroupEvent {
    /// Seal for the members of the epoch whose state key this is. The queueing service, which
    /// stores the result, must not see the group id that MLS messages begin with. [DS-FANOUT-1]
    #[must_use]
    pub fn seal(&self, state_key: &SymmetricKey, nonce: [u8; 12]) -> Vec<u8> {
        state_key
            .derive(label::FAN_OUT, &[])
            .seal(nonce, &[], &encode(self))
    }

    /// Open what [`Self::seal`] made.
    ///
    /// # Errors
    /// Another epoch's key, or not a group event.
    pub fn open(state_key: &SymmetricKey, sealed: &[u8]) -> Result<Self, BadCiphertext> {
        let content = state_key.derive(label::FAN_OUT, &[]).open(&[], sealed)?;
        crate::codec::decode_exact(&content).map_err(|_| BadCiphertext)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::decode_exact;

    #[test]
    fn delivered_payloads_fill_buckets() {
        for length in [0, 1, 100, 235, 236, 300, 5_000, 70_000] {
            let payload = Opaque::new(vec![7; length]).unwrap();
            let delivered = Delivered::new(TicketId([1; 16]), payload);
            let bytes = encode(&delivered);
            assert!(bytes.len() <= bucket(bytes.len()), "payload of {length}");
            assert!(
                bytes.len() >= 252 && bucket(bytes.len()) - bytes.len() <= 3,
                "payload of {length}"
            );
            assert_eq!(decode_exact::<Delivered>(&bytes).unwrap(), delivered);
        }
    }

    #[test]
    fn a_group_event_opens_in_its_epoch_only() {
        let content = GroupEventContent::Message(Opaque::new(vec![1, 2, 3]).unwrap());
        let event = GroupEvent {
            number: Seq(1),
            content,
        };
        let sealed = event.seal(&SymmetricKey([1; 32]), [2; 12]);
        assert_eq!(
            GroupEvent::open(&SymmetricKey([1; 32]), &sealed).unwrap(),
            event
        );
        assert_eq!(
            GroupEvent::open(&SymmetricKey([2; 32]), &sealed),
            Err(BadCiphertext)
        );
    }
}
