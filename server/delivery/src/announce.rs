//! Telling members what happens in a group.

use std::collections::BTreeMap;

use protocol::codec::Opaque;
use protocol::contact::Ticket;
use protocol::entry::{FanOutKey, GroupEvent, GroupEventContent, Payload};
use protocol::error::Rule;
use protocol::id::{Domain, GroupId};
use protocol::receipt::Receipt;
use protocol::time::Timestamp;
use store::{Entropy, Tx};

use crate::error::Error;
use crate::outbox::Letter;
use crate::tables::Group;
use crate::{Delivery, nonce};

/// What is told, and whom.
pub(crate) struct Announcement<'a> {
    pub(crate) content: GroupEventContent,
    /// Of the epoch that those who are told are in.
    pub(crate) key: &'a FanOutKey,
    pub(crate) tickets: BTreeMap<&'a Domain, Vec<Ticket>>,
}

impl Delivery {
    /// Give an event its number, if it takes one, and put it into the outbox. [DS-FANOUT-1]
    /// [DS-FANOUT-2]
    pub(crate) fn announce(
        &self,
        tx: &mut Tx<'_>,
        (id, group): (&GroupId, &mut Group),
        announcement: Announcement<'_>,
        at: (Timestamp, &dyn Entropy),
    ) -> Result<Receipt, Error> {
        group.append(&announcement.content);
        self.announce_last(tx, (id, group), announcement, at)
    }

    /// Put an event that has its number into the outbox.
    pub(crate) fn announce_last(
        &self,
        tx: &mut Tx<'_>,
        (id, group): (&GroupId, &mut Group),
        Announcement {
            content,
            key,
            tickets,
        }: Announcement<'_>,
        (now, entropy): (Timestamp, &dyn Entropy),
    ) -> Result<Receipt, Error> {
        let receipt = self.receipt(*id, group);
        let sealed = GroupEvent { receipt, content }.seal(key, nonce(entropy));
        let payload = Payload::Group(Opaque::new(sealed).map_err(|_| Rule::GroupSize)?);
        let letters = vec![Letter { payload, tickets }];
        self.ship(tx, (id, group), letters, now)?;
        Ok(receipt)
    }
}
