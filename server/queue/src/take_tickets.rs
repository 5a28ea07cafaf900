//! take_tickets — spec/queue.md#take_tickets

use protocol::crypto::signed::{Binding, Signed};
use protocol::limit::TICKETS_MAX;
use protocol::queue::{TakeTickets, TakeTicketsReply};
use store::Entropy;

use crate::Queue;
use crate::error::Error;
use crate::owner::Owner;
use crate::ticket::OpenTicket;

impl Queue {
    /// Make fresh tickets into the sender's queue. Nothing is stored. [QS-TICKET-1]
    ///
    /// # Errors
    /// `Denied` if the sender does not own the queue, `TooLarge` for too many; or the store's.
    pub fn take_tickets(
        &self,
        request: Signed<TakeTickets>,
        binding: &Binding,
        entropy: &dyn Entropy,
    ) -> Result<TakeTicketsReply, Error> {
        let (owner, request) = Owner::verify(&self.store, request, binding)?;
        if request.count > TICKETS_MAX {
            return Err(Error::TooLarge);
        }
        let generate = |_| OpenTicket::generate(owner.queue(), entropy);
        let open: Vec<_> = (0..request.count).map(generate).collect();
        Ok(TakeTicketsReply {
            ids: open.iter().map(|open| open.ticket).collect(),
            tickets: open
                .iter()
                .map(|open| open.seal(&self.keys, entropy))
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Person, World, binding};

    fn take(
        world: &World,
        person: &Person,
        signer: &Person,
        count: u16,
        exporter: u8,
    ) -> Result<TakeTicketsReply, Error> {
        let request = TakeTickets {
            queue: person.queue(),
            count,
        };
        let request = Signed::new(request, &signer.key, &binding(exporter));
        world
            .queue
            .take_tickets(request, &binding(1), &world.entropy)
    }

    /// [QS-TICKET-1]
    #[test]
    fn an_owner_gets_as_many_as_asked_and_nothing_is_stored() {
        let world = World::new();
        let person = Person::new(1);
        world.create(&person);
        let before = world.rows();
        let reply = take(&world, &person, &person, TICKETS_MAX, 1).unwrap();
        assert_eq!((reply.ids.len(), reply.tickets.len()), (64, 64));
        let open = OpenTicket::open(&world.queue.keys, &reply.tickets[3]).unwrap();
        assert_eq!((open.queue, open.ticket), (person.queue(), reply.ids[3]));
        assert_eq!(world.rows(), before);
        assert_eq!(
            take(&world, &person, &person, TICKETS_MAX + 1, 1),
            Err(Error::TooLarge)
        );
    }

    /// [QS-OWNER-1] [QS-OWNER-2]
    #[test]
    fn others_replays_and_unknown_queues_are_denied_alike() {
        let world = World::new();
        let (person, other) = (Person::new(1), Person::new(2));
        world.create(&person);
        assert_eq!(take(&world, &person, &other, 1, 1), Err(Error::Denied));
        assert_eq!(take(&world, &person, &person, 1, 2), Err(Error::Denied));
        assert_eq!(take(&world, &other, &other, 1, 1), Err(Error::Denied));
    }
}
