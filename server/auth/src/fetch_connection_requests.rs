//! fetch_connection_requests — spec/auth.md#fetch_connection_requests

use protocol::auth::{
    FetchConnectionRequests, FetchConnectionRequestsReply, NumberedConnectionRequest,
};
use protocol::crypto::signed::{Binding, Signed};
use protocol::id::Seq;
use protocol::limit::CONNECTION_REQUESTS_FETCH_MAX;
use protocol::time::Timestamp;
use store::{Entropy, StoreError, Tx};

use crate::error::Error;
use crate::owner::Owner;
use crate::tables::{REQUESTS, WAITING, Waiting};
use crate::{Auth, operation};

impl Auth {
    /// The oldest waiting requests from `from` on; those before are deleted. [AUTH-REQUESTS-2]
    ///
    /// # Errors
    /// `Denied` if the name is not the sender's, `Rewound` if `from` lies beyond the last request;
    /// or the store's.
    pub fn fetch_connection_requests(
        &self,
        request: Signed<FetchConnectionRequests>,
        binding: &Binding,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<FetchConnectionRequestsReply, Error> {
        let (owner, request) = Owner::verify(&self.store, request, binding, now)?;
        self.store
            .transact(owner.partition(), operation(entropy), |tx| {
                let packages_left = owner.name(tx)?.packages_left();
                let waiting = acknowledge(tx, request.from)?;
                Ok(FetchConnectionRequestsReply {
                    requests: oldest(tx, &waiting)?,
                    packages_left,
                })
            })
    }
}

/// Delete the requests before `from`; gives those that still wait.
fn acknowledge(tx: &mut Tx<'_>, from: Seq) -> Result<Waiting, Error> {
    let mut waiting = tx.get(&WAITING, &())?.unwrap_or_default();
    if from > waiting.next() {
        return Err(Error::Rewound);
    }
    if from > waiting.first {
        tx.delete_range(&REQUESTS, &waiting.first, &from)?;
        let done = usize::try_from(from.0 - waiting.first.0).unwrap_or(usize::MAX);
        waiting.digests.drain(..done.min(waiting.digests.len()));
        waiting.first = from;
        tx.put(&WAITING, &(), &waiting)?;
    }
    Ok(waiting)
}

fn oldest(tx: &Tx<'_>, waiting: &Waiting) -> Result<Vec<NumberedConnectionRequest>, Error> {
    let mut requests = Vec::new();
    let mut seq = waiting.first;
    while seq < waiting.next() && requests.len() < CONNECTION_REQUESTS_FETCH_MAX {
        let corrupt = StoreError::Corrupt {
            table: REQUESTS.name(),
        };
        let request = tx.get(&REQUESTS, &seq)?.ok_or(corrupt)?.0;
        requests.push(NumberedConnectionRequest { seq, request });
        seq = seq.next();
    }
    Ok(requests)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NOW, Person, World, binding};

    fn filled(count: u16) -> (World, Person) {
        let world = World::new();
        let person = Person::new(1, 7);
        world.claim(&person, NOW).unwrap();
        for number in 0..count {
            world.send(&person, number).unwrap();
        }
        (world, person)
    }

    fn places(reply: &FetchConnectionRequestsReply) -> Vec<u64> {
        reply.requests.iter().map(|request| request.seq.0).collect()
    }

    /// [AUTH-REQUESTS-2]
    #[test]
    fn requests_come_in_order_until_they_are_acknowledged() {
        let (world, person) = filled(20);
        world.publish(&person, 3, 90).unwrap();
        for _ in 0..2 {
            let reply = world.fetch(&person, 0, NOW).unwrap();
            assert_eq!(places(&reply), (0..16).collect::<Vec<_>>());
            assert_eq!(reply.packages_left, 3);
        }
        let rows = world.rows().len();
        assert_eq!(
            places(&world.fetch(&person, 16, NOW).unwrap()),
            [16, 17, 18, 19]
        );
        assert_eq!(world.rows().len(), rows - 16);
        assert_eq!(
            places(&world.fetch(&person, 3, NOW).unwrap()),
            [16, 17, 18, 19]
        );
        assert_eq!(places(&world.fetch(&person, 20, NOW).unwrap()), []);
        world.send(&person, 99).unwrap();
        assert_eq!(places(&world.fetch(&person, 20, NOW).unwrap()), [20]);
    }

    #[test]
    fn a_place_beyond_the_last_means_that_the_server_was_rewound() {
        let (world, person) = filled(2);
        let before = world.rows();
        assert_eq!(world.fetch(&person, 3, NOW), Err(Error::Rewound));
        assert_eq!(world.rows(), before);
    }

    /// [AUTH-OWNER-1]
    #[test]
    fn nobody_else_and_no_replay_fetches_them() {
        let (world, person) = filled(2);
        let before = world.rows();
        assert_eq!(world.fetch(&Person::new(2, 7), 1, NOW), Err(Error::Denied));
        let request = FetchConnectionRequests {
            username: person.username,
            from: Seq(1),
        };
        let replayed = Signed::new(request, &person.key, &binding(2));
        let refused =
            world
                .auth
                .fetch_connection_requests(replayed, &binding(1), NOW, &world.entropy);
        assert_eq!(refused, Err(Error::Denied));
        assert_eq!(world.rows(), before);
    }
}
