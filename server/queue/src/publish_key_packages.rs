//! publish_key_packages — spec/queue.md#publish_key_packages

use protocol::crypto::label;
use protocol::crypto::sealed::hash;
use protocol::crypto::signed::{Binding, Signed};
use protocol::limit::KEY_PACKAGES_MAX;
use protocol::queue::{PublishKeyPackages, PublishKeyPackagesReply};
use protocol::time::Timestamp;
use store::Entropy;

use crate::error::Error;
use crate::key_package::{Purpose, Validator};
use crate::owner::Owner;
use crate::tables::{KEY_PACKAGES, LAST_RESORTS, STOCKS, Stock};
use crate::{Queue, operation};

impl Queue {
    /// Replace the sender's KeyPackages. [QS-PACKAGES-1]
    ///
    /// The publication that is in place already changes nothing: what was handed out of it stays
    /// handed out. [QS-PACKAGES-4]
    ///
    /// # Errors
    /// `Denied` if the sender does not own the queue, `TooLarge` for too many packages,
    /// `BadKeyPackage` if one breaks a rule; or the store's.
    pub fn publish_key_packages(
        &self,
        request: Signed<PublishKeyPackages>,
        binding: &Binding,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<PublishKeyPackagesReply, Error> {
        let publication = hash(label::REQUEST_HASH, request.body());
        let (owner, request) = Owner::verify(&self.store, request, binding)?;
        let end = u32::try_from(request.packages.len()).map_err(|_| Error::TooLarge)?;
        if request.packages.len() > KEY_PACKAGES_MAX {
            return Err(Error::TooLarge);
        }
        let validator = Validator::new(now);
        let last_resort = validator.validate(request.last_resort, Purpose::LastResort)?;
        let validate = |package| validator.validate(package, Purpose::Single);
        let packages = request
            .packages
            .into_iter()
            .map(validate)
            .collect::<Result<Vec<_>, _>>()?;
        self.store
            .transact(owner.partition(), operation(entropy), |tx| {
                let present = tx.get(&STOCKS, &())?;
                if present.is_some_and(|stock| stock.publication == publication) {
                    return Ok::<_, Error>(());
                }
                tx.delete_range(&KEY_PACKAGES, &0, &u32::MAX)?;
                for (package, number) in packages.iter().zip(0..) {
                    tx.put(&KEY_PACKAGES, &number, package)?;
                }
                tx.put(&LAST_RESORTS, &(), &last_resort)?;
                tx.put(
                    &STOCKS,
                    &(),
                    &Stock {
                        publication,
                        first: 0,
                        end,
                    },
                )?;
                Ok(())
            })?;
        Ok(PublishKeyPackagesReply {})
    }
}

#[cfg(test)]
mod tests {
    use protocol::queue::PublishedKeyPackage;

    use super::*;
    use crate::testing::{Offer, Person, World, binding, published};

    fn last_resort() -> PublishedKeyPackage {
        published(&Offer {
            is_last_resort: true,
            ..Offer::default()
        })
        .0
    }

    fn publish(
        world: &World,
        person: &Person,
        packages: Vec<PublishedKeyPackage>,
        exporter: u8,
    ) -> Result<PublishKeyPackagesReply, Error> {
        let now = published(&Offer::default()).1;
        let request = PublishKeyPackages {
            queue: person.queue(),
            packages,
            last_resort: last_resort(),
        };
        let request = Signed::new(request, &person.key, &binding(exporter));
        world
            .queue
            .publish_key_packages(request, &binding(1), now, &world.entropy)
    }

    /// [QS-PACKAGES-1]
    #[test]
    fn a_thousand_publications_take_the_space_of_one() {
        let world = World::new();
        let (person, ..) = world.person(1);
        let packages: Vec<_> = (0..3).map(|_| published(&Offer::default()).0).collect();
        publish(&world, &person, packages.clone(), 1).unwrap();
        let rows = world.rows().len();
        let bytes = |world: &World| {
            world
                .rows()
                .iter()
                .map(|row| row.value.len())
                .sum::<usize>()
        };
        let before = bytes(&world);
        for number in 0..1_000_usize {
            publish(&world, &person, packages[..number % 3].to_vec(), 1).unwrap();
        }
        publish(&world, &person, packages, 1).unwrap();
        assert_eq!((world.rows().len(), bytes(&world)), (rows, before));
    }

    #[test]
    fn what_is_refused_changes_nothing() {
        let world = World::new();
        let (person, ..) = world.person(1);
        let good = published(&Offer::default()).0;
        publish(&world, &person, vec![good.clone()], 1).unwrap();
        let before = world.rows();
        let bad = published(&Offer {
            identity_bytes: 0,
            ..Offer::default()
        })
        .0;
        let reply = publish(&world, &person, vec![good.clone(), bad], 1);
        assert_eq!(reply, Err(Error::BadKeyPackage));
        assert_eq!(
            publish(&world, &person, vec![last_resort()], 1),
            Err(Error::BadKeyPackage)
        );
        let many = vec![good.clone(); KEY_PACKAGES_MAX + 1];
        assert_eq!(publish(&world, &person, many, 1), Err(Error::TooLarge));
        assert_eq!(
            publish(&world, &person, vec![good.clone()], 2),
            Err(Error::Denied)
        );
        assert_eq!(
            publish(&world, &Person::new(2), vec![good], 1),
            Err(Error::Denied)
        );
        assert_eq!(world.rows(), before);
    }
}
