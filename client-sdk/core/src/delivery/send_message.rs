//! send_message - spec/delivery.md#send_message
//!
//! ```text
//! (text stored) --encrypt, store--> sent --accepted--> done
//!      ^                             |  WrongEpoch: the group has moved on
//!      +------- caught up -----------+
//! ```

use openmls::prelude::MlsGroup;
use protocol::codec::{Opaque, encode};
use protocol::delivery::{SendMessage, SendMessageReply};
use protocol::entry::GroupEventContent;
use protocol::error::ErrorReply;
use protocol::id::{Epoch, GroupId, LeafIndex};
use protocol::time::Timestamp;

use crate::agenda::StoredJob;
use crate::drive::{Next, success};
use crate::error::Error;
use crate::group::StoredGroup;
use crate::group::content::{Body, Content};
use crate::home::Core;
use crate::job::{JobId, Outcome};
use crate::read::MessageId;
use crate::state::{Behind, JobState, SentMessage};
use crate::tx::{Tx, storable, stored};

impl Core {
    /// Send a text to a group. Jobs of one group run in their order; start as many as you like.
    ///
    /// # Errors
    /// `Unknown` if we are not in the group, `Leaving` if we are about to be out, `Alone` in a
    /// connection group without the other, `Stranger` in one with somebody else, `TooLong` past
    /// [`crate::TEXT_BYTES_MAX`], or the home's fault.
    pub fn send(&mut self, group: &GroupId, body: &[u8], now: Timestamp) -> Result<JobId, Error> {
        let text = Opaque::new(body.to_vec()).map_err(|_| Error::TooLong)?;
        self.transact(now, |tx| {
            let stored = tx.active_group(group)?;
            tx.require_company(&stored)?;
            let job = tx.queue_message(group, &Body::Text(text))?;
            // Encrypted in the same transaction, if it is this message's turn: a disk that must be
            // sure takes longer than anything else here.
            tx.prepare(job)?;
            Ok(job)
        })
    }
}

impl Tx<'_> {
    /// Store what is to be sent, and the job that sends it.
    pub(crate) fn queue_message(&self, group: &GroupId, body: &Body) -> Result<JobId, Error> {
        let message = self.insert(
            "INSERT INTO messages (grp, kind, tag, body, sent_at, state) VALUES (?1, ?2, ?3, ?4, ?5, 0)",
            (group.0, body.kind(), self.random::<16>()?, body.bytes(), storable(self.now.0)),
        )?;
        self.add_job(
            &JobState::SendMessage {
                message,
                sent: None,
                behind: None,
            },
            Some(group),
        )
    }

    pub(crate) fn next_send_message(
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
            let body: SendMessage = stored(&sent.body, "message")?;
            return Ok(Self::send_as_leaf(group, body));
        }
        let mut mls = self.mls_group(&group.id)?;
        if let Some(wait) = self.catch_up(&group.id, mls.epoch().as_u64(), behind)? {
            return Ok(wait);
        }
        if let Some(first) = self.commit_first(&group.id, &mls)? {
            return Ok(first);
        }
        // The other may have gone, and somebody else come, since it was asked for.
        self.require_company(&group)?;
        let sent = Some(self.encrypt(&group, &mut mls, message)?);
        Ok(Next::Goto(JobState::SendMessage {
            message,
            sent,
            behind: None,
        }))
    }

    fn encrypt(
        &self,
        group: &StoredGroup,
        mls: &mut MlsGroup,
        message: i64,
    ) -> Result<SentMessage, Error> {
        let row = self.row(
            "SELECT kind, tag, body, sent_at FROM messages WHERE id = ?1",
            [message],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )?;
        let (kind, tag, body, sent_at) = row.ok_or(Error::Corrupt("message"))?;
        let body = Body::of(kind, body).ok_or(Error::Corrupt("message"))?;
        let message = self.encrypt_content(group, mls, Content::new(tag, sent_at, body))?;
        let epoch = Epoch(mls.epoch().as_u64());
        let body = SendMessage {
            group: group.id,
            sender: LeafIndex(mls.own_leaf_index().u32()),
            epoch,
            state_key: self.state_key(&group.id, epoch)?,
            message,
        };
        Ok(SentMessage {
            body: encode(&body).into(),
        })
    }

    pub(crate) fn answered_send_message(
        &self,
        job: &StoredJob,
        message: i64,
        sent: Option<&SentMessage>,
        payload: &[u8],
    ) -> Result<Next, Error> {
        let reply: SendMessageReply = success(payload)?;
        let (Some(group), Some(sent)) = (job.group, sent) else {
            return Err(Error::NotExpected);
        };
        let body: SendMessage = stored(&sent.body, "message")?;
        let content = GroupEventContent::Message(body.message);
        let number = self.receipt_of_ours(&group, &reply.receipt, &content)?;
        self.execute(
            "UPDATE messages SET number = ?2, state = 1 WHERE id = ?1",
            (message, number),
        )?;
        Ok(Next::Done(Outcome::MessageSent {
            group,
            number,
            message: MessageId(message),
        }))
    }

    /// Another epoch: encrypt the stored text again, under the one that the server is in.
    /// [SDK-SEND-1]
    pub(crate) fn refused_send_message(
        &self,
        message: i64,
        sent: Option<&SentMessage>,
        reply: ErrorReply,
    ) -> Result<Next, Error> {
        let Some(sent) = sent else {
            return Err(Error::NotExpected);
        };
        let body: SendMessage = stored(&sent.body, "message")?;
        Ok(
            self.again(body.epoch.0, reply, |behind| JobState::SendMessage {
                message,
                sent: None,
                behind,
            }),
        )
    }

    /// A message that was refused for good stays in the history as such.
    pub(crate) fn fail_message(&self, message: i64) -> Result<(), Error> {
        self.execute(
            "UPDATE messages SET state = 2 WHERE id = ?1 AND state = 0",
            [message],
        )?;
        Ok(())
    }
}
