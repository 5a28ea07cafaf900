//! Opening a connection group: create_group, and post_entry of an invitation for the contact.
//! Spec: auth.md#connection-groups.
//!
//! ```text
//! is there one? --no--> create_group --> is there one?
//!       | with nobody but us in it --> invitation made, stored --> posted, done
//!       | with both of us in it: done
//! ```
//!
//! While the contact's own invitation is followed, it waits for what comes of that.

use protocol::codec::{Opaque, encode};
use protocol::contact::ConnectionInvitation;
use protocol::crypto::sealed::SymmetricKey;
use protocol::delivery::{CreateGroup, CreateGroupReply};
use protocol::entry::{Payload, SealedInvitation};
use protocol::error::{ErrorCode, ErrorReply};
use protocol::group_policy::GroupKind;
use protocol::id::{Epoch, GroupId, LinkId, ReplyId, Seq};
use protocol::queue::{PostEntry, PostEntryReply};
use protocol::time::Timestamp;
use zeroize::Zeroizing;

use crate::agenda::StoredJob;
use crate::delivery::create_group::check_name;
use crate::drive::{Next, success};
use crate::error::Error;
use crate::group::Standing;
use crate::group::connection::Company;
use crate::home::Core;
use crate::job::{JobId, Outcome, Step};
use crate::outgoing::{Isolation, Outgoing};
use crate::read::ContactId;
use crate::state::{JobState, OpeningState};
use crate::tx::{Tx, stored};

impl Core {
    /// Open the group that is for a contact and us alone. If there is one that the contact has not
    /// entered yet, the invitation is sent again; if both of us are in one, nothing is to be done.
    /// One with a stranger in it does not count.
    ///
    /// # Errors
    /// `NotRegistered`, `Unknown` contact, or the home's fault.
    pub fn open_connection_group(
        &mut self,
        contact: ContactId,
        now: Timestamp,
    ) -> Result<JobId, Error> {
        self.transact(now, |tx| {
            tx.registered()?;
            tx.contact(contact.0)?;
            let (contact, state) = (contact.0, OpeningState::Look);
            tx.ensure_job(&JobState::OpenConnectionGroup { contact, state })
        })
    }
}

