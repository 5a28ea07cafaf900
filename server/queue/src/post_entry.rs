//! post_entry — spec/queue.md#post_entry

use protocol::id::QueueId;
use protocol::queue::{PostEntry, PostEntryReply};
use protocol::time::Timestamp;
use store::Entropy;

use crate::append::{Load, Outcome, Way, append};
use crate::error::Error;
use crate::tables::SPACE;
use crate::ticket::OpenTicket;
use crate::{Queue, operation};

impl Queue {
    /// Put one payload into the queue that a ticket opens, once for its place on the link. A ticket
    /// that leads nowhere is answered the same, and nothing is stored. [QS-POST-1]
    ///
    /// The hint is the queue whose listeners have something to read.
    ///
    /// # Errors
    /// `Full`: try again later; or the store's.
    pub fn post_entry(
        &self,
        request: PostEntry,
        _now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<(PostEntryReply, Option<QueueId>), Error> {
        let PostEntry {
            ticket,
            link,
            seq,
            payload,
        } = request;
        let load = Load::new(link, seq, payload.as_slice())?;
        let Some(OpenTicket { queue, ticket: id }) = OpenTicket::open(&self.keys, &ticket) else {
            return Ok((PostEntryReply {}, None));
        };
        let way = Way {
            ticket: &ticket,
            id,
        };
        let partition = self.store.partition(SPACE, &queue.0);
        let outcome = self.store.transact(&partition, operation(entropy), |tx| {
            append(tx, &self.policy, &load, &[way], entropy)
        })?;
        match outcome {
            Outcome::Gone => Ok((PostEntryReply {}, None)),
            Outcome::Present { refused } if refused.is_empty() => {
                Ok((PostEntryReply {}, Some(queue)))
            }
            Outcome::Present { .. } => Err(Error::Full),
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::codec::Opaque;
    use protocol::contact::Ticket;
    use protocol::id::{LinkId, Seq};

    use super::*;
    use crate::Policy;
    use crate::testing::{NOW, POLICY, Person, Reader, World};

    fn post(world: &World, ticket: Ticket, seq: u64) -> Result<Option<QueueId>, Error> {
        let payload = Opaque::new(b"payload".to_vec()).unwrap();
        let request = PostEntry {
            ticket,
            link: LinkId([4; 16]),
            seq: Seq(seq),
            payload,
        };
        world
            .queue
            .post_entry(request, NOW, &world.entropy)
            .map(|(_, wake)| wake)
    }

    #[test]
    fn a_payload_is_there_once_however_often_it_is_posted() {
        let world = World::new();
        let (person, ticket, id) = world.person(1);
        for _ in 0..3 {
            assert_eq!(post(&world, ticket, 0), Ok(Some(person.queue())));
        }
        assert_eq!(
            world.read(&mut Reader::new(&person)),
            [(id, b"payload".to_vec())]
        );
    }

    /// [QS-POST-1]
    #[test]
    fn a_ticket_that_leads_nowhere_is_answered_the_same() {
        let world = World::new();
        assert_eq!(post(&world, Ticket([0; 64]), 0), Ok(None));
        let vanished = OpenTicket::generate(Person::new(9).queue(), &world.entropy);
        let vanished = vanished.seal(&world.queue.keys, &world.entropy);
        assert_eq!(post(&world, vanished, 0), Ok(None));
        assert!(world.rows().is_empty());
    }

    #[test]
    fn a_full_queue_refuses() {
        let world = World::with(Policy {
            entries_max: 2,
            ticket_share_percent: 100,
            ..POLICY
        });
        let (_, ticket, _) = world.person(1);
        assert!(post(&world, ticket, 0).is_ok());
        let before = world.rows();
        assert_eq!(post(&world, ticket, 1), Err(Error::Full));
        assert_eq!(world.rows(), before);
    }
}
