//! The client's side of the authentication service's operations.

mod claim_username;
mod fetch_challenge;
mod fetch_connection_requests;
mod fetch_server_keys;
mod publish_connection_packages;
mod register_account;
mod release_username;
mod send_connection_request;
mod take_connection_package;

use protocol::crypto::signature::PrivateKey;
use protocol::id::{Username, UsernameHash};

use crate::error::Error;
use crate::tx::Tx;

/// A username of ours as stored.
pub(crate) struct StoredUsername {
    pub(crate) name: Username,
    pub(crate) key: PrivateKey,
}

impl Tx<'_> {
    pub(crate) fn username(&self, hash: [u8; 32]) -> Result<Option<StoredUsername>, Error> {
        let row = self.row(
            "SELECT name, key FROM usernames WHERE hash = ?1",
            [hash],
            |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    PrivateKey::from_seed(&row.get(1)?),
                ))
            },
        )?;
        let Some((name, key)) = row else {
            return Ok(None);
        };
        let name = name.parse().map_err(|_| Error::Corrupt("username"))?;
        Ok(Some(StoredUsername { name, key }))
    }

    pub(crate) fn own_username(&self, hash: [u8; 32]) -> Result<StoredUsername, Error> {
        self.username(hash)?.ok_or(Error::Unknown("username"))
    }
}

/// The hash by which servers know a username: 4 MiB and some milliseconds.
fn hash_of(username: &Username) -> Result<UsernameHash, Error> {
    protocol::auth::username_hash(username).map_err(|_| Error::Crypto)
}
