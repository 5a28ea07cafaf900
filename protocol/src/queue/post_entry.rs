//! post_entry — spec/queue.md#post_entry

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::codec::Opaque;
use crate::contact::Ticket;
use crate::id::{LinkId, Seq};
use crate::limit::POSTED_PAYLOAD_BYTES_MAX;

/// Put one payload into the queue that a ticket opens. A place on a link is taken once: sent again,
/// the payload is there once.
///
/// ```text
/// struct { Ticket ticket; LinkId link; Seq seq; opaque payload<V>; } PostEntry;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct PostEntry {
    /// The way in.
    pub ticket: Ticket,
    /// The sender's random pseudonym for this conversation.
    pub link: LinkId,
    /// Counts up on the link.
    pub seq: Seq,
    /// An encoded `Payload`.
    pub payload: Opaque<POSTED_PAYLOAD_BYTES_MAX>,
}

/// It is in the queue; or the queue is gone: nobody is told.
///
/// ```text
/// struct {} PostEntryReply;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct PostEntryReply {}
