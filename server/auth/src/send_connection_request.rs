//! send_connection_request — spec/auth.md#send_connection_request

use protocol::auth::{SealedConnectionRequest, SendConnectionRequest, SendConnectionRequestReply};
use protocol::codec::encode;
use protocol::crypto::label;
use protocol::crypto::sealed::hash;
use protocol::id::Seq;
use protocol::limit::CONNECTION_REQUESTS_PENDING_MAX;
use protocol::time::Timestamp;
use store::Entropy;

use crate::error::Error;
use crate::tables::{Digest, NAMES, REQUESTS, Request, USERNAME_SPACE, WAITING, Waiting};
use crate::{Auth, operation};

impl Auth {
    /// Leave a sealed request at a username. While it waits, the same bytes are there once.
    /// [AUTH-REQUESTS-1]
    ///
    /// # Errors
    /// `NotFound` if the name is free, `Full`; or the store's.
    pub fn send_connection_request(
        &self,
        request: SendConnectionRequest,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<SendConnectionRequestReply, Error> {
        let SendConnectionRequest { username, request } = request;
        let digest = Digest::of(&request);
        let request = Request(request);
        let partition = self.store.partition(USERNAME_SPACE, &username.0);
        self.store.transact(&partition, operation(entropy), |tx| {
            let name = tx.get(&NAMES, &())?;
            if name.is_none_or(|name| name.is_expired(now)) {
                return Err(Error::NotFound);
            }
            let mut waiting = tx.get(&WAITING, &())?.unwrap_or_default();
            if waiting.digests.contains(&digest) {
                return Ok(());
            }
            if waiting.digests.len() >= CONNECTION_REQUESTS_PENDING_MAX {
                return Err(Error::Full);
            }
            tx.put(&REQUESTS, &waiting.next(), &request)?;
            waiting.digests.push(digest);
            tx.put(&WAITING, &(), &waiting)?;
            Ok(())
        })?;
        Ok(SendConnectionRequestReply {})
    }
}

impl Waiting {
    /// The place of the next request. [AUTH-REQUESTS-2]
    pub(crate) fn next(&self) -> Seq {
        Seq(self.first.0.saturating_add(self.digests.len() as u64))
    }
}

impl Digest {
    fn of(request: &SealedConnectionRequest) -> Self {
        let whole = hash(label::REQUEST_HASH, &encode(request));
        let mut digest = Self([0; 16]);
        digest.0.copy_from_slice(whole.split_at(16).0);
        digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NOW, Person, World};

    /// [AUTH-REQUESTS-1]
    #[test]
    fn the_same_bytes_are_there_once() {
        let world = World::new();
        let person = Person::new(1, 7);
        world.claim(&person, NOW).unwrap();
        world.send(&person, 1).unwrap();
        let before = world.rows();
        world.send(&person, 1).unwrap();
        assert_eq!(world.rows(), before);
        world.send(&person, 2).unwrap();
        assert_eq!(world.fetch(&person, 0, NOW).unwrap().requests.len(), 2);
    }

    #[test]
    fn a_full_name_refuses_until_its_owner_has_fetched() {
        let world = World::new();
        let person = Person::new(1, 7);
        world.claim(&person, NOW).unwrap();
        for number in 0..256 {
            world.send(&person, number).unwrap();
        }
        let before = world.rows();
        assert_eq!(world.send(&person, 256), Err(Error::Full));
        assert_eq!(world.send(&person, 255), Ok(SendConnectionRequestReply {}));
        assert_eq!(world.rows(), before);
        world.fetch(&person, 1, NOW).unwrap();
        assert!(world.send(&person, 256).is_ok());
    }

    #[test]
    fn a_free_name_takes_none() {
        let world = World::new();
        assert_eq!(world.send(&Person::new(1, 7), 1), Err(Error::NotFound));
        assert!(world.rows().is_empty());
    }
}
