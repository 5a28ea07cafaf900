//! Delivery of what the outboxes hold. The local domain is a destination like any other: its
//! parcels are handed to the queueing service here.

use std::collections::BTreeSet;

use delivery::{Outbox, Parcel, ParcelKey};
use protocol::contact::Ticket;
use protocol::error::ErrorReply;
use protocol::id::QueueId;
use protocol::time::Timestamp;

use crate::Engine;
use crate::error::internal;

/// Parcels read at a time: bounds memory.
const PARCELS_MAX: usize = 64;

/// What a call has done and left.
#[derive(Debug, Default)]
pub struct Shipped {
    /// Queues that got something.
    pub wake: Vec<QueueId>,
    /// Something could not be delivered, because a queue is full or its domain is not reachable:
    /// call again later.
    pub retry: bool,
}

impl Engine {
    /// Outboxes that hold parcels, in a stable order after `after`: what a restart must look at.
    ///
    /// # Errors
    /// The store's fault.
    pub fn pending(&self, after: Option<Outbox>, limit: usize) -> Result<Vec<Outbox>, ErrorReply> {
        self.delivery
            .pending(after, limit)
            .map_err(|error| internal("delivery", &error))
    }

    /// Deliver what is due in an outbox, in order. Callers never run two of these for one outbox at
    /// the same time. Repeating it is harmless: queues know what they have got on a link.
    ///
    /// A ticket that is held up by one parcel is passed over in the later ones, so that order is
    /// kept for its queue while the others go on. [DS-OUTBOX-2]
    ///
    /// # Errors
    /// The store's fault; nothing is lost.
    pub fn ship(&self, outbox: Outbox, now: Timestamp) -> Result<Shipped, ErrorReply> {
        let mut shipped = Shipped::default();
        let (mut held, mut after) = (BTreeSet::new(), None);
        loop {
            let page = self.delivery.parcels(outbox, after, PARCELS_MAX);
            let page = page.map_err(|error| internal("delivery", &error))?;
            after = page.parcels.last().map(|parcel| parcel.key);
            self.ship_page(outbox, page.parcels, &mut held, &mut shipped.wake)?;
            if page.is_last {
                break;
            }
        }
        shipped.retry = !held.is_empty();
        if shipped.retry {
            self.drop_expired(outbox, now)?;
        }
        Ok(shipped)
    }

    /// Deliver some parcels and record what became of them.
    fn ship_page(
        &self,
        outbox: Outbox,
        parcels: Vec<Parcel>,
        held: &mut BTreeSet<Ticket>,
        wake: &mut Vec<QueueId>,
    ) -> Result<(), ErrorReply> {
        let mut outcome: Vec<(ParcelKey, Vec<Ticket>)> = Vec::with_capacity(parcels.len());
        let mut gone = Vec::new();
        for parcel in parcels {
            let left = self.ship_parcel(&parcel, held, (&mut *wake, &mut gone))?;
            held.extend(left.iter().copied());
            // A parcel that got nowhere stays as it is: rewriting it would say nothing.
            if left.len() < parcel.tickets.len() {
                outcome.push((parcel.key, left));
            }
        }
        // Before the parcels are settled: after a crash in between they report it again.
        if !gone.is_empty() {
            let reported = self.delivery.report_gone(outbox, &gone, &*self.entropy);
            reported.map_err(|error| internal("delivery", &error))?;
        }
        if outcome.is_empty() {
            return Ok(());
        }
        let settled = self.delivery.settle(outbox, &outcome, &*self.entropy);
        settled.map_err(|error| internal("delivery", &error))
    }

    /// Drop what could not be delivered for too long. [DS-OUTBOX-4]
    fn drop_expired(&self, outbox: Outbox, now: Timestamp) -> Result<(), ErrorReply> {
        let expire = || self.delivery.expire(outbox, now, &*self.entropy);
        while expire().map_err(|error| internal("delivery", &error))? > 0 {}
        Ok(())
    }

    /// Deliver one parcel to all but the held-up tickets; gives those that are still to be served,
    /// and collects those that nobody can serve. [DS-OUTBOX-5]
    fn ship_parcel(
        &self,
        parcel: &Parcel,
        held: &BTreeSet<Ticket>,
        (wake, gone): (&mut Vec<QueueId>, &mut Vec<Ticket>),
    ) -> Result<Vec<Ticket>, ErrorReply> {
        if parcel.domain != self.domain {
            // Federation is a later capability: such a parcel waits until it expires.
            return Ok(parcel.tickets.clone());
        }
        let (mut left, due): (Vec<Ticket>, Vec<Ticket>) = parcel
            .tickets
            .iter()
            .partition(|ticket| held.contains(ticket));
        let delivered = self
            .queue
            .deliver(
                &queue::Parcel {
                    link: parcel.link,
                    seq: parcel.seq,
                    tickets: &due,
                    payload: &parcel.payload,
                },
                &*self.entropy,
            )
            .map_err(|error| internal("delivery", &error))?;
        wake.extend(delivered.wake);
        gone.extend(delivered.gone);
        left.extend(delivered.refused);
        Ok(left)
    }
}
