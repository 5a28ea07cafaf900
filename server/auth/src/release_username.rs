//! release_username — spec/auth.md#release_username

use protocol::auth::{ReleaseUsername, ReleaseUsernameReply};
use protocol::crypto::signed::{Binding, Signed};
use protocol::time::Timestamp;
use store::Entropy;

use crate::error::Error;
use crate::owner::Owner;
use crate::tables::clear_name;
use crate::{Auth, operation};

impl Auth {
    /// Delete a username with its packages and waiting requests. [AUTH-USERNAME-3]
    ///
    /// # Errors
    /// `Denied` if the name is not the sender's, so also if it is released already; or the store's.
    pub fn release_username(
        &self,
        request: Signed<ReleaseUsername>,
        binding: &Binding,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<ReleaseUsernameReply, Error> {
        let (owner, ReleaseUsername { .. }) = Owner::verify(&self.store, request, binding, now)?;
        self.store
            .transact(owner.partition(), operation(entropy), |tx| {
                owner.name(tx)?;
                Ok::<_, Error>(clear_name(tx)?)
            })?;
        Ok(ReleaseUsernameReply {})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NOW, Person, World, binding};

    fn release(
        world: &World,
        person: &Person,
        exporter: u8,
    ) -> Result<ReleaseUsernameReply, Error> {
        let request = ReleaseUsername {
            username: person.username,
        };
        let request = Signed::new(request, &person.key, &binding(exporter));
        world
            .auth
            .release_username(request, &binding(1), NOW, &world.entropy)
    }

    /// [AUTH-USERNAME-3]
    #[test]
    fn a_released_name_leaves_nothing_and_is_free() {
        let world = World::new();
        let person = Person::new(1, 7);
        world.claim(&person, NOW).unwrap();
        world.publish(&person, 2, 90).unwrap();
        world.send(&person, 1).unwrap();
        release(&world, &person, 1).unwrap();
        assert!(world.rows().is_empty());
        assert_eq!(release(&world, &person, 1), Err(Error::Denied));
        assert!(world.claim(&Person::new(2, 7), NOW).is_ok());
    }

    /// [AUTH-OWNER-1]
    #[test]
    fn nobody_else_and_no_replay_releases_it() {
        let world = World::new();
        let person = Person::new(1, 7);
        world.claim(&person, NOW).unwrap();
        let before = world.rows();
        assert_eq!(release(&world, &Person::new(2, 7), 1), Err(Error::Denied));
        assert_eq!(release(&world, &person, 2), Err(Error::Denied));
        assert_eq!(world.rows(), before);
    }
}
