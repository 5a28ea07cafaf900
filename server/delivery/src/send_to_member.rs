//! send_to_member — spec/delivery.md#send_to_member

use std::collections::BTreeMap;

use protocol::contact::Ticket;
use protocol::crypto::signed::{Binding, Signed};
use protocol::delivery::{SendToMember, SendToMemberReply};
use protocol::entry::GroupEventContent;
use protocol::error::Rule;
use protocol::id::{Domain, Epoch};
use protocol::time::Timestamp;
use store::Entropy;

use crate::Delivery;
use crate::error::Error;
use crate::group::Roster;
use crate::message::Message;
use crate::outbox::Outbox;

impl Delivery {
    /// Put a message into the outbox for one other member. [DS-SEND-2]
    ///
    /// # Errors
    /// `Denied`, `WrongEpoch`; `Invalid` if the message is no application message of the group and
    /// its epoch, or the recipient no other member; `Backlog` if too much of the group waits.
    pub fn send_to_member(
        &self,
        request: Signed<SendToMember>,
        binding: &Binding,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<(SendToMemberReply, Outbox), Error> {
        let (receipt, outbox) = self.pass_on(request, binding, now, entropy)?;
        Ok((SendToMemberReply { receipt }, outbox))
    }
}

impl Message for SendToMember {
    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn message(&self) -> &[u8] {
        self.message.as_slice()
    }

    fn content(&self) -> GroupEventContent {
        GroupEventContent::Direct(self.message.clone())
    }

    fn tickets<'a>(&self, roster: &'a Roster) -> Result<BTreeMap<&'a Domain, Vec<Ticket>>, Error> {
        let tickets = roster.ticket_of(self.recipient);
        if tickets.is_empty() || self.recipient == self.sender {
            return Err(Rule::Recipient.into());
        }
        Ok(tickets)
    }
}
