//! Tickets: a queue's id and a ticket id, sealed under the service's own key. Spec: crypto.md#tickets.

use protocol::contact::Ticket;
use protocol::crypto::label;
use protocol::id::{QueueId, TicketId};
use store::Entropy;

use crate::Keys;

/// `opaque queue[16]; opaque ticket[16]; zero[4]`
const CONTENT_BYTES: usize = 36;

/// What a ticket says to the service that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OpenTicket {
    pub(crate) queue: QueueId,
    pub(crate) ticket: TicketId,
}

impl OpenTicket {
    /// A ticket into a queue that has never been used.
    pub(crate) fn generate(queue: QueueId, entropy: &dyn Entropy) -> Self {
        let mut ticket = TicketId([0; 16]);
        entropy.fill(&mut ticket.0);
        Self { queue, ticket }
    }

    /// As its holder sees it. [QS-TICKET-1]
    pub(crate) fn seal(&self, keys: &Keys, entropy: &dyn Entropy) -> Ticket {
        let mut nonce = [0; 12];
        entropy.fill(&mut nonce);
        let mut content = [0; CONTENT_BYTES];
        let (queue, rest) = content.split_at_mut(16);
        queue.copy_from_slice(&self.queue.0);
        rest.split_at_mut(16).0.copy_from_slice(&self.ticket.0);
        let sealed = keys
            .ticket
            .seal(nonce, label::TICKET_KEY.as_bytes(), &content);
        let mut ticket = Ticket([0; 64]);
        ticket.0.copy_from_slice(&sealed);
        ticket
    }

    /// Open a ticket; `None` if this service has not made it.
    pub(crate) fn open(keys: &Keys, ticket: &Ticket) -> Option<Self> {
        let content = keys
            .ticket
            .open(label::TICKET_KEY.as_bytes(), &ticket.0)
            .ok()?;
        let (queue, rest) = content.split_first_chunk()?;
        let (ticket, zeros) = rest.split_first_chunk()?;
        let open = Self {
            queue: QueueId(*queue),
            ticket: TicketId(*ticket),
        };
        (zeros == [0; 4]).then_some(open)
    }
}

#[cfg(test)]
mod tests {
    use protocol::crypto::sealed::SymmetricKey;

    use super::*;
    use crate::testing::Counter;

    #[test]
    fn a_ticket_opens_under_its_key_and_unaltered_only() {
        let keys = |byte| Keys {
            ticket: SymmetricKey([byte; 32]),
        };
        let entropy = Counter::default();
        let open = OpenTicket::generate(QueueId([1; 16]), &entropy);
        let ticket = open.seal(&keys(1), &entropy);
        assert_eq!(OpenTicket::open(&keys(1), &ticket), Some(open));
        assert_eq!(OpenTicket::open(&keys(2), &ticket), None);
        for byte in 0..64 {
            let mut altered = ticket;
            altered.0[byte] ^= 1;
            assert_eq!(OpenTicket::open(&keys(1), &altered), None);
        }
    }

    #[test]
    fn two_tickets_of_one_queue_have_nothing_in_common() {
        let keys = Keys {
            ticket: SymmetricKey([1; 32]),
        };
        let entropy = Counter::default();
        let ticket = || OpenTicket::generate(QueueId([1; 16]), &entropy).seal(&keys, &entropy);
        let (one, other) = (ticket(), ticket());
        let equal = one
            .0
            .iter()
            .zip(other.0)
            .filter(|(one, other)| **one == *other)
            .count();
        assert!(equal < 8, "{equal} equal bytes of 64");
    }
}
