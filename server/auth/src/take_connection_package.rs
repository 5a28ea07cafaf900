//! take_connection_package — spec/auth.md#take_connection_package

use protocol::auth::{TakeConnectionPackage, TakeConnectionPackageReply};
use protocol::time::Timestamp;
use store::Entropy;

use crate::error::Error;
use crate::tables::{LAST_RESORTS, NAMES, PACKAGES, Package, USERNAME_SPACE};
use crate::{Auth, operation};

impl Auth {
    /// Hand out one package of a username: each once, the last resort again and again, expired ones
    /// never. [AUTH-PACKAGES-3]
    ///
    /// # Errors
    /// `NotFound` if the name is free or has nothing to hand out; or the store's.
    pub fn take_connection_package(
        &self,
        request: TakeConnectionPackage,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<TakeConnectionPackageReply, Error> {
        let partition = self.store.partition(USERNAME_SPACE, &request.username.0);
        self.store.transact(&partition, operation(entropy), |tx| {
            let name = tx.get(&NAMES, &())?.filter(|name| !name.is_expired(now));
            let mut name = name.ok_or(Error::NotFound)?;
            let mut taken = None;
            while taken.is_none() && name.packages_left() > 0 {
                taken = tx.get(&PACKAGES, &name.packages_first)?;
                taken = taken.filter(|package| !package.is_expired(now));
                tx.delete(&PACKAGES, &name.packages_first)?;
                name.packages_first = name.packages_first.saturating_add(1);
                tx.put(&NAMES, &(), &name)?;
            }
            let package = match taken {
                Some(package) => package,
                None => {
                    let last_resort = tx.get(&LAST_RESORTS, &())?;
                    let last_resort = last_resort.filter(|package| !package.is_expired(now));
                    last_resort.ok_or(Error::NotFound)?
                }
            };
            Ok(TakeConnectionPackageReply {
                public_key: name.public_key,
                package: package.0,
            })
        })
    }
}

impl Package {
    fn is_expired(&self, now: Timestamp) -> bool {
        self.0.tbs.lifetime.not_after < now
    }
}

#[cfg(test)]
mod tests {
    use protocol::id::UsernameHash;

    use super::*;
    use crate::testing::{NOW, Person, World};

    fn take(world: &World, username: UsernameHash, days_later: u64) -> Result<u8, Error> {
        let now = Timestamp(NOW.0 + days_later * 86_400);
        let request = TakeConnectionPackage { username };
        let reply = world
            .auth
            .take_connection_package(request, now, &world.entropy)?;
        assert!(reply.package.verify(&reply.public_key).is_ok());
        Ok(reply.package.tbs.id.0[0])
    }

    /// [AUTH-PACKAGES-2] [AUTH-PACKAGES-3]
    #[test]
    fn each_package_is_handed_out_once_and_the_last_resort_again_and_again() {
        let world = World::new();
        let person = Person::new(1, 7);
        world.claim(&person, NOW).unwrap();
        world.publish(&person, 2, 60).unwrap();
        assert_eq!(take(&world, person.username, 0), Ok(0));
        world.publish(&person, 2, 60).unwrap();
        assert_eq!(take(&world, person.username, 0), Ok(1));
        assert_eq!(take(&world, person.username, 0), Ok(255));
        assert_eq!(take(&world, person.username, 0), Ok(255));
    }

    #[test]
    fn expired_packages_are_passed_over_and_deleted() {
        let world = World::new();
        let person = Person::new(1, 7);
        world.claim(&person, NOW).unwrap();
        let rows = world.rows().len();
        world.publish(&person, 3, 10).unwrap();
        assert_eq!(take(&world, person.username, 20), Err(Error::NotFound));
        assert_eq!(world.rows().len(), rows + 4, "a refusal changes nothing");
        let request = person.publication(vec![person.package(1, 10), person.package(2, 80)]);
        let binding = crate::testing::binding(1);
        world
            .auth
            .publish_connection_packages(request, &binding, NOW, &world.entropy)
            .unwrap();
        assert_eq!(take(&world, person.username, 20), Ok(2));
        assert_eq!(world.rows().len(), rows + 1);
    }

    #[test]
    fn a_free_or_expired_name_has_none() {
        let world = World::new();
        let person = Person::new(1, 7);
        assert_eq!(take(&world, person.username, 0), Err(Error::NotFound));
        world.claim(&person, NOW).unwrap();
        assert_eq!(take(&world, person.username, 0), Err(Error::NotFound));
        world.publish(&person, 1, 90).unwrap();
        assert_eq!(take(&world, person.username, 91), Err(Error::NotFound));
    }
}
