//! send_message — spec/delivery.md#send_message

use protocol::crypto::signed::{Binding, Signed};
use protocol::delivery::{SendMessage, SendMessageReply};
use protocol::entry::GroupEventContent;
use protocol::receipt::Receipt;
use protocol::time::Timestamp;
use store::{Entropy, Tx};

use crate::announce::Announcement;
use crate::error::Error;
use crate::group::{Changes, check_message};
use crate::member::Member;
use crate::outbox::Outbox;
use crate::sent::{Seen, recall, remember};
use crate::tables::{Group, RequestHash};
use crate::{Delivery, operation};

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
        self.check_domain(binding)?;
        let hash = RequestHash::of(&request);
        let partition = self.partition(&request.unverified().group);
        let seen = self
            .store
            .view(&partition, |tx| Seen::look(tx, request, hash, binding))?;
        let mut member = match seen {
            Seen::Repeated(receipt) => {
                return Ok((SendMessageReply { receipt }, Outbox(partition)));
            }
            Seen::First(member) => member,
        };
        let SendMessage {
            group,
            epoch,
            message,
            ..
        } = &member.request;
        member.check_epoch(*epoch)?;
        check_message(message.as_slice(), group, *epoch)?;
        let sighting = member.see(now, entropy);
        let receipt = self.store.transact(&partition, operation(entropy), |tx| {
            self.accept_message(tx, (&member, sighting.as_ref()), hash, (now, entropy))
        })?;
        Ok((SendMessageReply { receipt }, Outbox(partition)))
    }

    fn accept_message(
        &self,
        tx: &mut Tx<'_>,
        (member, sighting): (&Member<SendMessage>, Option<&Changes>),
        hash: RequestHash,
        (now, entropy): (Timestamp, &dyn Entropy),
    ) -> Result<Receipt, Error> {
        let request = &member.request;
        if let Some(receipt) = recall(tx, request.sender, hash)? {
            return Ok(receipt);
        }
        let mut group = Group::load(tx)?.ok_or(Error::Denied)?;
        member.enter(tx, &mut group, sighting)?;
        let announcement = Announcement {
            content: GroupEventContent::Message(request.message.clone()),
            key: &member.roster.fan_out(),
            tickets: member.roster.tickets_without(request.sender),
        };
        let place = (&request.group, &mut group);
        let receipt = self.announce(tx, place, announcement, (now, entropy))?;
        group.save(tx)?;
        remember(tx, request.sender, (hash, member.key), receipt)?;
        Ok(receipt)
    }
}
