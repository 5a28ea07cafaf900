//! deliver — spec/queue.md#delivery

use std::fmt;

use protocol::contact::Ticket;
use protocol::id::{LinkId, QueueId, Seq};
use store::{Entropy, OpId, Partition, StoreError};

use crate::Queue;
use crate::append::{Load, Outcome, Way, append};
use crate::error::Error;
use crate::tables::SPACE;
use crate::ticket::OpenTicket;

/// How many queues go into one commit of the store.
const QUEUES_MAX: usize = 512;

/// How many bytes go into one commit of the store, unless a single queue's are more: a commit for
/// a large group is large, and each recipient has its own ciphertext of it.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// One payload for the holders of many queues, at its place on a link.
#[derive(Clone, Copy)]
pub struct Parcel<'a> {
    /// The sender's pseudonym.
    pub link: LinkId,
    /// Counts up on the link.
    pub seq: Seq,
    /// The ways into the queues.
    pub tickets: &'a [Ticket],
    /// An encoded `entry::Payload`.
    pub payload: &'a [u8],
}

impl fmt::Debug for Parcel<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Parcel({} tickets, {} bytes)",
            self.tickets.len(),
            self.payload.len()
        )
    }
}

/// What became of a parcel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Queues that have it: their listeners have something to read.
    pub wake: Vec<QueueId>,
    /// The queue, or the ticket's share of it, has no room: to be tried again later.
    pub refused: Vec<Ticket>,
    /// Tickets that led nowhere. It is no use to try them again.
    pub gone: Vec<Ticket>,
}

/// A queue on a parcel's way, with the tickets that lead there.
struct Stop<'a, 'w> {
    queue: QueueId,
    ways: &'w [Way<'a>],
}

/// A ticket of a parcel, opened.
struct Opened<'a> {
    queue: QueueId,
    way: Way<'a>,
}

impl Queue {
    /// Put a parcel into every queue its tickets lead to, once for each ticket however often it
    /// comes on its link. What is neither refused nor gone is durable. [QS-DELIVER-1] [QS-DELIVER-3]
    ///
    /// A ticket whose queue is damaged or too busy counts as refused, so that it holds up no other.
    ///
    /// # Errors
    /// `TooLarge`, or the store's: some tickets may have been served; the parcel may come again.
    pub fn deliver(&self, parcel: &Parcel<'_>, entropy: &dyn Entropy) -> Result<Delivered, Error> {
        let load = Load::new(parcel.link, parcel.seq, parcel.payload)?;
        let (mut opened, mut gone) = (Vec::with_capacity(parcel.tickets.len()), Vec::new());
        for ticket in parcel.tickets {
            match self.open(ticket) {
                Some(ticket) => opened.push(ticket),
                None => gone.push(*ticket),
            }
        }
        // One transaction per queue; the order of a queue's own tickets is kept.
        opened.sort_by_key(|opened| opened.queue);
        let ways: Vec<_> = opened.iter().map(|opened| opened.way).collect();
        let items = self.items(&opened, &ways, entropy);
        let mut delivered = Delivered {
            gone,
            ..Delivered::default()
        };
        let queues = (BYTES_MAX / load.bytes()).clamp(1, QUEUES_MAX);
        for batch in items.chunks(queues) {
            let results = self.store.transact_each(batch, |tx, stop| {
                append(tx, &self.policy, &load, stop.ways, entropy)
            });
            for ((_, _, stop), result) in batch.iter().zip(results) {
                delivered.count(stop, result)?;
            }
        }
        Ok(delivered)
    }

