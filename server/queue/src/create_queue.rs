//! create_queue — spec/queue.md#create_queue

use protocol::crypto::label;
use protocol::crypto::ratchet::Ratchet;
use protocol::crypto::sealed::hash;
use protocol::crypto::signed::{Binding, Signed};
use protocol::id::Seq;
use protocol::queue::{CreateQueue, CreateQueueReply, queue_id};
use protocol::time::Timestamp;
use store::Entropy;

use crate::error::Error;
use crate::tables::{REGISTRATIONS, Registration, SPACE, TAILS, Tail};
use crate::{Queue, operation};

impl Queue {
    /// Create a queue under a key that signs the request itself. [QS-CREATE-1]
    ///
    /// # Errors
    /// `Denied` if another key signed, `BadSealKey` if nothing can be sealed to the queue, `Exists`
    /// if the key has a queue that was created by another request; or the store's.
    pub fn create_queue(
        &self,
        request: Signed<CreateQueue>,
        binding: &Binding,
        _now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<CreateQueueReply, Error> {
        let digest = hash(label::REQUEST_HASH, request.body());
        let key = request.unverified().public_key;
        let request = request.verify(&key, binding)?;
        // Later there is nobody to tell that refreshes cannot be sealed. [QS-CREATE-2]
        let trial = request
            .seal_key
            .seal::<64>(label::RATCHET_REFRESH_SEALED, &[], &[0; 32]);
        trial.map_err(|_| Error::BadSealKey)?;
        let queue = queue_id(&key);
        let partition = self.store.partition(SPACE, &queue.0);
        self.store.transact(&partition, operation(entropy), |tx| {
            if let Some(present) = tx.get(&REGISTRATIONS, &())? {
                return if present.request == digest {
                    Ok(())
                } else {
                    Err(Error::Exists)
                };
            }
            let registration = Registration {
                request: digest,
                public_key: key,
                seal_key: request.seal_key,
                friendship_token_hash: request.friendship_token_hash,
            };
            let tail = Tail {
                ratchet: Ratchet::new(request.ratchet_seed.clone()),
                first: Seq(0),
                next: Seq(0),
                bytes_first: 0,
                bytes_next: 0,
                tickets: 0,
                recent: Vec::new(),
            };
            tx.put(&REGISTRATIONS, &(), &registration)?;
            tx.put(&TAILS, &(), &tail)?;
            Ok(())
        })?;
        Ok(CreateQueueReply { queue })
    }
}

#[cfg(test)]
mod tests {
    use protocol::crypto::hpke::SealKey;

    use super::*;
    use crate::testing::{NOW, Person, World, binding};

    #[test]
    fn a_creation_that_comes_again_is_answered_the_same_and_changes_nothing() {
        let world = World::new();
        let person = Person::new(1);
        let create = || {
            world
                .queue
                .create_queue(person.creation(1), &binding(1), NOW, &world.entropy)
        };
        let reply = create().unwrap();
        assert_eq!(reply.queue, person.queue());
        let before = world.rows();
        assert_eq!(create().unwrap(), reply);
        assert_eq!(world.rows(), before);
    }

    #[test]
    fn a_key_has_one_queue() {
        let world = World::new();
        let mut person = Person::new(1);
        world.create(&person);
        let before = world.rows();
        person.friendship_token.0 = [9; 32];
        let again = world
            .queue
            .create_queue(person.creation(1), &binding(1), NOW, &world.entropy);
        assert_eq!(again, Err(Error::Exists));
        assert_eq!(world.rows(), before);
    }

    #[test]
    fn a_creation_of_another_connection_or_another_signer_is_denied() {
        let world = World::new();
        let person = Person::new(1);
        let create = |request| {
            world
                .queue
                .create_queue(request, &binding(1), NOW, &world.entropy)
        };
        assert_eq!(create(person.creation(2)), Err(Error::Denied));
        let forged = Signed::new(person.create_queue(), &Person::new(2).key, &binding(1));
        assert_eq!(create(forged), Err(Error::Denied));
        assert!(world.rows().is_empty());
    }

    /// [QS-CREATE-2]
    #[test]
    fn a_key_that_nothing_can_be_sealed_to_is_refused() {
        let world = World::new();
        let person = Person::new(1);
        let creation = CreateQueue {
            seal_key: SealKey([0; 32]),
            ..person.create_queue()
        };
        let request = Signed::new(creation, &person.key, &binding(1));
        let reply = world
            .queue
            .create_queue(request, &binding(1), NOW, &world.entropy);
        assert_eq!(reply, Err(Error::BadSealKey));
        assert!(world.rows().is_empty());
    }
}
