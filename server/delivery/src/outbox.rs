//! The outbox of a group: what was accepted, on its way to other queueing services, of which the
//! local one is one.
//!
//! A parcel is one payload for tickets of one domain. Parcels are rows of the transaction that
//! accepts what they carry, so that nothing accepted is lost. [DS-OUTBOX-1]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use protocol::codec::encode;
use protocol::contact::Ticket;
use protocol::entry::Payload;
use protocol::error::Rule;
use protocol::id::{Domain, GroupId, LinkId, Seq};
use protocol::time::Timestamp;
use store::{Entropy, Partition, RowAt, ScanLimit, StoreError, Tx, VALUE_BYTES_MAX};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::group::DESTINATIONS_MAX;
use crate::tables::{GROUPS, Group, Link, PARCELS, PAYLOADS, StoredParcel, StoredPayload};
use crate::{Delivery, operation};

/// The most tickets of a parcel.
const PARCEL_TICKETS_MAX: usize = 512;
/// The most bytes of payloads that are fetched at once, unless one is longer.
const FETCH_BYTES: usize = 4 * 1024 * 1024;
/// The most parcels of one transaction that settles.
const SETTLE_PARCELS_MAX: usize = 128;
/// What a row of a parcel has besides tickets and payload, at most.
const PARCEL_OVERHEAD_BYTES: usize = 512;
/// The kinds of payloads that a shipment may have: what members and what joiners are told.
const KINDS: u32 = 2;

const DAY_SECONDS: u64 = 86_400;

/// A group that may have parcels waiting. It says nothing about which.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Outbox(pub(crate) Partition);

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outbox(..)")
    }
}

/// Names a parcel in its outbox; in the order in which they were accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ParcelKey {
    shipment: Seq,
    index: u32,
}

/// One payload for several queues of a domain.
#[derive(Clone)]
pub struct Parcel {
    /// Names it to [`Delivery::settle`].
    pub key: ParcelKey,
    /// Whose queueing service opens the tickets.
    pub domain: Domain,
    /// The group's pseudonym there.
    pub link: LinkId,
    /// The place on the link: counts up from 0 without gaps.
    pub seq: Seq,
    /// Into the queues that do not have it yet.
    pub tickets: Vec<Ticket>,
    /// An encoded [`Payload`].
    pub payload: Vec<u8>,
}

impl fmt::Debug for Parcel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seq,
            tickets,
            payload,
            ..
        } = self;
        write!(
            f,
            "Parcel({seq:?}, {} tickets, {} bytes)",
            tickets.len(),
            payload.len()
        )
    }
}

/// Some of an outbox's parcels, in order.
#[derive(Debug)]
pub struct Page {
    /// The parcels.
    pub parcels: Vec<Parcel>,
    /// Whether nothing is known to follow. If not, there may be more after the last of them.
    pub is_last: bool,
}

/// A payload and all it is for.
pub(crate) struct Letter<'a> {
    pub(crate) payload: Payload,
    pub(crate) tickets: BTreeMap<&'a Domain, Vec<Ticket>>,
}

impl Delivery {
    /// Outboxes that hold parcels, after `after`, in an order without meaning: how a restart finds
    /// them. [DS-OUTBOX-3]
    ///
    /// # Errors
    /// The store failed.
    pub fn pending(&self, after: Option<Outbox>, limit: usize) -> Result<Vec<Outbox>, Error> {
        let found = self
            .store
            .sweep(&PARCELS, after.map(|outbox| outbox.0), limit)?;
        Ok(found.into_iter().map(Outbox).collect())
    }

