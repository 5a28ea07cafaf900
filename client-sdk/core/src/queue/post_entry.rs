//! post_entry - spec/queue.md#post_entry

use protocol::codec::{Opaque, encode};
use protocol::contact::{ConnectionAcceptance, ConnectionRequest, QualifiedTicket};
use protocol::entry::{Payload, SealedAcceptance};
use protocol::id::{LinkId, ReplyId, Seq};
use protocol::queue::{PostEntry, PostEntryReply};
use protocol::time::Timestamp;

use crate::contact::StoredContact;
use crate::drive::{Next, success};
use crate::error::Error;
use crate::home::Core;
use crate::job::{JobId, JobKind, Outcome, Step};
use crate::outgoing::{Isolation, Outgoing};
use crate::read::{ContactId, RequestId};
use crate::state::{Encoded, JobState};
use crate::tx::{Tx, stored};

impl Core {
    /// Become a contact of who asked.
    ///
    /// # Errors
    /// `Unknown` if there is no such open request, or the home's fault.
    pub fn accept_connection(
        &mut self,
        request: RequestId,
        now: Timestamp,
    ) -> Result<JobId, Error> {
        self.transact(now, |tx| {
            tx.open_incoming(request.0)?;
            tx.ensure_job(&JobState::AcceptConnection {
                request: request.0,
                body: None,
            })
        })
    }

    /// Forget a request. The requester is not told.
    ///
    /// # Errors
    /// `Unknown` if there is no such open request, or the home's fault.
    pub fn reject_connection(&mut self, request: RequestId) -> Result<(), Error> {
        self.transact(Timestamp(0), |tx| {
            tx.open_incoming(request.0)?;
            tx.close_incoming(request.0)
        })
    }
}

impl Tx<'_> {
    /// The acceptance is made and the contact stored in one go; then it is posted until it is there.
    pub(crate) fn next_accept_connection(
        &self,
        request: i64,
        body: Option<&Encoded>,
    ) -> Result<Next, Error> {
        let asked = self.open_incoming(request)?;
        let target = asked.contact.ticket.clone();
        let Some(body) = body else {
            if let Some(wait) = self.wait_for_tickets(1)? {
                return Ok(wait);
            }
            self.save_contact(&asked.contact, None)?;
            let body = Some(encode(&self.acceptance(&asked, &target)?).into());
            return Ok(Next::Goto(JobState::AcceptConnection { request, body }));
        };
        let body: PostEntry = stored(body, "acceptance")?;
        let outgoing = Outgoing::unsigned(&body, target.domain, Isolation::Anonymous);
        Ok(Next::Step(Step::Send(outgoing)))
    }

    pub(crate) fn answered_accept_connection(
        &self,
        request: i64,
        payload: &[u8],
    ) -> Result<Next, Error> {
        let PostEntryReply {} = success(payload)?;
        let asked = self.open_incoming(request)?;
        let contact = self.accepted(&asked)?;
        self.close_incoming(request)?;
        Ok(Next::Done(Outcome::ConnectionAccepted {
            contact: ContactId(contact),
        }))
    }

    /// The requester knows that we are contacts: what the request holds is our common secret.
    fn accepted(&self, asked: &ConnectionRequest) -> Result<i64, Error> {
        let contact = self.save_contact(&asked.contact, None)?;
        self.save_pair(contact, asked.reply_id, &asked.reply_key)?;
        Ok(contact)
    }

    /// Something came under the secret of a request that we are about to accept: the acceptance is
    /// there, though we have not heard so yet. [SDK-CONNECT-3]
    pub(crate) fn settle_acceptance(&self, reply_id: ReplyId) -> Result<(), Error> {
        let request = self.row(
            "SELECT id FROM incoming_requests WHERE reply_id = ?1 AND verified = 1 AND closed = 0",
            [reply_id.0],
            |row| row.get::<_, i64>(0),
        )?;
        let Some(request) = request else {
            return Ok(());
        };
        if self.find_acceptance(request)?.is_some() {
            self.accepted(&self.open_incoming(request)?)?;
        }
        Ok(())
    }

    /// The job that accepts a request of this contact, if one is under way.
    pub(crate) fn accepting(&self, contact: &StoredContact) -> Result<Option<JobId>, Error> {
        let open = "SELECT id FROM incoming_requests WHERE verified = 1 AND closed = 0 ORDER BY id";
        for request in self.rows(open, [], |row| row.get(0))? {
            let asked = self.open_incoming(request)?;
            let tbs = &asked.contact.credential.request.tbs;
            if tbs.user == contact.user
                && tbs.client == contact.client
                && let Some(job) = self.find_acceptance(request)?
            {
                return Ok(Some(job));
            }
        }
        Ok(None)
    }

    fn find_acceptance(&self, request: i64) -> Result<Option<JobId>, Error> {
        self.find_job(JobKind::AcceptConnection, &request.to_be_bytes())
    }

    fn acceptance(
        &self,
        asked: &ConnectionRequest,
        target: &QualifiedTicket,
    ) -> Result<PostEntry, Error> {
        let account = self.registered()?;
        let (_, ticket) = self.pop_ticket()?;
        let contact = self.own_contact(&account, ticket)?;
        let acceptance = ConnectionAcceptance::new(contact, asked.reply_id, &account.key);
        let (nonce, reply_id) = (self.random()?, asked.reply_id);
        let sealed = asked
            .reply_key
            .seal(nonce, &reply_id.0, &encode(&acceptance));
        let sealed = Opaque::new(sealed).map_err(|_| Error::TooLong)?;
        let payload = Payload::ConnectionAcceptance(SealedAcceptance { reply_id, sealed });
        Ok(PostEntry {
            ticket: target.ticket,
            link: LinkId(self.random()?),
            seq: Seq(0),
            payload: Opaque::new(encode(&payload)).map_err(|_| Error::TooLong)?,
        })
    }

    /// A verified request that was neither accepted nor rejected.
    fn open_incoming(&self, id: i64) -> Result<ConnectionRequest, Error> {
        let request = self.row(
            "SELECT request FROM incoming_requests WHERE id = ?1 AND verified = 1 AND closed = 0",
            [id],
            |row| row.get::<_, Vec<u8>>(0),
        )?;
        let request = request.ok_or(Error::Unknown("connection request"))?;
        stored(&request, "connection request")
    }

    /// The row stays, so that the same request is not taken for a fresh one; its content goes.
    fn close_incoming(&self, id: i64) -> Result<(), Error> {
        self.execute(
            "UPDATE incoming_requests SET closed = 1, request = x'' WHERE id = ?1",
            [id],
        )?;
        Ok(())
    }
}
