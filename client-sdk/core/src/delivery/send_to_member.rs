//! send_to_member - spec/delivery.md#send_to_member
//!
//! As `send_message`, for one member. Encrypted to the group as MLS has it: what keeps it from the
//! others is that the delivery service gives it to nobody else.

use openmls::prelude::MlsGroup;
use protocol::codec::{Opaque, encode};
use protocol::crypto::signature::PublicKey;
use protocol::delivery::{SendToMember, SendToMemberReply};
use protocol::error::{ErrorReply, Rule};
use protocol::id::{Epoch, GroupId, LeafIndex};
use protocol::time::Timestamp;

use crate::agenda::StoredJob;
use crate::delivery::breaks;
use crate::drive::{Next, success};
use crate::error::Error;
use crate::group::StoredGroup;
use crate::group::content::{Body, Content, DIRECT, Direct, TEXT_BYTES_MAX};
use crate::home::Core;
use crate::job::{JobId, Outcome};
use crate::read::MessageId;
use crate::state::{Behind, JobState, SentMessage};
use crate::tx::{Tx, storable, stored};

impl Core {
    /// Send a text to one other member of a group.
    ///
    /// # Errors
    /// `Unknown` group or member, `Stranger` in a connection group with somebody else than the
    /// contact, `TooLong` past [`crate::TEXT_BYTES_MAX`], or the home's fault.
    pub fn send_to_member(
        &mut self,
        group: &GroupId,
        member: LeafIndex,
        body: &[u8],
        now: Timestamp,
    ) -> Result<JobId, Error> {
        if body.len() > TEXT_BYTES_MAX {
            return Err(Error::TooLong);
        }
        self.transact(now, |tx| {
            let stored = tx.active_group(group)?;
            let key = tx.member_key(group, member)?;
            let key = key.filter(|key| *key != stored.key());
            let key = key.ok_or(Error::Unknown("member"))?;
            tx.require_company(&stored)?;
            let message = tx.insert(
                "INSERT INTO messages (grp, kind, tag, body, sent_at, state, recipient)
                 VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6)",
                (
                    group.0,
                    DIRECT,
                    tx.random::<16>()?,
                    body,
                    storable(tx.now.0),
                    key.0,
                ),
            )?;
            let (sent, behind) = (None, None);
            let state = JobState::SendToMember {
                message,
                sent,
                behind,
            };
            tx.add_job(&state, Some(group))
        })
    }
}

impl Tx<'_> {
    pub(crate) fn next_send_to_member(
        &self,
        job: &StoredJob,
        message: i64,
        sent: Option<&SentMessage>,
        behind: Option<Behind>,
    ) -> Result<Next, Error> {
        let group = match self.turn(job)? {
            Ok(group) => group,
            Err(next) => return Ok(next),
        };
        if let Some(sent) = sent {
            let body: SendToMember = stored(&sent.body, "message")?;
            return Ok(Self::send_as_leaf(group, body));
        }
        let mut mls = self.mls_group(&group.id)?;
        if let Some(wait) = self.catch_up(&group.id, mls.epoch().as_u64(), behind)? {
            return Ok(wait);
        }
        if let Some(first) = self.commit_first(&group.id, &mls)? {
            return Ok(first);
        }
        self.require_company(&group)?;
        let Some(sent) = self.encrypt_for_member(&group, &mut mls, message)? else {
            return Ok(Next::Over(Error::Unknown("member")));
        };
        Ok(Next::Goto(JobState::SendToMember {
            message,
            sent: Some(sent),
            behind: None,
        }))
    }

    /// The request; none if the member has gone.
    fn encrypt_for_member(
        &self,
        group: &StoredGroup,
        mls: &mut MlsGroup,
        message: i64,
    ) -> Result<Option<SentMessage>, Error> {
        let row = self.row(
            "SELECT tag, body, sent_at, recipient FROM messages WHERE id = ?1",
            [message],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )?;
        let (tag, text, sent_at, key) = row.ok_or(Error::Corrupt("message"))?;
        let key = PublicKey(key);
        let leaf = self.row(
            "SELECT leaf FROM members WHERE grp = ?1 AND signature_key = ?2 AND gone = 0",
            (group.id.0, key.0),
            |row| row.get(0).map(LeafIndex),
        )?;
        let (Some(recipient), Some(to)) = (leaf, self.pseudonym(&group.id, &key)?) else {
            return Ok(None);
        };
        let text = Opaque::new(text).map_err(|_| Error::Corrupt("message"))?;
        let body = Body::Direct(Direct { to, text });
        let message = self.encrypt_content(group, mls, Content::new(tag, sent_at, body))?;
        let epoch = Epoch(mls.epoch().as_u64());
        let body = SendToMember {
            group: group.id,
            sender: LeafIndex(mls.own_leaf_index().u32()),
            epoch,
            state_key: self.state_key(&group.id, epoch)?,
            recipient,
            message,
        };
        let body = encode(&body).into();
        Ok(Some(SentMessage { body }))
    }

    pub(crate) fn answered_send_to_member(
        &self,
        job: &StoredJob,
        message: i64,
        sent: Option<&SentMessage>,
        payload: &[u8],
    ) -> Result<Next, Error> {
        let reply: SendToMemberReply = success(payload)?;
        let (Some(group), Some(_)) = (job.group, sent) else {
            return Err(Error::NotExpected);
        };
        self.receipt_beside(&group, &reply.receipt)?;
        self.note_direct(&group, reply.receipt.number.0, message)?;
        self.execute("UPDATE messages SET state = 1 WHERE id = ?1", [message])?;
        let message = MessageId(message);
        Ok(Next::Done(Outcome::SentToMember { group, message }))
    }

    pub(crate) fn refused_send_to_member(
        &self,
        message: i64,
        sent: Option<&SentMessage>,
        reply: ErrorReply,
    ) -> Result<Next, Error> {
        let Some(sent) = sent else {
            return Err(Error::NotExpected);
        };
        if breaks(reply, Rule::Recipient) {
            return Ok(Next::Over(Error::Unknown("member")));
        }
        let body: SendToMember = stored(&sent.body, "message")?;
        Ok(
            self.again(body.epoch.0, reply, |behind| JobState::SendToMember {
                message,
                sent: None,
                behind,
            }),
        )
    }
}
