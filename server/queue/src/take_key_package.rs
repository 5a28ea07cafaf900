//! take_key_package — spec/queue.md#take_key_package

use protocol::crypto::sealed::SymmetricKey;
use protocol::id::QueueId;
use protocol::queue::{TakeKeyPackage, TakeKeyPackageReply};
use protocol::time::Timestamp;
use store::{Entropy, Tx};

use crate::error::Error;
use crate::tables::{
    KEY_PACKAGES, LAST_RESORTS, Package, REGISTRATIONS, Registration, SPACE, STOCKS,
};
use crate::ticket::OpenTicket;
use crate::{Queue, operation};

impl Queue {
    /// Hand out one KeyPackage: each once, the last resort again and again, expired ones never.
    /// [QS-PACKAGES-3]
    ///
    /// The hint is the queue whose owner is to be told that few are left.
    ///
    /// # Errors
    /// `Denied` for a ticket that leads nowhere and for a wrong token alike, `NoKeyPackage`; or the
    /// store's.
    pub fn take_key_package(
        &self,
        request: TakeKeyPackage,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<(TakeKeyPackageReply, Option<QueueId>), Error> {
        let TakeKeyPackage { ticket, token } = request;
        let queue = OpenTicket::open(&self.keys, &ticket)
            .ok_or(Error::Denied)?
            .queue;
        let partition = self.store.partition(SPACE, &queue.0);
        let token_hash = token.hash();
        let (package, left) = self.store.transact(&partition, operation(entropy), |tx| {
            let registration = tx.get(&REGISTRATIONS, &())?.ok_or(Error::Denied)?;
            if !registration.befriends(token_hash) {
                return Err(Error::Denied);
            }
            take(tx, now)
        })?;
        let hint = (left <= self.policy.key_packages_low).then_some(queue);
        Ok((
            TakeKeyPackageReply {
                package: package.published,
            },
            hint,
        ))
    }
}

impl Registration {
    /// Whether this is the hash of the queue's friendship token; in constant time.
    fn befriends(&self, token_hash: [u8; 32]) -> bool {
        SymmetricKey(self.friendship_token_hash) == SymmetricKey(token_hash)
    }
}

/// Take the first package that has not expired; gives it and how many are left.
fn take(tx: &mut Tx<'_>, now: Timestamp) -> Result<(Package, u32), Error> {
    let mut stock = tx.get(&STOCKS, &())?.ok_or(Error::NoKeyPackage)?;
    let mut taken = None;
    while taken.is_none() && stock.left() > 0 {
        taken = tx
            .get(&KEY_PACKAGES, &stock.first)?
            .filter(|package| !package.is_expired(now));
        tx.delete(&KEY_PACKAGES, &stock.first)?;
        stock.first = stock.first.saturating_add(1);
        tx.put(&STOCKS, &(), &stock)?;
    }
    let package = match taken {
        Some(package) => package,
        None => {
            let last_resort = tx.get(&LAST_RESORTS, &())?;
            last_resort
                .filter(|package| !package.is_expired(now))
                .ok_or(Error::NoKeyPackage)?
        }
    };
    Ok((package, stock.left()))
}

#[cfg(test)]
mod tests {
    use protocol::contact::{FriendshipToken, Ticket};
    use protocol::crypto::signed::Signed;
    use protocol::queue::{PublishKeyPackages, PublishedKeyPackage};

    use super::*;
    use crate::testing::{Offer, Person, World, binding, published};

    struct Shelf {
        world: World,
        person: Person,
        ticket: Ticket,
        now: Timestamp,
        packages: Vec<PublishedKeyPackage>,
        last_resort: PublishedKeyPackage,
    }

    impl Shelf {
        /// A person with packages of these lives, in days.
        fn new(days: &[u64]) -> Self {
            let world = World::new();
            let (person, ticket, _) = world.person(1);
            let offer = |days: &u64| {
                published(&Offer {
                    days: *days,
                    ..Offer::default()
                })
                .0
            };
            let packages = days.iter().map(offer).collect();
            let offer = Offer {
                is_last_resort: true,
                ..Offer::default()
            };
            let (last_resort, now) = published(&offer);
            let shelf = Self {
                world,
                person,
                ticket,
                now,
                packages,
                last_resort,
            };
            shelf.publish();
            shelf
        }

