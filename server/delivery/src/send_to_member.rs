//! send_to_member — spec/delivery.md#send_to_member

use protocol::crypto::signed::{Binding, Signed};
use protocol::delivery::{SendToMember, SendToMemberReply};
use protocol::entry::GroupEventContent;
use protocol::error::Rule;
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
        self.check_domain(binding)?;
        let hash = RequestHash::of(&request);
        let partition = self.partition(&request.unverified().group);
        let seen = self
            .store
            .view(&partition, |tx| Seen::look(tx, request, hash, binding))?;
        let mut member = match seen {
            Seen::Repeated(receipt) => {
                return Ok((SendToMemberReply { receipt }, Outbox(partition)));
            }
            Seen::First(member) => member,
        };
        let SendToMember {
            group,
            epoch,
            message,
            ..
        } = &member.request;
        member.check_epoch(*epoch)?;
        check_message(message.as_slice(), group, *epoch)?;
        let sighting = member.see(now, entropy);
        let receipt = self.store.transact(&partition, operation(entropy), |tx| {
            self.accept_direct(tx, (&member, sighting.as_ref()), hash, (now, entropy))
        })?;
        Ok((SendToMemberReply { receipt }, Outbox(partition)))
    }

    fn accept_direct(
        &self,
        tx: &mut Tx<'_>,
        (member, sighting): (&Member<SendToMember>, Option<&Changes>),
        hash: RequestHash,
        (now, entropy): (Timestamp, &dyn Entropy),
    ) -> Result<Receipt, Error> {
        let request = &member.request;
        if let Some(receipt) = recall(tx, request.sender, hash)? {
            return Ok(receipt);
        }
        let mut group = Group::load(tx)?.ok_or(Error::Denied)?;
        member.enter(tx, &mut group, sighting)?;
        let tickets = member.roster.ticket_of(request.recipient);
        if tickets.is_empty() || request.recipient == request.sender {
            return Err(Rule::Recipient.into());
        }
        let announcement = Announcement {
            content: GroupEventContent::Direct(request.message.clone()),
            key: &member.roster.fan_out(),
            tickets,
        };
        let place = (&request.group, &mut group);
        let receipt = self.announce(tx, place, announcement, (now, entropy))?;
        group.save(tx)?;
        remember(tx, request.sender, (hash, member.key), receipt)?;
        Ok(receipt)
    }
}
