//! How accounts and usernames are laid out. Nothing else knows.
//!
//! | space | table | key | value | lifetime |
//! |---|---|---|---|---|
//! | accounts | `accounts` | | the client's credential | the account's |
//! | usernames | `names` | | owner's key, expiry, which packages are left | until released or taken over |
//! | usernames | `packages` | number | a connection package | until handed out or replaced |
//! | usernames | `last_resorts` | | the package of last resort | until replaced |
//! | usernames | `waiting` | | which requests wait | the name's |
//! | usernames | `requests` | place | a sealed connection request | until acknowledged |

use protocol::auth::{ConnectionPackage, SealedConnectionRequest};
use protocol::codec::{decode_exact, encode};
use protocol::crypto::credential::ClientCredential;
use protocol::crypto::signature::PublicKey;
use protocol::id::Seq;
use protocol::time::Timestamp;
use store::{CorruptRecord, Record, Space, StoreError, Table, Tx};
use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

pub(crate) const ACCOUNT_SPACE: Space = Space::new(1, "accounts");
pub(crate) const USERNAME_SPACE: Space = Space::new(2, "usernames");

pub(crate) const ACCOUNTS: Table<(), Account> = Table::new(ACCOUNT_SPACE, 1, "auth/accounts");

pub(crate) const NAMES: Table<(), Name> = Table::new(USERNAME_SPACE, 1, "auth/names");
pub(crate) const PACKAGES: Table<u32, Package> = Table::new(USERNAME_SPACE, 2, "auth/packages");
pub(crate) const LAST_RESORTS: Table<(), Package> =
    Table::new(USERNAME_SPACE, 3, "auth/last_resorts");
pub(crate) const WAITING: Table<(), Waiting> = Table::new(USERNAME_SPACE, 4, "auth/waiting");
pub(crate) const REQUESTS: Table<Seq, Request> = Table::new(USERNAME_SPACE, 5, "auth/requests");

/// The version of every record's encoding.
const FORMAT: u8 = 1;

/// A user with its one client.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct Account {
    pub(crate) credential: ClientCredential,
}

/// A username that a key has claimed.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct Name {
    pub(crate) public_key: PublicKey,
    /// The last second in which it is the key's.
    pub(crate) expires: Timestamp,
    /// The hash of the last publication, by which it is recognised when it comes again.
    pub(crate) publication: [u8; 32],
    /// The packages that are left: from here,
    pub(crate) packages_first: u32,
    /// to just before here.
    pub(crate) packages_end: u32,
}

/// A validated connection package.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct Package(pub(crate) ConnectionPackage);

/// Which connection requests wait for the owner.
#[derive(Clone, Debug, Default, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct Waiting {
    /// The place of the first.
    pub(crate) first: Seq,
    /// What each is recognised by when it comes again, without gaps.
    pub(crate) digests: Vec<Digest>,
}

/// Half a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct Digest(pub(crate) [u8; 16]);

/// A connection request.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct Request(pub(crate) SealedConnectionRequest);

impl Name {
    /// Whether it is free for another key.
    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        self.expires < now
    }

    /// How many packages are left besides the last resort; expired ones count until somebody asks.
    pub(crate) const fn packages_left(&self) -> u32 {
        self.packages_end.saturating_sub(self.packages_first)
    }
}

/// Delete a username with all that belongs to it.
pub(crate) fn clear_name(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    tx.delete(&NAMES, &())?;
    tx.delete_range(&PACKAGES, &0, &u32::MAX)?;
    tx.delete(&LAST_RESORTS, &())?;
    tx.delete(&WAITING, &())?;
    tx.delete_range(&REQUESTS, &Seq(0), &Seq(u64::MAX))
}

macro_rules! records {
    ($($record:ident),*) => {$(
        impl Record for $record {
            fn encode(&self) -> Vec<u8> {
                [[FORMAT].as_slice(), &encode(self)].concat()
            }

            fn decode(bytes: &[u8]) -> Result<Self, CorruptRecord> {
                match bytes.split_first() {
                    Some((&FORMAT, record)) => decode_exact(record).map_err(|_| CorruptRecord),
                    Some(_) | None => Err(CorruptRecord),
                }
            }
        }
    )*};
}

records!(Account, Name, Package, Waiting, Request);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn survives<R: Record + PartialEq + std::fmt::Debug>(record: &R) {
        let bytes = record.encode();
        assert_eq!(R::decode(&bytes).as_ref(), Ok(record));
        assert!(R::decode(&[&bytes, [0].as_slice()].concat()).is_err());
        assert!(R::decode(&[&[9], bytes.get(1..).unwrap()].concat()).is_err());
    }

    proptest! {
        #[test]
        fn records_survive_encoding(key: [u8; 32], number: u64, small: [u32; 2], count in 0..256_usize) {
            survives(&Name {
                public_key: PublicKey(key),
                expires: Timestamp(number),
                publication: key,
                packages_first: small[0],
                packages_end: small[1],
            });
            let mut digest = Digest([0; 16]);
            digest.0.copy_from_slice(&key[..16]);
            survives(&Waiting { first: Seq(number), digests: vec![digest; count] });
        }

        #[test]
        fn decoding_never_panics(mut bytes: Vec<u8>) {
            for format in [None, Some(FORMAT)] {
                if let (Some(format), Some(byte)) = (format, bytes.first_mut()) {
                    *byte = format;
                }
                drop(Account::decode(&bytes));
                drop(Name::decode(&bytes));
                drop(Package::decode(&bytes));
                drop(Waiting::decode(&bytes));
                drop(Request::decode(&bytes));
            }
        }
    }
}
