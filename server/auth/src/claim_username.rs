//! claim_username — spec/auth.md#claim_username

use std::time::Duration;

use protocol::auth::{ClaimUsername, ClaimUsernameReply};
use protocol::crypto::signed::{Binding, Signed};
use protocol::limit::USERNAME_DAYS;
use protocol::time::Timestamp;
use store::Entropy;

use crate::error::Error;
use crate::tables::{NAMES, Name, USERNAME_SPACE, clear_name};
use crate::{Auth, operation};

impl Auth {
    /// Give a username to the key that signed, or refresh it. A name that has expired goes to
    /// whoever claims it first, without anything of its former owner's. [AUTH-USERNAME-2]
    ///
    /// # Errors
    /// `Denied` if another key signed, `Work`, `Exists` if the name is another key's; or the
    /// store's.
    pub fn claim_username(
        &self,
        request: Signed<ClaimUsername>,
        binding: &Binding,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<ClaimUsernameReply, Error> {
        // The signature first: it is cheaper to check than the work.
        let public_key = request.unverified().public_key;
        let request = request.verify(&public_key, binding)?;
        request
            .work
            .verify(&self.keys.challenge_key, &request.work_purpose(), now)?;
        let expires = now.after(Duration::from_secs(USERNAME_DAYS * 86_400));
        let partition = self.store.partition(USERNAME_SPACE, &request.username.0);
        self.store.transact(&partition, operation(entropy), |tx| {
            let name = match tx.get(&NAMES, &())? {
                Some(own) if own.public_key == public_key => Name { expires, ..own },
                Some(other) if !other.is_expired(now) => return Err(Error::Exists),
                other => {
                    if other.is_some() {
                        clear_name(tx)?;
                    }
                    Name {
                        public_key,
                        expires,
                        publication: [0; 32],
                        packages_first: 0,
                        packages_end: 0,
                    }
                }
            };
            Ok(tx.put(&NAMES, &(), &name)?)
        })?;
        Ok(ClaimUsernameReply { expires })
    }
}

#[cfg(test)]
mod tests {
    use protocol::crypto::work::BadWork;

    use super::*;
    use crate::testing::{NOW, Person, World, binding};

    const LATER: Timestamp = Timestamp(NOW.0 + USERNAME_DAYS * 86_400 + 1);

    #[test]
    fn a_name_is_the_first_key_s_until_it_expires() {
        let world = World::new();
        let (first, second) = (Person::new(1, 7), Person::new(2, 7));
        let expires = Timestamp(LATER.0 - 1);
        assert_eq!(world.claim(&first, NOW), Ok(ClaimUsernameReply { expires }));
        let before = world.rows();
        assert_eq!(world.claim(&second, NOW), Err(Error::Exists));
        assert_eq!(world.claim(&second, expires), Err(Error::Exists));
        assert_eq!(world.rows(), before);
        assert!(world.claim(&second, LATER).is_ok());
        assert_eq!(world.claim(&first, LATER), Err(Error::Exists));
    }

    /// [AUTH-USERNAME-2]
    #[test]
    fn its_owner_refreshes_it_even_after_it_has_expired_and_keeps_what_it_has() {
        let world = World::new();
        let person = Person::new(1, 7);
        world.claim(&person, NOW).unwrap();
        world.publish(&person, 2, 90).unwrap();
        let rows = world.rows().len();
        world.claim(&person, LATER).unwrap();
        assert_eq!(world.rows().len(), rows);
        assert_eq!(world.claim(&Person::new(2, 7), LATER), Err(Error::Exists));
    }

    #[test]
    fn a_new_owner_finds_nothing_of_the_former_one() {
        let world = World::new();
        let (first, second) = (Person::new(1, 7), Person::new(2, 7));
        world.claim(&first, NOW).unwrap();
        let rows = world.rows().len();
        world.publish(&first, 3, 90).unwrap();
        world.send(&first, 1).unwrap();
        world.claim(&second, LATER).unwrap();
        assert_eq!(world.rows().len(), rows);
        assert_eq!(world.fetch(&second, 0, LATER).unwrap().requests, []);
    }

    #[test]
    fn another_signer_another_connection_and_missing_work_are_refused() {
        let world = World::new();
        let (person, other) = (Person::new(1, 7), Person::new(2, 7));
        let claim = world.claim_content(&person, NOW);
        let attempts = [
            (
                Signed::new(claim.clone(), &other.key, &binding(1)),
                Error::Denied,
            ),
            (
                Signed::new(claim.clone(), &person.key, &binding(2)),
                Error::Denied,
            ),
            (
                Signed::new(
                    ClaimUsername {
                        work: world.claim_content(&other, NOW).work,
                        ..claim
                    },
                    &person.key,
                    &binding(1),
                ),
                Error::Work(BadWork::Solution),
            ),
        ];
        for (request, error) in attempts {
            let refused = world
                .auth
                .claim_username(request, &binding(1), NOW, &world.entropy);
            assert_eq!(refused, Err(error));
        }
        assert!(world.rows().is_empty());
    }
}