        fn publish(&self) {
            let request = PublishKeyPackages {
                queue: self.person.queue(),
                packages: self.packages.clone(),
                last_resort: self.last_resort.clone(),
            };
            let request = Signed::new(request, &self.person.key, &binding(1));
            let Self { world, now, .. } = self;
            world
                .queue
                .publish_key_packages(request, &binding(1), *now, &world.entropy)
                .unwrap();
        }

        fn take(&self, days_later: u64) -> Result<(PublishedKeyPackage, Option<QueueId>), Error> {
            let request = TakeKeyPackage {
                ticket: self.ticket,
                token: self.person.friendship_token.clone(),
            };
            let now = Timestamp(self.now.0 + days_later * 86_400);
            let taken = self
                .world
                .queue
                .take_key_package(request, now, &self.world.entropy);
            taken.map(|(reply, hint)| (reply.package, hint))
        }
    }

    /// [QS-PACKAGES-3]
    #[test]
    fn each_package_is_handed_out_once_and_the_last_resort_again_and_again() {
        let shelf = Shelf::new(&[30, 30, 30]);
        let owner = Some(shelf.person.queue());
        assert_eq!(shelf.take(0), Ok((shelf.packages[0].clone(), None)));
        assert_eq!(shelf.take(0), Ok((shelf.packages[1].clone(), owner)));
        assert_eq!(shelf.take(0), Ok((shelf.packages[2].clone(), owner)));
        for _ in 0..3 {
            assert_eq!(shelf.take(0), Ok((shelf.last_resort.clone(), owner)));
        }
    }

    /// [QS-PACKAGES-4]
    #[test]
    fn a_publication_that_comes_again_brings_nothing_back() {
        let shelf = Shelf::new(&[30, 30]);
        shelf.take(0).unwrap();
        shelf.publish();
        assert_eq!(shelf.take(0).unwrap().0, shelf.packages[1]);
        let (listener, _) = shelf.world.listen(&shelf.person, 0).unwrap();
        assert_eq!(shelf.world.queue.key_packages_left(&listener), Ok(0));
    }

    #[test]
    fn expired_packages_are_passed_over_and_deleted() {
        let shelf = Shelf::new(&[10, 10, 28]);
        let rows = shelf.world.rows().len();
        assert_eq!(shelf.take(20).unwrap().0, shelf.packages[2]);
        assert_eq!(shelf.world.rows().len(), rows - 3);
        assert_eq!(shelf.take(40).unwrap_err(), Error::NoKeyPackage);
    }

    #[test]
    fn a_wrong_token_and_a_ticket_that_leads_nowhere_are_denied_alike() {
        let shelf = Shelf::new(&[30]);
        let before = shelf.world.rows();
        let entropy = &shelf.world.entropy;
        let vanished = OpenTicket::generate(Person::new(9).queue(), entropy);
        let vanished = vanished.seal(&shelf.world.queue.keys, entropy);
        let token = shelf.person.friendship_token.clone();
        let attempts = [
            (shelf.ticket, FriendshipToken([9; 32])),
            (vanished, token.clone()),
            (Ticket([0; 64]), token),
        ];
        for (ticket, token) in attempts {
            let request = TakeKeyPackage { ticket, token };
            let denied = shelf
                .world
                .queue
                .take_key_package(request, shelf.now, entropy);
            assert_eq!(denied.unwrap_err(), Error::Denied);
        }
        assert_eq!(shelf.world.rows(), before);
    }

    #[test]
    fn a_queue_without_packages_has_none_to_give() {
        let world = World::new();
        let (person, ticket, _) = world.person(1);
        let request = TakeKeyPackage {
            ticket,
            token: person.friendship_token,
        };
        let taken = world
            .queue
            .take_key_package(request, Timestamp(0), &world.entropy);
        assert_eq!(taken.unwrap_err(), Error::NoKeyPackage);
    }
}