    fn open<'a>(&self, ticket: &'a Ticket) -> Option<Opened<'a>> {
        let open = OpenTicket::open(&self.keys, ticket)?;
        Some(Opened {
            queue: open.queue,
            way: Way {
                ticket,
                id: open.ticket,
            },
        })
    }

    /// One item per queue, with its part of `ways`, which has the order of `opened`.
    fn items<'a, 'w>(
        &self,
        opened: &[Opened<'a>],
        mut ways: &'w [Way<'a>],
        entropy: &dyn Entropy,
    ) -> Vec<(Partition, OpId, Stop<'a, 'w>)> {
        let mut ids = vec![0; 16 * opened.len()];
        entropy.fill(&mut ids);
        let (ids, _) = ids.as_chunks();
        let mut items = Vec::with_capacity(opened.len());
        for (same, id) in opened
            .chunk_by(|one, other| one.queue == other.queue)
            .zip(ids)
        {
            let Some(queue) = same.first().map(|opened| opened.queue) else {
                continue;
            };
            let Some((own, rest)) = ways.split_at_checked(same.len()) else {
                break;
            };
            items.push((
                self.store.partition(SPACE, &queue.0),
                OpId(*id),
                Stop { queue, ways: own },
            ));
            ways = rest;
        }
        items
    }
}