impl Tx<'_> {
    pub(crate) fn next_open_connection_group(
        &self,
        contact: i64,
        state: &OpeningState,
    ) -> Result<Next, Error> {
        match state {
            OpeningState::Look => self.look_for_connection_group(contact),
            OpeningState::Create(body) => {
                let body: CreateGroup = stored(body, "create_group")?;
                let group = self.find_stored_group(&body.group)?;
                Ok(Self::send_as_leaf(
                    group.ok_or(Error::Corrupt("group"))?,
                    body,
                ))
            }
            OpeningState::Invite { body, .. } => {
                let body: PostEntry = stored(body, "invitation")?;
                let domain = self.contact(contact)?.ticket.domain;
                let outgoing = Outgoing::unsigned(&body, domain, Isolation::Anonymous);
                Ok(Next::Step(Step::Send(outgoing)))
            }
        }
    }

    fn look_for_connection_group(&self, contact: i64) -> Result<Next, Error> {
        if let Some(accepting) = self.accepting(&self.contact(contact)?)? {
            // Whoever is not told yet that we are contacts does not know us by the invitation.
            return Ok(Next::Step(Step::Wait(accepting)));
        }
        if let Some(entering) = self.entering(contact)? {
            return Ok(Next::Step(Step::Wait(entering)));
        }
        if let Some(group) = self.connection_group_in(contact, Company::Contact)? {
            return Ok(Next::Done(Outcome::GroupCreated { group }));
        }
        if let Some(group) = self.connection_group_in(contact, Company::Nobody)? {
            return self.invite_to(contact, &group);
        }
        match self.wait_for_tickets(1)? {
            Some(wait) => Ok(wait),
            None => self.request_group_id(),
        }
    }

    pub(crate) fn answered_open_connection_group(
        &self,
        job: &StoredJob,
        contact: i64,
        state: &OpeningState,
        payload: &[u8],
    ) -> Result<Next, Error> {
        match state {
            // The contact's invitation has come meanwhile.
            OpeningState::Look if self.entering(contact)?.is_some() => Ok(look(contact)),
            OpeningState::Look => {
                let reply = Self::requested_group_id(payload)?;
                let plan = (self.name_for(contact)?, GroupKind::Connection);
                let next = self.begin_group(job, &plan, &reply, |body| {
                    let state = body.map_or(OpeningState::Look, OpeningState::Create);
                    JobState::OpenConnectionGroup { contact, state }
                })?;
                if self.find_stored_group(&reply.group)?.is_some() {
                    self.save_connection_group(&reply.group, contact)?;
                }
                Ok(next)
            }
            OpeningState::Create(body) => {
                let CreateGroupReply {} = success(payload)?;
                let body: CreateGroup = stored(body, "create_group")?;
                self.execute(
                    "UPDATE groups SET state = ?2 WHERE id = ?1",
                    (body.group.0, Standing::Active.number()),
                )?;
                Ok(look(contact))
            }
            OpeningState::Invite { group, .. } => {
                let PostEntryReply {} = success(payload)?;
                if self.entering(contact)?.is_some() {
                    return Ok(look(contact));
                }
                let group = GroupId(*group);
                Ok(Next::Done(Outcome::GroupCreated { group }))
            }
        }
    }

    /// An id that was taken in the meantime is replaced; any other refusal is final.
    pub(crate) fn refused_open_connection_group(
        &self,
        contact: i64,
        state: &OpeningState,
        reply: ErrorReply,
    ) -> Result<Next, Error> {
        if let (ErrorCode::Exists, OpeningState::Create(body)) = (reply.code, state) {
            self.forget_created_group(body)?;
            return Ok(look(contact));
        }
        Ok(Next::Over(Error::Refused(reply)))
    }

    /// Seal what the contact needs to enter. The key of an epoch will do until the data key changes.
    fn invite_to(&self, contact: i64, group: &GroupId) -> Result<Next, Error> {
        let pair = self.row(
            "SELECT reply_id, key FROM pairs WHERE contact = ?1 ORDER BY id DESC LIMIT 1",
            [contact],
            |row| Ok((ReplyId(row.get(0)?), SymmetricKey(row.get(1)?))),
        )?;
        let Some((reply_id, key)) = pair else {
            return Ok(Next::Over(Error::Unknown("secret shared with the contact")));
        };
        let epoch = Epoch(self.mls_group(group)?.epoch().as_u64());
        let invitation = ConnectionInvitation {
            group: *group,
            state_key: self.state_key(group, epoch)?,
            identity_key: self.active_group(group)?.identity_key,
        };
        let invitation = Zeroizing::new(encode(&invitation));
        let sealed = key.seal(self.random()?, &reply_id.0, &invitation);
        let sealed = Opaque::new(sealed).map_err(|_| Error::TooLong)?;
        let payload = Payload::ConnectionInvitation(SealedInvitation { reply_id, sealed });
        let body = encode(&PostEntry {
            ticket: self.contact(contact)?.ticket.ticket,
            link: LinkId(self.random()?),
            seq: Seq(0),
            payload: Opaque::new(encode(&payload)).map_err(|_| Error::TooLong)?,
        });
        let (group, body) = (group.0, body.into());
        let state = OpeningState::Invite { group, body };
        Ok(Next::Goto(JobState::OpenConnectionGroup { contact, state }))
    }

    /// What a group with a contact is called: as the contact is.
    pub(crate) fn name_for(&self, contact: i64) -> Result<String, Error> {
        let row = self.row(
            "SELECT username, display_name FROM contacts WHERE id = ?1",
            [contact],
            |row| Ok((row.get::<_, Option<String>>(0)?, row.get::<_, String>(1)?)),
        )?;
        let (username, display_name) = row.ok_or(Error::Unknown("contact"))?;
        let name = username.unwrap_or(display_name);
        Ok(match check_name(&name) {
            Ok(()) => name,
            // Nothing that can be shown.
            Err(_) => "contact".to_owned(),
        })
    }
}

fn look(contact: i64) -> Next {
    let state = OpeningState::Look;
    Next::Goto(JobState::OpenConnectionGroup { contact, state })
}
