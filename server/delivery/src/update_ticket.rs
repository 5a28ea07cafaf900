//! update_ticket — spec/delivery.md#update_ticket

use protocol::crypto::signed::{Binding, Signed};
use protocol::delivery::{UpdateTicket, UpdateTicketReply};
use protocol::error::Rule;
use protocol::time::Timestamp;
use store::Entropy;

use crate::error::Error;
use crate::group::{Changes, DESTINATIONS_MAX, Month, Part};
use crate::member::Member;
use crate::tables::Group;
use crate::{Delivery, operation};

impl Delivery {
    /// Use another way into the sender's queue from now on. Repeating it changes nothing.
    /// [DS-TICKET-1]
    ///
    /// # Errors
    /// `Denied`, `WrongEpoch`; `Invalid` if the group would be reached at too many domains.
    pub fn update_ticket(
        &self,
        request: Signed<UpdateTicket>,
        binding: &Binding,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<UpdateTicketReply, Error> {
        self.check_domain(binding)?;
        let partition = self.partition(&request.unverified().group);
        let member = self
            .store
            .view(&partition, |tx| Member::verify(tx, request, binding))?;
        let request = &member.request;
        member.check_epoch(request.epoch)?;
        if member.roster.holder(&request.ticket.ticket) == Some(request.sender) {
            return Ok(UpdateTicketReply {});
        }
        let mut roster = member.roster.with_ticket(request.sender, &request.ticket);
        roster.see(request.sender, Month::of(now));
        if roster.destinations() > DESTINATIONS_MAX {
            return Err(Rule::GroupSize.into());
        }
        let mut changes = Changes::within(&member.access, member.group.root.edition.next());
        let old = Some(&member.stored);
        changes.put(Part::Roster, old, &roster.encode(), entropy);
        self.store.transact(&partition, operation(entropy), |tx| {
            let mut group = Group::load(tx)?.ok_or(Error::Denied)?;
            member.enter(tx, &mut group, Some(&changes))?;
            group.save(tx)?;
            Ok(UpdateTicketReply {})
        })
    }
}
