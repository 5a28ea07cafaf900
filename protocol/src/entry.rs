//! What arrives in a queue, layer by layer. Spec: queue.md#entries.
//!
//! ```text
//! Entry (stored)  --queue ratchet-->  Delivered { ticket, payload }  --by ticket-->  Payload
//! Payload::Group  --fan-out key of the group's epoch-->  GroupEvent
//! ```

use std::borrow::Cow;
use std::fmt;

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::codec::{Opaque, encode};
use crate::crypto::hpke::HpkeCiphertext;
use crate::crypto::identity::WrappedLinkKey;
use crate::crypto::label;
use crate::crypto::sealed::{BadCiphertext, SymmetricKey};
use crate::delivery::Complaint;
use crate::frame::bucket;
use crate::id::{Epoch, LeafIndex, ReplyId, Seq, TicketId};
use crate::limit::{
    COMMIT_BYTES_MAX, ENTRY_BYTES_MAX, MESSAGE_BYTES_MAX, PAYLOAD_BYTES_MAX, PROPOSAL_BYTES_MAX,
    WELCOME_BYTES_MAX,
};
use crate::receipt::Receipt;

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
/// enum { group(1), welcome(2), connection_acceptance(3), connection_invitation(4) } PayloadKind;
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
    /// A contact has opened a connection group; sealed under the secret of the connection.
    #[tls_codec(discriminant = 4)]
    ConnectionInvitation(SealedInvitation),
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

/// ```text
/// struct { ReplyId reply_id; opaque sealed<V>; } SealedInvitation;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct SealedInvitation {
    /// Of the request that made the two contacts.
    pub reply_id: ReplyId,
    /// A `ConnectionInvitation` under that request's invitation key, the reply id as associated data.
    pub sealed: Opaque<256>,
}

/// What the delivery service tells the members of a group, in its order.
///
/// ```text
/// struct { Receipt receipt; GroupEventContent content; } GroupEvent;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct GroupEvent {
    /// Its number in the group, which counts up from 1 without gaps, and the chain with it. A direct
    /// message and a complaint take no number and carry the receipt of the last event that did.
    pub receipt: Receipt,
    /// What happened.
    pub content: GroupEventContent,
}

/// ```text
/// enum {
///     message(1), commit(2), proposal(3), deleted(4), reverted(5), direct(6), complaint(7)
/// } GroupEventKind;
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
    /// A proposal for the next commit: an `MLSMessage` with a `PublicMessage`, by a member or by the
    /// delivery service.
    #[tls_codec(discriminant = 3)]
    Proposal(Opaque<PROPOSAL_BYTES_MAX>),
    /// The group is deleted: an admin's `PrivateMessage` that says so.
    #[tls_codec(discriminant = 4)]
    Deleted(Opaque<MESSAGE_BYTES_MAX>),
    /// Commits are undone.
    #[tls_codec(discriminant = 5)]
    Reverted(RevertedEvent),
    /// An application message for this member alone. Takes no number.
    #[tls_codec(discriminant = 6)]
    Direct(Opaque<MESSAGE_BYTES_MAX>),
    /// Somebody complains about a commit. Takes no number.
    #[tls_codec(discriminant = 7)]
    Complaint(Complaint),
}

/// The group is again in the epoch that a commit ended, because so many complained about it. What
/// was numbered from that commit on is void.
///
/// ```text
/// struct { Epoch epoch; Seq commit; Complaint complaints<V>; } RevertedEvent;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct RevertedEvent {
    /// The epoch that the group is in.
    pub epoch: Epoch,
    /// The number of the first commit that is undone.
    pub commit: Seq,
    /// About that commit, each by another leaf: enough to be a quorum.
    pub complaints: Vec<Complaint>,
}

/// The kind of a commit.
pub(crate) const COMMIT_KIND: u8 = 2;

impl GroupEventContent {
    /// The kind and the bytes that go into the group's hash chain.
    pub(crate) fn chained(&self) -> (u8, Cow<'_, [u8]>) {
        match self {
            Self::Message(message) => (1, message.as_slice().into()),
            Self::Commit(event) => (COMMIT_KIND, event.commit.as_slice().into()),
            Self::Proposal(proposal) => (3, proposal.as_slice().into()),
            Self::Deleted(message) => (4, message.as_slice().into()),
            Self::Reverted(event) => (5, encode(event).into()),
            Self::Direct(message) => (6, message.as_slice().into()),
            Self::Complaint(complaint) => (7, encode(complaint).into()),
        }
    }

    /// Whether it takes a number, and with it a link of the chain.
    #[must_use]
    pub fn is_numbered(&self) -> bool {
        match self {
            Self::Message(_)
            | Self::Commit(_)
            | Self::Proposal(_)
            | Self::Deleted(_)
            | Self::Reverted(_) => true,
            Self::Direct(_) | Self::Complaint(_) => false,
        }
    }
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

/// What an epoch's events are sealed under, from its group state key. The delivery service keeps it
/// with the state that it seals, so that it can tell members what somebody did who holds no key of
/// the present epoch.
#[derive(Clone, PartialEq, Eq)]
pub struct FanOutKey(SymmetricKey);

impl FanOutKey {
    /// Of the epoch whose state key this is.
    #[must_use]
    pub fn of(state_key: &SymmetricKey) -> Self {
        Self(state_key.derive(label::FAN_OUT, &[]))
    }

    /// From the bytes that [`Self::bytes`] gave.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(SymmetricKey(bytes))
    }

    /// For the sealed state.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0.0
    }
}

impl fmt::Debug for FanOutKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FanOutKey(..)")
    }
}

impl GroupEvent {
    /// Seal for the members of an epoch. The queueing service, which stores the result, must not
    /// see the group id that MLS messages begin with. [DS-FANOUT-1]
    #[must_use]
    pub fn seal(&self, key: &FanOutKey, nonce: [u8; 12]) -> Vec<u8> {
        key.0.seal(nonce, &[], &encode(self))
    }

    /// Open what [`Self::seal`] made.
    ///
    /// # Errors
    /// Another epoch's key, or not a group event.
    pub fn open(key: &FanOutKey, sealed: &[u8]) -> Result<Self, BadCiphertext> {
        let content = key.0.open(&[], sealed)?;
        crate::codec::decode_exact(&content).map_err(|_| BadCiphertext)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::decode_exact;
    use crate::crypto::signature::PrivateKey;
    use crate::id::GroupId;
    use crate::receipt::ChainHash;

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
        let (group, key) = (GroupId([1; 16]), PrivateKey::from_seed(&[2; 32]));
        let chain = ChainHash::start(&group).next(Seq(1), &content);
        let receipt = Receipt::sign(&key, group, Seq(1), chain);
        let event = GroupEvent { receipt, content };
        let epoch = |byte| FanOutKey::of(&SymmetricKey([byte; 32]));
        let sealed = event.seal(&epoch(1), [2; 12]);
        assert_eq!(GroupEvent::open(&epoch(1), &sealed).unwrap(), event);
        assert_eq!(GroupEvent::open(&epoch(2), &sealed), Err(BadCiphertext));
    }
}
