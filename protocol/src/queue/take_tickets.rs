//! take_tickets — spec/queue.md#take_tickets

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::contact::Ticket;
use crate::id::{QueueId, TicketId};

/// Take fresh tickets into one's own queue; signed by the queue's key.
///
/// ```text
/// struct { QueueId queue; uint16 count; } TakeTickets;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct TakeTickets {
    /// The queue.
    pub queue: QueueId,
    /// How many, at most `TICKETS_MAX`.
    pub count: u16,
}

/// Fresh tickets with what they reveal when used.
///
/// ```text
/// struct { TicketId ids<V>; Ticket tickets<V>; } TakeTicketsReply;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct TakeTicketsReply {
    /// The ticket ids.
    pub ids: Vec<TicketId>,
    /// The tickets, in the same order.
    pub tickets: Vec<Ticket>,
}
