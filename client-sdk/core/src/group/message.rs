//! What members say: to all, to us alone, and that the group ends.

use openmls::prelude::{ContentType, ProcessedMessageContent, WireFormat};
use protocol::group_policy::Role;
use protocol::id::{GroupId, Pseudonym};

use crate::error::Error;
use crate::event::{Event, Person, Problem};
use crate::group::content::{Body, Content};
use crate::group::event::{Reject, protocol_message};
use crate::hex;
use crate::tx::{Tx, storable};

/// An application message that MLS has accepted.
struct Said {
    pseudonym: Pseudonym,
    sender: Person,
    content: Content,
}

impl Tx<'_> {
    pub(crate) fn take_message(
        &self,
        group: &GroupId,
        number: u64,
        message: &[u8],
    ) -> Result<(), Reject> {
        let said = self.open_message(group, message, Some(number))?;
        let (body, content) = (said.content.body.bytes(), &said.content);
        match &content.body {
            Body::Text(_) => {
                let Some(message) = self.keep_message(group, Some(number), &said)? else {
                    return Ok(());
                };
                Ok(self.tell(&Event::MessageReceived {
                    group: hex::group_hex(group),
                    group_name: self.active_group(group)?.name,
                    sender: said.sender.clone(),
                    number,
                    message,
                    body: String::from_utf8_lossy(body).into_owned(),
                    sent_at: storable(content.sent_at),
                })?)
            }
            Body::GroupName(_) => {
                if self.keep_message(group, Some(number), &said)?.is_none() {
                    return Ok(());
                }
                let name = self.take_name(group, body)?;
                Ok(self.tell(&Event::GroupNamed {
                    group: hex::group_hex(group),
                    name,
                    by: said.sender,
                })?)
            }
            // Said to all what is for one, or what only the end of a group may say.
            Body::Direct(_) | Body::GroupDeleted => Err(Problem::MessageRefused.into()),
        }
    }

    /// A message for us alone: it must say so itself. [SDK-DIRECT-1]
    pub(crate) fn take_direct(&self, group: &GroupId, message: &[u8]) -> Result<(), Reject> {
        let said = self.open_message(group, message, None)?;
        let stored = self.active_group(group)?;
        let own = self.pseudonym(group, &stored.key())?;
        let Body::Direct(direct) = &said.content.body else {
            return Err(Problem::MessageRefused.into());
        };
        if own != Some(direct.to) {
            return Err(Problem::MessageRefused.into());
        }
        let Some(message) = self.keep_message(group, None, &said)? else {
            return Ok(());
        };
        Ok(self.tell(&Event::DirectReceived {
            group: stored.hex(),
            group_name: stored.name,
            sender: said.sender,
            message,
            body: String::from_utf8_lossy(direct.text.as_slice()).into_owned(),
            sent_at: storable(said.content.sent_at),
        })?)
    }

    /// The group ends, if an admin says so. [SDK-DELETE-1]
    pub(crate) fn take_deletion(&self, group: &GroupId, message: &[u8]) -> Result<(), Reject> {
        let said = self.open_message(group, message, None)?;
        let stored = self.active_group(group)?;
        let is_admin = stored.policy.role(&said.pseudonym) == Role::Admin;
        if !is_admin || said.content.body != Body::GroupDeleted {
            return Err(Problem::MessageRefused.into());
        }
        self.leave_group(group, &mut self.mls_group(group)?)?;
        Ok(self.tell(&Event::GroupDeleted {
            group: stored.hex(),
            group_name: stored.name,
            by: said.sender,
        })?)
    }

    /// What a message says; `number` is its number, if it takes one.
    fn open_message(
        &self,
        group: &GroupId,
        message: &[u8],
        number: Option<u64>,
    ) -> Result<Said, Reject> {
        let mut mls = self.mls_group(group)?;
        let message = protocol_message(message, WireFormat::PrivateMessage)
            .filter(|message| message.content_type() == ContentType::Application)
            .ok_or(Problem::MessageRefused)?;
        let processed = self.process(&mut mls, message, Problem::MessageRefused)?;
        let pseudonym = processed.credential().serialized_content().try_into();
        let pseudonym = Pseudonym(pseudonym.map_err(|_| Problem::MessageRefused)?);
        let ProcessedMessageContent::ApplicationMessage(content) = processed.into_content() else {
            return Err(Problem::MessageRefused.into());
        };
        let content = Content::decode(&content.into_bytes()).ok_or(Problem::MessageRefused)?;
        if let Some(receipt) = content.receipt() {
            self.receipt_of_member(group, &receipt)?;
        }
        let sender = self.member_by_pseudonym(group, &pseudonym.0)?;
        if let Some(number) = number {
            self.forget_past(group, &mut mls, number)?;
        }
        Ok(Said {
            pseudonym,
            sender,
            content,
        })
    }

    /// Store a message once, however often its sender sent it; gives its row if it is the first
    /// time. [SDK-SEND-2]
    fn keep_message(
        &self,
        group: &GroupId,
        number: Option<u64>,
        said: &Said,
    ) -> Result<Option<i64>, Error> {
        let sender = serde_json::to_string(&said.sender).map_err(|_| Error::Corrupt("person"))?;
        let body = &said.content.body;
        let fresh = self.execute(
            "INSERT OR IGNORE INTO messages (grp, kind, number, tag, sender, body, sent_at, state)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 3)",
            (
                group.0,
                body.kind(),
                number,
                said.content.tag,
                sender,
                body.bytes(),
                storable(said.content.sent_at),
            ),
        )?;
        if fresh == 1 {
            return Ok(Some(self.sql.last_insert_rowid()));
        }
        // Known from before a revert, which made its number void. [SDK-REVERT-2]
        self.execute(
            "UPDATE messages SET number = ?3
             WHERE grp = ?1 AND tag = ?2 AND number IS NULL AND state = 3",
            (group.0, said.content.tag, number),
        )?;
        Ok(None)
    }

    /// A name that somebody told: without what could disturb a terminal.
    fn take_name(&self, group: &GroupId, told: &[u8]) -> Result<String, Reject> {
        let told = str::from_utf8(told).map_err(|_| Problem::MessageRefused)?;
        let name: String = told.chars().filter(|char| !char.is_control()).collect();
        let name = name.trim();
        if name.is_empty() {
            return Err(Problem::MessageRefused.into());
        }
        let name = self.free_name(name, group)?;
        self.execute(
            "UPDATE groups SET name = ?2 WHERE id = ?1",
            (group.0, &name),
        )?;
        Ok(name)
    }
}
