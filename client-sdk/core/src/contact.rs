//! Contacts: who they are, how to reach them, and how they came to be.

use protocol::codec::{decode_exact, encode};
use protocol::contact::{
    ConnectionAcceptance, Contact, FriendshipToken, QualifiedTicket, invitation_key,
};
use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::signature::PublicKey;
use protocol::entry::SealedAcceptance;
use protocol::id::{ClientId, Domain, ReplyId, UserAddress, UserId};

use crate::account::domain_of;
use crate::error::Error;
use crate::event::{Event, Person, Problem};
use crate::group::event::Reject;
use crate::hex;
use crate::state::JobState;
use crate::tx::{Tx, stored};

/// Secrets kept of each contact.
const PAIRS_MAX: u64 = 2;

/// A contact as stored, verified when it became one.
pub(crate) struct StoredContact {
    pub(crate) id: i64,
    pub(crate) user: UserAddress,
    pub(crate) client: ClientId,
    pub(crate) client_key: PublicKey,
    pub(crate) friendship_token: FriendshipToken,
    pub(crate) friendship_key: SymmetricKey,
    pub(crate) ticket: QualifiedTicket,
}

impl Tx<'_> {
    pub(crate) fn contact(&self, id: i64) -> Result<StoredContact, Error> {
        let row = self.row(
            "SELECT domain, user, client, client_key, friendship_token, friendship_key, ticket
             FROM contacts WHERE id = ?1",
            [id],
            |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    UserId(row.get(1)?),
                    ClientId(row.get(2)?),
                    PublicKey(row.get(3)?),
                    FriendshipToken(row.get(4)?),
                    SymmetricKey(row.get(5)?),
                    row.get::<_, Vec<u8>>(6)?,
                ))
            },
        )?;
        let row = row.ok_or(Error::Unknown("contact"))?;
        let (domain, user, client, client_key, friendship_token, friendship_key, ticket) = row;
        Ok(StoredContact {
            id,
            user: UserAddress {
                id: user,
                domain: domain_of(&domain)?,
            },
            client,
            client_key,
            friendship_token,
            friendship_key,
            ticket: stored(&ticket, "ticket")?,
        })
    }

    /// Store or refresh a verified contact. A username once known stays.
    pub(crate) fn save_contact(
        &self,
        contact: &Contact,
        username: Option<&str>,
    ) -> Result<i64, Error> {
        let tbs = &contact.credential.request.tbs;
        let display_name = String::from_utf8_lossy(contact.display_name.as_slice());
        let id = self.row(
            "INSERT INTO contacts (domain, user, client, client_key, username, display_name,
                                   friendship_token, friendship_key, ticket)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (domain, user, client) DO UPDATE SET
                 client_key = ?4, username = coalesce(?5, username), display_name = ?6,
                 friendship_token = ?7, friendship_key = ?8, ticket = ?9
             RETURNING id",
            (
                tbs.user.domain.as_str(),
                tbs.user.id.0,
                tbs.client.0,
                tbs.public_key.0,
                username,
                display_name,
                contact.friendship_token.0,
                contact.friendship_key.0,
                encode(&contact.ticket),
            ),
            |row| row.get(0),
        )?;
        id.ok_or(Error::Corrupt("contact"))
    }

    /// Keep what only a contact and we know, for invitations: the newest is what we seal ours under.
    /// Of two requests that crossed the contact may have seen the other one last. [SDK-CONNECT-3]
    pub(crate) fn save_pair(
        &self,
        contact: i64,
        reply_id: ReplyId,
        reply_key: &SymmetricKey,
    ) -> Result<(), Error> {
        self.execute(
            "INSERT OR IGNORE INTO pairs (reply_id, contact, key) VALUES (?1, ?2, ?3)",
            (reply_id.0, contact, invitation_key(reply_key).0),
        )?;
        self.execute(
            "DELETE FROM pairs WHERE contact = ?1 AND id NOT IN
                 (SELECT id FROM pairs WHERE contact = ?1 ORDER BY id DESC LIMIT ?2)",
            (contact, PAIRS_MAX),
        )?;
        Ok(())
    }

    /// Who sent a request, as their verified credential says.
    pub(crate) fn requester(&self, contact: &Contact) -> Result<Person, Error> {
        let tbs = &contact.credential.request.tbs;
        let mut person = self.verified_person(&tbs.user, tbs.client)?;
        let display_name = String::from_utf8_lossy(contact.display_name.as_slice());
        person.display_name = (!display_name.is_empty()).then(|| display_name.into_owned());
        Ok(person)
    }

    /// Somebody whose identity was verified, with the names by which we know them.
    pub(crate) fn verified_person(
        &self,
        user: &UserAddress,
        client: ClientId,
    ) -> Result<Person, Error> {
        let names = self.row(
            "SELECT username, display_name FROM contacts
             WHERE domain = ?1 AND user = ?2 AND client = ?3",
            (user.domain.as_str(), user.id.0, client.0),
            |row| Ok((row.get::<_, Option<String>>(0)?, row.get::<_, String>(1)?)),
        )?;
        let (username, display_name) = names.unwrap_or_default();
        let own = self
            .account()?
            .filter(|own| own.user == *user && own.client == client);
        let own_name = own.as_ref().map(|own| own.display_name.clone());
        let display_name = own_name.unwrap_or(display_name);
        Ok(Person {
            address: Some(hex::address(user)),
            client: Some(hex::encode(&client.0)),
            username,
            display_name: (!display_name.is_empty()).then_some(display_name),
            verified: true,
            is_self: own.is_some(),
        })
    }

    /// An acceptance came: keep it with its request and verify it. [AUTH-CONNECTION-2]
    pub(crate) fn receive_acceptance(&self, sealed: &SealedAcceptance) -> Result<(), Reject> {
        let key = self.row(
            "SELECT reply_key FROM outgoing_requests WHERE reply_id = ?1",
            [sealed.reply_id.0],
            |row| Ok(SymmetricKey(row.get(0)?)),
        )?;
        // Answered already, or never asked.
        let Some(key) = key else {
            return Err(Problem::ConnectionRefused.into());
        };
        let content = key.open(&sealed.reply_id.0, sealed.sealed.as_slice());
        let content = content.map_err(|_| Problem::ConnectionRefused)?;
        let decoded = decode_exact::<ConnectionAcceptance>(&content);
        decoded.map_err(|_| Problem::ConnectionRefused)?;
        self.execute(
            "UPDATE outgoing_requests SET acceptance = ?2 WHERE reply_id = ?1",
            (sealed.reply_id.0, content),
        )?;
        Ok(self.verify_acceptance(sealed.reply_id)?)
    }

    /// Verify a stored acceptance; or wait until its domain's keys are there.
    pub(crate) fn verify_acceptance(&self, reply_id: ReplyId) -> Result<(), Error> {
        let row = self.row(
            "SELECT username, acceptance, reply_key FROM outgoing_requests
             WHERE reply_id = ?1 AND acceptance IS NOT NULL",
            [reply_id.0],
            |row| {
                let key = SymmetricKey(row.get(2)?);
                Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?, key))
            },
        )?;
        let Some((username, acceptance, reply_key)) = row else {
            return Ok(());
        };
        let acceptance: ConnectionAcceptance = stored(&acceptance, "acceptance")?;
        let tbs = &acceptance.contact.credential.request.tbs;
        let Some(issuer) = self.issuer(&tbs.user.domain, tbs.issuer)? else {
            let domain = tbs.user.domain.as_str().to_owned();
            return self.ensure_upkeep(&JobState::FetchServerKeys { domain });
        };
        if acceptance.verify(reply_id, &issuer, self.now).is_err() {
            self.execute(
                "UPDATE outgoing_requests SET acceptance = NULL WHERE reply_id = ?1",
                [reply_id.0],
            )?;
            let problem = Problem::ConnectionRefused;
            return self.tell(&Event::Problem {
                group: None,
                problem,
            });
        }
        self.execute(
            "DELETE FROM outgoing_requests WHERE reply_id = ?1",
            [reply_id.0],
        )?;
        let contact = self.save_contact(&acceptance.contact, Some(&username))?;
        self.save_pair(contact, reply_id, &reply_key)?;
        let from = self.requester(&acceptance.contact)?;
        self.tell(&Event::ConnectionAccepted { contact, from })
    }

    /// A domain's keys have come: look again at what waits for them.
    pub(crate) fn verify_waiting(&self, domain: &Domain) -> Result<(), Error> {
        let sql = "SELECT id FROM incoming_requests WHERE verified = 0";
        for id in self.rows(sql, [], |row| row.get(0))? {
            self.verify_request(id)?;
        }
        let sql = "SELECT reply_id FROM outgoing_requests WHERE acceptance IS NOT NULL";
        for id in self.rows(sql, [], |row| row.get(0))? {
            self.verify_acceptance(ReplyId(id))?;
        }
        self.verify_members(domain)
    }
}
