//! send_message — spec/delivery.md#send_message

use std::collections::BTreeMap;

use protocol::contact::Ticket;
use protocol::crypto::signed::{Binding, Signed};
use protocol::delivery::{SendMessage, SendMessageReply};
use protocol::entry::GroupEventContent;
use protocol::id::{Domain, Epoch};
use protocol::time::Timestamp;
use store::Entropy;

use crate::Delivery;
use crate::error::Error;
use crate::group::Roster;
use crate::message::Message;
use crate::outbox::Outbox;

impl Delivery {
    /// Number a message and put it into the outbox for all other members. [DS-SEND-1]
    ///
    /// # Errors
    /// `Denied`, `WrongEpoch`; `Invalid` if the message is no application message of the group and
    /// its epoch; `Backlog` if too much of the group waits.
    pub fn send_message(
        &self,
        request: Signed<SendMessage>,
        binding: &Binding,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<(SendMessageReply, Outbox), Error> {
        let (receipt, outbox) = self.pass_on(request, binding, now, entropy)?;
        Ok((SendMessageReply { receipt }, outbox))
    }
}

impl Message for SendMessage {
    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn message(&self) -> &[u8] {
        self.message.as_slice()
    }

    fn content(&self) -> GroupEventContent {
        GroupEventContent::Message(self.message.clone())
    }

    fn tickets<'a>(&self, roster: &'a Roster) -> Result<BTreeMap<&'a Domain, Vec<Ticket>>, Error> {
        Ok(roster.tickets_without(self.sender))
    }
}
