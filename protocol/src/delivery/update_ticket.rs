//! update_ticket — spec/delivery.md#update_ticket

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::contact::QualifiedTicket;
use crate::crypto::sealed::SymmetricKey;
use crate::id::{Epoch, GroupId, LeafIndex};

/// Replace the way into the sender's queue; signed by its leaf key. Repeating it changes nothing.
///
/// ```text
/// struct {
///     GroupId group; LeafIndex sender; Epoch epoch; opaque state_key[32];
///     QualifiedTicket ticket;
/// } UpdateTicket;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct UpdateTicket {
    /// The group.
    pub group: GroupId,
    /// Whose ticket.
    pub sender: LeafIndex,
    /// The group's current epoch.
    pub epoch: Epoch,
    /// Opens the roster: the MLS exporter of the epoch.
    pub state_key: SymmetricKey,
    /// Used from now on.
    pub ticket: QualifiedTicket,
}

/// What is accepted from here on comes by the new ticket.
///
/// ```text
/// struct {} UpdateTicketReply;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct UpdateTicketReply {}
