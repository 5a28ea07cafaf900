//! The client's own account as stored.

use protocol::codec::Opaque;
use protocol::contact::{Contact, FriendshipToken, QualifiedTicket, Ticket};
use protocol::crypto::credential::ClientCredential;
use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::signature::PrivateKey;
use protocol::id::{ClientId, Domain, UserAddress, UserId};

use crate::error::Error;
use crate::tx::{Tx, stored};

/// Who we are.
pub(crate) struct OwnAccount {
    pub(crate) user: UserAddress,
    pub(crate) client: ClientId,
    pub(crate) display_name: String,
    pub(crate) key: PrivateKey,
    pub(crate) credential: Option<ClientCredential>,
}

/// An account that the server has signed.
pub(crate) struct Registered {
    pub(crate) user: UserAddress,
    pub(crate) display_name: String,
    pub(crate) key: PrivateKey,
    pub(crate) credential: ClientCredential,
}

impl Tx<'_> {
    pub(crate) fn account(&self) -> Result<Option<OwnAccount>, Error> {
        let row = self.row(
            "SELECT domain, user, client, display_name, key, credential FROM account",
            [],
            |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    UserId(row.get(1)?),
                    ClientId(row.get(2)?),
                    row.get::<_, String>(3)?,
                    PrivateKey::from_seed(&row.get(4)?),
                    row.get::<_, Option<Vec<u8>>>(5)?,
                ))
            },
        )?;
        let Some((domain, id, client, display_name, key, credential)) = row else {
            return Ok(None);
        };
        let credential = credential
            .map(|bytes| stored(&bytes, "credential"))
            .transpose()?;
        let user = UserAddress {
            id,
            domain: domain_of(&domain)?,
        };
        Ok(Some(OwnAccount {
            user,
            client,
            display_name,
            key,
            credential,
        }))
    }

    pub(crate) fn registered(&self) -> Result<Registered, Error> {
        let account = self.account()?.ok_or(Error::NotRegistered)?;
        let credential = account.credential.ok_or(Error::NotRegistered)?;
        Ok(Registered {
            user: account.user,
            display_name: account.display_name,
            key: account.key,
            credential,
        })
    }

    /// What a contact needs to reach us, through a ticket that nobody else has.
    pub(crate) fn own_contact(
        &self,
        account: &Registered,
        ticket: Ticket,
    ) -> Result<Contact, Error> {
        let queue = self.queue()?.ok_or(Error::NotRegistered)?;
        let display_name = account.display_name.clone().into_bytes();
        Ok(Contact {
            credential: account.credential.clone(),
            display_name: Opaque::new(display_name).map_err(|_| Error::TooLong)?,
            friendship_token: FriendshipToken(queue.friendship_token.0),
            friendship_key: SymmetricKey(queue.friendship_key.0),
            ticket: QualifiedTicket {
                domain: account.user.domain.clone(),
                ticket,
            },
        })
    }
}

/// A domain that was stored.
pub(crate) fn domain_of(text: &str) -> Result<Domain, Error> {
    text.parse().map_err(|_| Error::Corrupt("domain"))
}