    /// The oldest parcels of an outbox after `after`: at most `limit`, and no more than about 4 MiB
    /// of them. Whoever delivers them keeps their order per ticket: a queue takes no place of a
    /// link after a later one. [DS-OUTBOX-2]
    ///
    /// # Errors
    /// The store failed.
    pub fn parcels(
        &self,
        outbox: Outbox,
        after: Option<ParcelKey>,
        limit: usize,
    ) -> Result<Page, Error> {
        self.store.view(&outbox.0, |tx| {
            let Some(group) = Group::load_any(tx)?.filter(|group| group.waiting > 0) else {
                return Ok(Page {
                    parcels: Vec::new(),
                    is_last: true,
                });
            };
            let stored = group.scan_parcels(tx, after, limit)?;
            let (mut parcels, mut bytes) = (Vec::with_capacity(stored.len()), 0);
            let mut shared: Option<((Seq, u32), Vec<u8>)> = None;
            for (key, stored) in stored {
                let payload = match stored.payload {
                    StoredPayload::Inline(payload) => Vec::from(payload),
                    StoredPayload::Shared(kind) => match &shared {
                        Some((at, payload)) if *at == (key.shipment, kind) => payload.clone(),
                        Some(_) | None => {
                            let payload = load_payload(tx, (key.shipment, kind))?;
                            shared = Some(((key.shipment, kind), payload.clone()));
                            payload
                        }
                    },
                };
                bytes += payload.len();
                let StoredParcel {
                    domain,
                    link,
                    seq,
                    tickets,
                    ..
                } = stored;
                parcels.push(Parcel {
                    key,
                    domain,
                    link,
                    seq,
                    tickets,
                    payload,
                });
                if bytes >= FETCH_BYTES {
                    break;
                }
            }
            let all = u32::try_from(parcels.len()).is_ok_and(|count| count == group.waiting);
            Ok(Page {
                is_last: parcels.is_empty() || (after.is_none() && all),
                parcels,
            })
        })
    }

    /// Record what became of parcels: which of their tickets are still to be delivered. A parcel
    /// with none is done. Parcels that are settled already are left alone.
    ///
    /// # Errors
    /// The store failed; what was recorded before holds.
    pub fn settle(
        &self,
        outbox: Outbox,
        outcome: &[(ParcelKey, Vec<Ticket>)],
        entropy: &dyn Entropy,
    ) -> Result<(), Error> {
        for some in outcome.chunks(SETTLE_PARCELS_MAX) {
            self.store
                .transact(&outbox.0, operation(entropy), |tx| settle_some(tx, some))?;
        }
        Ok(())
    }

    /// Drop the oldest parcels that have been tried for too long; how many. Called until there are
    /// none.
    ///
    /// # Errors
    /// The store failed.
    pub fn expire(
        &self,
        outbox: Outbox,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<usize, Error> {
        let expired: Vec<_> = self.store.view(&outbox.0, |tx| {
            let Some(group) = Group::load_any(tx)?.filter(|group| group.waiting > 0) else {
                return Ok(Vec::new());
            };
            let stored = group
                .scan_parcels(tx, None, SETTLE_PARCELS_MAX)?
                .into_iter();
            let expired = stored.take_while(|(_, parcel)| parcel.expires < now);
            Ok::<_, StoreError>(expired.map(|(key, _)| (key, Vec::new())).collect())
        })?;
        if !expired.is_empty() {
            self.settle(outbox, &expired, entropy)?;
        }
        Ok(expired.len())
    }

    /// Put letters into the outbox, behind all that is there. They need not be of an event that
    /// has a number.
    pub(crate) fn ship(
        &self,
        tx: &mut Tx<'_>,
        (id, group): (&GroupId, &mut Group),
        letters: Vec<Letter<'_>>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let expires = day_after(now, self.policy.parcel_seconds);
        group.shipment = group.shipment.next();
        let mut index = 0;
        for (kind, Letter { payload, tickets }) in (0..).zip(letters) {
            let split = |(domain, tickets): (_, Vec<Ticket>)| {
                let parts = tickets.chunks(PARCEL_TICKETS_MAX).map(<[_]>::to_vec);
                parts.map(|part| (domain, part)).collect::<Vec<_>>()
            };
            let parts: Vec<(&Domain, Vec<Ticket>)> = tickets.into_iter().flat_map(split).collect();
            let payload = Zeroizing::new(encode(&payload));
            let stored = match parts.as_slice() {
                [] => continue,
                [(_, tickets)] if fits_inline(&payload, tickets) => {
                    StoredPayload::Inline(payload.to_vec().into())
                }
                _ => {
                    tx.put_large(&PAYLOADS, &(group.shipment, kind), &payload)?;
                    StoredPayload::Shared(kind)
                }
            };
            for (domain, tickets) in parts {
                let (link, seq) = group.next_on(self.link(id, domain))?;
                let payload = stored.clone();
                let domain = domain.clone();
                let parcel = StoredParcel {
                    domain,
                    link,
                    seq,
                    expires,
                    tickets,
                    payload,
                };
                tx.put(&PARCELS, &(group.shipment, index), &parcel)?;
                index += 1;
            }
        }
        group.waiting = group.waiting.saturating_add(index);
        if group.waiting > self.policy.parcels_max {
            Err(Error::Backlog)
        } else {
            Ok(())
        }
    }
}

impl Group {
    /// Take the next place on a link.
    fn next_on(&mut self, id: LinkId) -> Result<(LinkId, Seq), Error> {
        if let Some(link) = self.links.iter_mut().find(|link| link.id == id) {
            let seq = link.next;
            link.next = seq.next();
            return Ok((id, seq));
        }
        // A link that is forgotten would begin anew, and its parcels be taken for old ones.
        if self.links.len() >= DESTINATIONS_MAX {
            return Err(Rule::GroupSize.into());
        }
        self.links.push(Link { id, next: Seq(1) });
        Ok((id, Seq(0)))
    }

