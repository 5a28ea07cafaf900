//! send_connection_request - spec/auth.md#send_connection_request

use protocol::auth::{
    ConnectionPackageTbs, SealedConnectionRequest, SendConnectionRequest,
    SendConnectionRequestReply,
};
use protocol::codec::encode;
use protocol::contact::ConnectionRequest;
use protocol::crypto::label;
use protocol::crypto::sealed::SymmetricKey;
use protocol::id::{ConnectionPackageId, ReplyId, Username, UsernameHash};
use protocol::time::Timestamp;
use zeroize::Zeroizing;

use crate::auth::hash_of;
use crate::drive::{Next, success};
use crate::error::Error;
use crate::home::Core;
use crate::job::{JobId, Outcome, Step};
use crate::outgoing::{Isolation, Outgoing};
use crate::state::{Encoded, JobState};
use crate::tx::{Tx, stored};

/// Every request has this length before it is sealed.
const REQUEST_BYTES: usize = 2_048;

impl Core {
    /// Ask the holder of a username to become a contact.
    ///
    /// # Errors
    /// `NotRegistered`, `Unknown` if the username is our own, or the home's fault.
    pub fn connect(&mut self, username: &Username, now: Timestamp) -> Result<JobId, Error> {
        let hash = hash_of(username)?.0;
        self.transact(now, |tx| {
            tx.registered()?;
            if tx.username(hash)?.is_some() {
                return Err(Error::Unknown("person behind the username but us"));
            }
            tx.ensure_job(&JobState::Connect {
                username: username.to_string(),
                hash,
                body: None,
            })
        })
    }
}

impl Tx<'_> {
    pub(crate) fn next_connect(
        &self,
        username: &str,
        hash: [u8; 32],
        body: Option<&Encoded>,
    ) -> Result<Next, Error> {
        let username: Username = username.parse().map_err(|_| Error::Corrupt("username"))?;
        let domain = username.domain().clone();
        let outgoing = match body {
            None => {
                if let Some(wait) = self.wait_for_tickets(1)? {
                    return Ok(wait);
                }
                let body = Self::take_connection_package(hash);
                Outgoing::unsigned(&body, domain, Isolation::Anonymous)
            }
            Some(body) => {
                let body: SendConnectionRequest = stored(body, "connection request")?;
                Outgoing::unsigned(&body, domain, Isolation::Anonymous)
            }
        };
        Ok(Next::Step(Step::Send(outgoing)))
    }

    pub(crate) fn answered_connect(
        &self,
        username: &str,
        hash: [u8; 32],
        body: Option<&Encoded>,
        payload: &[u8],
    ) -> Result<Next, Error> {
        if body.is_some() {
            let SendConnectionRequestReply {} = success(payload)?;
            self.execute(
                "UPDATE outgoing_requests SET sent = 1 WHERE username = ?1",
                [username],
            )?;
            return Ok(Next::Done(Outcome::ConnectionRequested));
        }
        let Some(package) = self.taken_connection_package(hash, payload)? else {
            return Ok(Next::Over(Error::BadPackage));
        };
        let body = match self.free_tickets()? {
            // Another job was quicker: wait for more, and take another package.
            0 => None,
            _ => Some(encode(&self.connection_request(username, hash, &package)?).into()),
        };
        Ok(Next::Goto(JobState::Connect {
            username: username.to_owned(),
            hash,
            body,
        }))
    }

    /// Seal who we are and how to answer, in one length for all.
    fn connection_request(
        &self,
        username: &str,
        hash: [u8; 32],
        package: &ConnectionPackageTbs,
    ) -> Result<SendConnectionRequest, Error> {
        let account = self.registered()?;
        let (_, ticket) = self.pop_ticket()?;
        let contact = self.own_contact(&account, ticket)?;
        let (reply_id, reply_key) = (self.random::<16>()?, SymmetricKey(self.random()?));
        self.execute(
            "INSERT INTO outgoing_requests (reply_id, username, reply_key) VALUES (?1, ?2, ?3)",
            (reply_id, username, reply_key.0),
        )?;
        let target = UsernameHash(hash);
        let addressee = (&target, package.id);
        let reply = (ReplyId(reply_id), reply_key);
        let request = ConnectionRequest::new(contact, reply, addressee, &account.key);
        let mut content = Zeroizing::new(encode(&request));
        if content.len() > REQUEST_BYTES {
            return Err(Error::TooLong);
        }
        content.resize(REQUEST_BYTES, 0);
        let aad = request_aad(hash, package.id);
        let sealed = package
            .seal_key
            .seal(label::CONNECTION_REQUEST, &aad, &content);
        let sealed = sealed.map_err(|_| Error::BadPackage)?;
        let request = SealedConnectionRequest {
            package: package.id,
            sealed,
        };
        Ok(SendConnectionRequest {
            username: target,
            request,
        })
    }

    /// A request that was refused is not open.
    pub(crate) fn forget_connection_request(&self, username: &str) -> Result<(), Error> {
        self.execute(
            "DELETE FROM outgoing_requests WHERE username = ?1 AND sent = 0",
            [username],
        )?;
        Ok(())
    }
}

/// What a sealed request is bound to.
pub(super) fn request_aad(hash: [u8; 32], package: ConnectionPackageId) -> Vec<u8> {
    [hash.as_slice(), &package.0].concat()
}
