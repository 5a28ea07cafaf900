//! The capability over one username: made from a signature under the key that has claimed it, and in
//! no other way.

use std::fmt;

use protocol::auth::{FetchConnectionRequests, PublishConnectionPackages, ReleaseUsername};
use protocol::crypto::signature::PublicKey;
use protocol::crypto::signed::{Binding, Signed};
use protocol::id::UsernameHash;
use protocol::request::Operation;
use protocol::time::Timestamp;
use store::{Partition, Store, Tx};

use crate::error::Error;
use crate::tables::{NAMES, Name, USERNAME_SPACE};

/// A key that verifies nothing of ours: the base point. A free name takes as long to refuse as a
/// wrong signature.
const NOBODY: PublicKey = {
    let mut point = [0x66; 32];
    point[0] = 0x58;
    PublicKey(point)
};

/// A request about a username of the sender's own.
pub(crate) trait Owned: Operation {
    /// The username.
    fn username(&self) -> UsernameHash;
}

macro_rules! owned {
    ($($request:ident),*) => {$(
        impl Owned for $request {
            fn username(&self) -> UsernameHash {
                self.username
            }
        }
    )*};
}

owned!(
    ReleaseUsername,
    PublishConnectionPackages,
    FetchConnectionRequests
);

/// The holder of a username's key.
pub(crate) struct Owner {
    username: UsernameHash,
    public_key: PublicKey,
    partition: Partition,
    now: Timestamp,
}

impl Owner {
    /// Check that the username's key signed the request. [AUTH-OWNER-1]
    ///
    /// # Errors
    /// `Denied` if it did not, or the name is free; or the store's.
    pub(crate) fn verify<T: Owned>(
        store: &Store,
        request: Signed<T>,
        binding: &Binding,
        now: Timestamp,
    ) -> Result<(Self, T), Error> {
        let username = request.unverified().username();
        let partition = store.partition(USERNAME_SPACE, &username.0);
        let name = store.view::<_, Error>(&partition, |tx| Ok(tx.get(&NAMES, &())?))?;
        let public_key = name.as_ref().map_or(NOBODY, |name| name.public_key);
        let request = request.verify(&public_key, binding)?;
        if name.is_none_or(|name| name.is_expired(now)) {
            return Err(Error::Denied);
        }
        Ok((
            Self {
                username,
                public_key,
                partition,
                now,
            },
            request,
        ))
    }

    /// The name as it is in a transaction, unless it went to another key meanwhile.
    ///
    /// # Errors
    /// `Denied` if it did; or the store's.
    pub(crate) fn name(&self, tx: &Tx<'_>) -> Result<Name, Error> {
        let name = tx.get(&NAMES, &())?;
        let is_still_ours =
            |name: &Name| name.public_key == self.public_key && !name.is_expired(self.now);
        name.filter(is_still_ours).ok_or(Error::Denied)
    }

    pub(crate) const fn username(&self) -> UsernameHash {
        self.username
    }

    pub(crate) const fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    pub(crate) const fn partition(&self) -> &Partition {
        &self.partition
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Owner(..)")
    }
}
