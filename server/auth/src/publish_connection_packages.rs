//! publish_connection_packages — spec/auth.md#publish_connection_packages

use std::collections::BTreeSet;

use protocol::auth::{
    ConnectionPackage, PublishConnectionPackages, PublishConnectionPackagesReply,
};
use protocol::crypto::label;
use protocol::crypto::sealed::hash;
use protocol::crypto::signed::{Binding, Signed};
use protocol::limit::{CONNECTION_PACKAGES_MAX, PACKAGE_DAYS_MAX};
use protocol::time::Timestamp;
use store::Entropy;

use crate::error::Error;
use crate::owner::Owner;
use crate::tables::{LAST_RESORTS, NAMES, Name, PACKAGES, Package};
use crate::{Auth, operation};

impl Auth {
    /// Replace a username's connection packages. [AUTH-PACKAGES-1]
    ///
    /// The publication that is in place already changes nothing: what was handed out of it stays
    /// handed out. [AUTH-PACKAGES-2]
    ///
    /// # Errors
    /// `Denied` if the name is not the sender's, `TooLarge` for too many packages,
    /// `BadConnectionPackage` if one breaks a rule; or the store's.
    pub fn publish_connection_packages(
        &self,
        request: Signed<PublishConnectionPackages>,
        binding: &Binding,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<PublishConnectionPackagesReply, Error> {
        let publication = hash(label::REQUEST_HASH, request.body());
        let (owner, request) = Owner::verify(&self.store, request, binding, now)?;
        let end = u32::try_from(request.packages.len()).map_err(|_| Error::TooLarge)?;
        if request.packages.len() > CONNECTION_PACKAGES_MAX {
            return Err(Error::TooLarge);
        }
        let packages = validate(&owner, request.packages, now)?;
        let last_resort = validate(&owner, vec![request.last_resort], now)?;
        self.store
            .transact(owner.partition(), operation(entropy), |tx| {
                let name = owner.name(tx)?;
                if name.publication == publication {
                    return Ok::<_, Error>(());
                }
                tx.delete_range(&PACKAGES, &0, &u32::MAX)?;
                for (package, number) in packages.iter().zip(0..) {
                    tx.put(&PACKAGES, &number, package)?;
                }
                for package in &last_resort {
                    tx.put(&LAST_RESORTS, &(), package)?;
                }
                let name = Name {
                    publication,
                    packages_first: 0,
                    packages_end: end,
                    ..name
                };
                tx.put(&NAMES, &(), &name)?;
                Ok(())
            })?;
        Ok(PublishConnectionPackagesReply {})
    }
}

/// Signed by the name's key, for this name, valid now and not too long, each under its own id.
fn validate(
    owner: &Owner,
    packages: Vec<ConnectionPackage>,
    now: Timestamp,
) -> Result<Vec<Package>, Error> {
    let mut ids = BTreeSet::new();
    for package in &packages {
        let tbs = package
            .verify(owner.public_key())
            .map_err(|_| Error::BadConnectionPackage)?;
        let is_valid = tbs.username == owner.username()
            && tbs.lifetime.contains(now)
            && tbs.lifetime.is_within_days(PACKAGE_DAYS_MAX)
            && ids.insert(tbs.id);
        if !is_valid {
            return Err(Error::BadConnectionPackage);
        }
    }
    Ok(packages.into_iter().map(Package).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NOW, Person, World, binding};

    fn claimed() -> (World, Person) {
        let world = World::new();
        let person = Person::new(1, 7);
        world.claim(&person, NOW).unwrap();
        (world, person)
    }

    /// [AUTH-PACKAGES-1]
    #[test]
    fn a_thousand_publications_take_the_space_of_one() {
        let (world, person) = claimed();
        world.publish(&person, 4, 90).unwrap();
        let rows = world.rows().len();
        for count in (0..5).cycle().take(1_000) {
            world.publish(&person, count, 60).unwrap();
        }
        world.publish(&person, 4, 90).unwrap();
        assert_eq!(world.rows().len(), rows);
    }

    #[test]
    fn packages_that_break_a_rule_are_refused_and_change_nothing() {
        let (world, person) = claimed();
        world.publish(&person, 1, 90).unwrap();
        let before = world.rows();
        let good = person.package(1, 90);
        let stranger = Person::new(2, 7).package(2, 90);
        let other_name = Person::new(1, 8).package(2, 90);
        let long = person.package(2, 91);
        for bad in [stranger, other_name, long, good.clone()] {
            let request = person.publication(vec![good.clone(), bad.clone()]);
            let refused =
                world
                    .auth
                    .publish_connection_packages(request, &binding(1), NOW, &world.entropy);
            assert_eq!(refused, Err(Error::BadConnectionPackage));
        }
        assert_eq!(world.publish(&person, 33, 90), Err(Error::TooLarge));
        assert_eq!(world.publish(&Person::new(2, 7), 1, 90), Err(Error::Denied));
        assert_eq!(world.rows(), before);
    }

    #[test]
    fn an_expired_name_publishes_nothing() {
        let (world, person) = claimed();
        let later = Timestamp(NOW.0 + 91 * 86_400);
        let request = person.publication(Vec::new());
        let refused =
            world
                .auth
                .publish_connection_packages(request, &binding(1), later, &world.entropy);
        assert_eq!(refused, Err(Error::Denied));
    }
}