    /// The oldest parcels after `after`.
    fn scan_parcels(
        &self,
        tx: &Tx<'_>,
        after: Option<ParcelKey>,
        rows: usize,
    ) -> Result<Vec<(ParcelKey, StoredParcel)>, StoreError> {
        let limit = ScanLimit {
            rows,
            bytes: FETCH_BYTES,
        };
        let first = |key: ParcelKey| (key.shipment, key.index.saturating_add(1));
        let from = after.map_or((self.first, 0), first);
        let to = (self.shipment.next(), 0);
        let found = tx.scan(&PARCELS, &from, &to, limit)?;
        let corrupt = StoreError::Corrupt {
            table: PARCELS.name(),
        };
        let keyed = |(key, parcel): (store::KeySuffix, _)| {
            let shipment = key.first_ordered_u64().map(Seq);
            let key = shipment
                .zip(key.ordered_u32())
                .map(|(shipment, index)| ParcelKey { shipment, index });
            Ok((key.ok_or_else(|| corrupt.clone())?, parcel))
        };
        found.into_iter().map(keyed).collect()
    }
}

/// The end of the day that lies `seconds` ahead: no row tells when exactly it was written.
pub(crate) fn day_after(now: Timestamp, seconds: u64) -> Timestamp {
    let Timestamp(then) = now.after(Duration::from_secs(seconds));
    Timestamp(
        then.saturating_sub(then % DAY_SECONDS)
            .saturating_add(DAY_SECONDS),
    )
}

fn fits_inline(payload: &[u8], tickets: &[Ticket]) -> bool {
    payload.len() + size_of_val(tickets) + PARCEL_OVERHEAD_BYTES <= VALUE_BYTES_MAX
}

fn load_payload(tx: &Tx<'_>, key: (Seq, u32)) -> Result<Vec<u8>, StoreError> {
    tx.get_large(&PAYLOADS, &key)?.ok_or(StoreError::Corrupt {
        table: PAYLOADS.name(),
    })
}

fn settle_some(tx: &mut Tx<'_>, outcome: &[(ParcelKey, Vec<Ticket>)]) -> Result<(), Error> {
    let keys: Vec<_> = outcome
        .iter()
        .map(|(key, _)| (key.shipment, key.index))
        .collect();
    let at: Vec<_> = keys.iter().map(|key| PARCELS.at(key)).collect();
    let group_at = GROUPS.at(&());
    let mut rows: Vec<&dyn RowAt> = vec![&group_at];
    rows.extend(at.iter().map(|row| row as &dyn RowAt));
    tx.prefetch(&rows)?;
    let Some(mut group) = Group::load_any(tx)? else {
        return Ok(());
    };
    let mut shared = BTreeSet::new();
    for (key, (_, remaining)) in keys.iter().zip(outcome) {
        let Some(mut parcel) = tx.get(&PARCELS, key)? else {
            continue;
        };
        let remaining: BTreeSet<_> = remaining.iter().collect();
        let before = parcel.tickets.len();
        parcel.tickets.retain(|ticket| remaining.contains(ticket));
        if parcel.tickets.is_empty() {
            tx.delete(&PARCELS, key)?;
            group.waiting = group.waiting.saturating_sub(1);
            if matches!(parcel.payload, StoredPayload::Shared(_)) {
                shared.insert(key.0);
            }
        } else if parcel.tickets.len() < before {
            tx.put(&PARCELS, key, &parcel)?;
        }
    }
    let one = ScanLimit { rows: 1, bytes: 1 };
    for shipment in shared {
        if tx
            .scan(&PARCELS, &(shipment, 0), &(shipment.next(), 0), one)?
            .is_empty()
        {
            (0..KINDS).try_for_each(|kind| tx.delete_large(&PAYLOADS, &(shipment, kind)))?;
        }
    }
    let oldest = if group.waiting == 0 {
        None
    } else {
        group.scan_parcels(tx, None, 1)?.pop()
    };
    group.first = oldest.map_or_else(|| group.shipment.next(), |(key, _)| key.shipment);
    group.save_or_forget(tx)?;
    Ok(())
}
