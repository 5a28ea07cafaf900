//! send_message — spec/delivery.md#send_message

use protocol::codec::Opaque;
use protocol::crypto::signed::{Binding, Signed};
use protocol::delivery::{SendMessage, SendMessageReply};
use protocol::entry::{GroupEvent, GroupEventContent, Payload};
use protocol::error::Rule;
use protocol::time::Timestamp;
use store::{Entropy, Tx};

use crate::error::Error;
use crate::group::check_message;
use crate::member::Member;
use crate::outbox::{Letter, Outbox};
use crate::tables::{Accepted, GROUPS, Group, ROSTERS, RequestHash, SENT, Sender, Sent};
use crate::{Delivery, nonce, operation};

/// What the service finds before it writes.
enum Seen {
    /// The sender's last message, sent again.
    Repeated(SendMessageReply),
    /// A member's message.
    First(Box<Member<SendMessage>>),
}

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
        let hash = RequestHash::of(request.body());
        let partition = self.partition(&request.unverified().group);
        let seen = self
            .store
            .view(&partition, |tx| look(tx, request, hash, binding))?;
        let member = match seen {
            Seen::Repeated(reply) => return Ok((reply, Outbox(partition))),
            Seen::First(member) => member,
        };
        let SendMessage {
            group,
            epoch,
            message,
            ..
        } = &member.request;
        if *epoch != member.group.epoch {
            return Err(Error::WrongEpoch(member.group.epoch));
        }
        check_message(message.as_slice(), group, *epoch)?;
        let reply = self.store.transact(&partition, operation(entropy), |tx| {
            self.accept_message(tx, &member, hash, (now, entropy))
        })?;
        Ok((reply, Outbox(partition)))
    }

    fn accept_message(
        &self,
        tx: &mut Tx<'_>,
        member: &Member<SendMessage>,
        hash: RequestHash,
        (now, entropy): (Timestamp, &dyn Entropy),
    ) -> Result<SendMessageReply, Error> {
        let Member {
            request,
            key,
            group: seen,
            roster,
        } = member;
        let sender = Sender(request.sender);
        tx.prefetch(&[&GROUPS.at(&()), &SENT.at(&sender)])?;
        if let Some(sent) = tx
            .get(&SENT, &sender)?
            .filter(|sent| sent.accepted.request == hash)
        {
            return Ok(SendMessageReply {
                number: sent.number,
            });
        }
        let mut group = Group::load(tx)?.ok_or(Error::Denied)?;
        if !group.is_as(seen) {
            return Err(Error::WrongEpoch(group.epoch));
        }
        group.number = group.number.next();
        let content = GroupEventContent::Message(request.message.clone());
        let event = GroupEvent {
            number: group.number,
            content,
        };
        let sealed = event.seal(&request.state_key, nonce(entropy));
        let payload = Payload::Group(Opaque::new(sealed).map_err(|_| Rule::WireFormat)?);
        let letter = Letter {
            payload,
            tickets: roster.tickets_without(request.sender),
        };
        self.ship(tx, (&request.group, &mut group), vec![letter], now)?;
        group.save(tx)?;
        let number = group.number;
        tx.put(
            &SENT,
            &sender,
            &Sent {
                accepted: Accepted {
                    request: hash,
                    key: *key,
                },
                number,
            },
        )?;
        Ok(SendMessageReply { number })
    }
}

/// A message that was accepted in an earlier epoch is recognised, and its signature checked, by
/// what was remembered then: the sender may have left since.
fn look(
    tx: &Tx<'_>,
    request: Signed<SendMessage>,
    hash: RequestHash,
    binding: &Binding,
) -> Result<Seen, Error> {
    let sender = Sender(request.unverified().sender);
    tx.prefetch(&[&GROUPS.at(&()), &SENT.at(&sender), &ROSTERS.at(&0)])?;
    if let Some(sent) = tx
        .get(&SENT, &sender)?
        .filter(|sent| sent.accepted.request == hash)
    {
        request
            .verify(&sent.accepted.key, binding)
            .map_err(|_| Error::Denied)?;
        return Ok(Seen::Repeated(SendMessageReply {
            number: sent.number,
        }));
    }
    let member = Member::verify(tx, request, binding)?;
    Ok(Seen::First(Box::new(member)))
}
