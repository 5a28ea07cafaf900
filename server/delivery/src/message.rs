//! What all application messages have in common, whomever they are for. [DS-SEND-1] [DS-SEND-2]

use std::collections::BTreeMap;

use protocol::contact::Ticket;
use protocol::crypto::signed::{Binding, Signed};
use protocol::entry::GroupEventContent;
use protocol::id::{Domain, Epoch};
use protocol::receipt::Receipt;
use protocol::time::Timestamp;
use store::{Entropy, Tx};

use crate::announce::Announcement;
use crate::error::Error;
use crate::group::{Changes, Roster, check_message};
use crate::member::{ByMember, Member};
use crate::outbox::Outbox;
use crate::sent::{Seen, recall, remember};
use crate::tables::{Group, RequestHash};
use crate::{Delivery, operation};

/// A request to pass an application message on.
pub(crate) trait Message: ByMember {
    /// The epoch that it is encrypted in.
    fn epoch(&self) -> Epoch;

    /// The message, as MLS encodes it.
    fn message(&self) -> &[u8];

    /// What those are told whom it is for.
    fn content(&self) -> GroupEventContent;

    /// Their tickets.
    ///
    /// # Errors
    /// The sender's: `Invalid` if it is for nobody whom it may be for.
    fn tickets<'a>(&self, roster: &'a Roster) -> Result<BTreeMap<&'a Domain, Vec<Ticket>>, Error>;
}

impl Delivery {
    /// Number a message and put it into the outbox for those whom it is for.
    ///
    /// # Errors
    /// `Denied`, `WrongEpoch`; `Invalid` if the message is no application message of the group and
    /// its epoch, or for nobody whom it may be for; `Backlog` if too much of the group waits.
    pub(crate) fn pass_on<T: Message>(
        &self,
        request: Signed<T>,
        binding: &Binding,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<(Receipt, Outbox), Error> {
        self.check_domain(binding)?;
        let hash = RequestHash::of(&request);
        let partition = self.partition(&request.unverified().group());
        let seen = self
            .store
            .view(&partition, |tx| Seen::look(tx, request, hash, binding))?;
        let mut member = match seen {
            Seen::Repeated(receipt) => return Ok((receipt, Outbox(partition))),
            Seen::First(member) => member,
        };
        let request = &member.request;
        member.check_epoch(request.epoch())?;
        check_message(request.message(), &request.group(), request.epoch())?;
        let sighting = member.see(now, entropy);
        let receipt = self.store.transact(&partition, operation(entropy), |tx| {
            self.accept_message(tx, (&member, sighting.as_ref()), hash, (now, entropy))
        })?;
        Ok((receipt, Outbox(partition)))
    }

    fn accept_message<T: Message>(
        &self,
        tx: &mut Tx<'_>,
        (member, sighting): (&Member<T>, Option<&Changes>),
        hash: RequestHash,
        at: (Timestamp, &dyn Entropy),
    ) -> Result<Receipt, Error> {
        let request = &member.request;
        if let Some(receipt) = recall(tx, request.sender(), hash)? {
            return Ok(receipt);
        }
        let mut group = Group::load(tx)?.ok_or(Error::Denied)?;
        member.enter(tx, &mut group, sighting)?;
        let announcement = Announcement {
            content: request.content(),
            key: &member.roster.fan_out(),
            tickets: request.tickets(&member.roster)?,
        };
        let place = (&request.group(), &mut group);
        let receipt = self.announce(tx, place, announcement, at)?;
        group.save(tx)?;
        remember(tx, request.sender(), (hash, member.key), receipt)?;
        Ok(receipt)
    }
}