impl Delivered {
    fn count(&mut self, stop: &Stop<'_, '_>, result: Result<Outcome, Error>) -> Result<(), Error> {
        match result {
            Ok(Outcome::Gone) => self.gone.extend(stop.ways.iter().map(|way| *way.ticket)),
            Ok(Outcome::Present { refused }) => {
                // Also if it was there already: the first wake may have been lost.
                if refused.len() < stop.ways.len() {
                    self.wake.push(stop.queue);
                }
                self.refused.extend(refused);
            }
            Err(Error::Store(StoreError::Conflict | StoreError::Corrupt { .. })) => {
                self.refused.extend(stop.ways.iter().map(|way| *way.ticket));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use store::Fault;

    use super::*;
    use crate::Policy;
    use crate::testing::{LINK, POLICY, Person, Reader, World};

    #[test]
    fn every_recipient_reads_what_was_sent_in_order() {
        let world = World::new();
        let people: Vec<_> = (1..=3).map(|number| world.person(number)).collect();
        let tickets: Vec<_> = people.iter().map(|(_, ticket, _)| *ticket).collect();
        let payloads: Vec<Vec<u8>> = (0..5).map(|number| vec![number; 300]).collect();
        for (payload, seq) in payloads.iter().zip(0..) {
            let delivered = world.deliver(seq, &tickets, payload);
            assert_eq!(
                (
                    delivered.wake.len(),
                    delivered.refused.len(),
                    delivered.gone.len()
                ),
                (3, 0, 0)
            );
        }
        for (person, _, id) in &people {
            let expected: Vec<_> = payloads
                .iter()
                .map(|payload| (*id, payload.clone()))
                .collect();
            assert_eq!(world.read(&mut Reader::new(person)), expected);
        }
    }

    /// [QS-DELIVER-1]
    #[test]
    fn a_parcel_that_comes_again_is_there_once_and_wakes_again() {
        let world = World::new();
        let (person, ticket, _) = world.person(1);
        world.deliver(5, &[ticket], b"five");
        world.deliver(7, &[ticket], b"seven");
        let before = world.rows();
        for seq in [5, 6, 7] {
            let again = world.deliver(seq, &[ticket], b"again");
            assert_eq!(again.wake, [person.queue()]);
        }
        assert_eq!(world.rows(), before);
        assert_eq!(world.read(&mut Reader::new(&person)).len(), 2);
    }

    /// [QS-DELIVER-1]
    #[test]
    fn a_lost_answer_of_the_store_does_not_duplicate() {
        for fault in [
            Fault::AmbiguousApplied,
            Fault::AmbiguousLost,
            Fault::Conflict,
        ] {
            let world = World::new();
            let (person, ticket, _) = world.person(1);
            world.backend.inject(fault);
            world.deliver(1, &[ticket], b"one");
            world.deliver(1, &[ticket], b"one");
            world.deliver(2, &[ticket], b"two");
            let items = world.read(&mut Reader::new(&person));
            assert_eq!(
                items.iter().map(|item| &item.1[..]).collect::<Vec<_>>(),
                [&b"one"[..], b"two"]
            );
        }
    }

    /// [QS-DELIVER-1]
    #[test]
    fn tickets_that_have_not_been_used_for_long_are_remembered() {
        let world = World::new();
        let (person, ..) = world.person(1);
        let tickets: Vec<_> = (0..10).map(|_| world.ticket(&person)).collect();
        for round in 0..3 {
            for (ticket, _) in &tickets {
                world.deliver(round, &[*ticket], b"x");
            }
        }
        let before = world.rows();
        for (ticket, _) in &tickets {
            world.deliver(2, &[*ticket], b"again");
        }
        assert_eq!(world.rows(), before);
        let read = world.read(&mut Reader::new(&person));
        let ids: Vec<_> = tickets.iter().map(|(_, id)| *id).collect();
        let read: Vec<_> = read.into_iter().map(|item| item.0).collect();
        assert_eq!(read, ids.repeat(3));
    }

    #[test]
    fn links_count_apart() {
        let world = World::new();
        let (person, ticket, _) = world.person(1);
        for link in 1..=3 {
            let parcel = Parcel {
                link: LinkId([link; 16]),
                seq: Seq(9),
                tickets: &[ticket],
                payload: b"x",
            };
            world.queue.deliver(&parcel, &world.entropy).unwrap();
        }
        assert_eq!(world.read(&mut Reader::new(&person)).len(), 3);
    }

    #[test]
    fn two_tickets_into_one_queue_bring_two_items() {
        let world = World::new();
        let (person, one, one_id) = world.person(1);
        let (other, other_id) = world.ticket(&person);
        let (_, third, _) = world.person(2);
        let delivered = world.deliver(1, &[one, third, other], b"payload");
        assert_eq!(delivered.wake.len(), 2);
        let ids: Vec<_> = world
            .read(&mut Reader::new(&person))
            .into_iter()
            .map(|item| item.0)
            .collect();
        assert_eq!(ids, [one_id, other_id]);
    }

    /// [QS-DELIVER-3]
    #[test]
    fn tickets_that_lead_nowhere_are_named_and_store_nothing() {
        let world = World::new();
        let nobody = Person::new(9);
        let vanished = OpenTicket::generate(nobody.queue(), &world.entropy);
        let vanished = vanished.seal(&world.queue.keys, &world.entropy);
        let delivered = world.deliver(1, &[Ticket([1; 64]), vanished], b"payload");
        assert_eq!(
            delivered,
            Delivered {
                gone: vec![Ticket([1; 64]), vanished],
                ..Delivered::default()
            }
        );
        assert!(world.rows().is_empty());
    }

    /// [QS-DELIVER-2]
    #[test]
    fn a_full_queue_refuses_and_takes_again_what_was_acknowledged() {
        let policy = Policy {
            entries_max: 4,
            ticket_share_percent: 100,
            ..POLICY
        };
        let world = World::with(policy);
        let (person, ticket, _) = world.person(1);
        for seq in 0..3 {
            assert_eq!(world.deliver(seq, &[ticket], b"x").refused, []);
        }
        let before = world.rows();
        let refused = world.deliver(3, &[ticket], b"three");
        assert_eq!((refused.refused, refused.wake.len()), (vec![ticket], 0));
        assert_eq!(world.rows(), before);
        world.listen(&person, 2).unwrap();
        assert_eq!(world.deliver(3, &[ticket], b"three").refused, []);
    }

    #[test]
    fn a_queue_full_of_bytes_refuses_and_an_empty_one_takes_any_length() {
        let world = World::with(Policy {
            bytes_max: 3_000,
            ..POLICY
        });
        let (person, ticket, _) = world.person(1);
        let (other, _) = world.ticket(&person);
        assert_eq!(world.deliver(1, &[ticket], &[1; 100_000]).refused, []);
        assert_eq!(
            world.deliver(2, &[ticket, other], &[1; 10]).refused,
            [ticket, other]
        );
        world.listen(&person, 2).unwrap();
        assert_eq!(world.deliver(2, &[ticket, other], &[1; 10]).refused, []);
    }

    /// [QS-SHARE-1]
    #[test]
    fn one_ticket_fills_its_share_and_leaves_room_for_others() {
        let world = World::with(Policy {
            entries_max: 20,
            ..POLICY
        });
        let (person, greedy, _) = world.person(1);
        let (modest, _) = world.ticket(&person);
        let refused =
            (0..30).filter(|seq| !world.deliver(*seq, &[greedy], b"x").refused.is_empty());
        assert_eq!(refused.count(), 20);
        assert_eq!(world.deliver(50, &[greedy, modest], b"y").refused, [greedy]);
        world.listen(&person, 12).unwrap();
        assert_eq!(world.deliver(51, &[greedy], b"z").refused, []);
    }

    /// [CRYPTO-RATCHET-2]
    #[test]
    fn the_ratchet_is_refreshed_before_the_first_item_and_after_every_256() {
        let world = World::new();
        let (person, ticket, _) = world.person(1);
        for seq in 0..600 {
            world.deliver(seq, &[ticket], b"x");
        }
        let mut reader = Reader::new(&person);
        assert_eq!(world.read(&mut reader).len(), 600);
        assert_eq!(reader.refreshes, [Seq(0), Seq(257), Seq(514)]);
    }

    #[test]
    fn payloads_longer_than_a_row_arrive_whole() {
        let world = World::new();
        let (person, ticket, _) = world.person(1);
        let lengths = [0, 1, 65_000, 65_526, 200_000, 1_000_000, 3];
        for (length, seq) in lengths.into_iter().zip(0..) {
            assert_eq!(world.deliver(seq, &[ticket], &vec![7; length]).refused, []);
        }
        let read = world.read(&mut Reader::new(&person));
        assert_eq!(
            read.iter().map(|item| item.1.len()).collect::<Vec<_>>(),
            lengths
        );
    }

    #[test]
    fn more_tickets_into_one_queue_than_a_commit_holds_arrive_in_several_attempts() {
        let world = World::with(Policy {
            ticket_share_percent: 100,
            ..POLICY
        });
        let (person, ..) = world.person(1);
        let tickets: Vec<_> = (0..300).map(|_| world.ticket(&person).0).collect();
        let mut refused = tickets;
        let mut attempts = 0;
        while !refused.is_empty() {
            refused = world.deliver(1, &refused, b"x").refused;
            attempts += 1;
        }
        assert!((2..5).contains(&attempts), "{attempts} attempts");
        assert_eq!(world.read(&mut Reader::new(&person)).len(), 300);
    }

    #[test]
    fn a_store_that_cannot_write_is_told_and_the_parcel_may_come_again() {
        let world = World::new();
        let (person, ticket, _) = world.person(1);
        world.backend.refuse_writes(true);
        let parcel = Parcel {
            link: LINK,
            seq: Seq(1),
            tickets: &[ticket],
            payload: b"x",
        };
        let refused = world.queue.deliver(&parcel, &world.entropy);
        assert_eq!(refused, Err(Error::Store(StoreError::Unavailable)));
        world.backend.refuse_writes(false);
        world.deliver(1, &[ticket], b"x");
        assert_eq!(world.read(&mut Reader::new(&person)).len(), 1);
    }

    #[test]
    fn what_is_stored_shows_neither_payload_nor_ids() {
        let world = World::new();
        let (person, ticket, id) = world.person(1);
        world.deliver(1, &[ticket], b"the words that nobody may read");
        let stored: Vec<u8> = world
            .rows()
            .iter()
            .flat_map(|row| [row.key.as_ref(), &row.value].concat())
            .collect();
        let needles: [&[u8]; 5] = [
            b"the words that nobody may read",
            &id.0,
            &person.queue().0,
            &LINK.0,
            &person.key.public_key().0,
        ];
        for needle in needles {
            assert!(!stored.windows(needle.len()).any(|window| window == needle));
        }
    }
}
