//! Appending to a queue: exactly once, within quotas, under the ratchet. Spec: queue.md#delivery.
//!
//! Every recipient of a message costs one run of [`append`], so the rows it touches are small and
//! what all recipients have in common ([`Load`]) is encoded once.

use protocol::codec::{Opaque, encode};
use protocol::contact::Ticket;
use protocol::crypto::label;
use protocol::entry::{Delivered, Entry};
use protocol::id::{LinkId, Seq, TicketId};
use protocol::limit::{ENTRY_BYTES_MAX, RATCHET_REFRESH_ENTRIES};
use store::{COMMIT_BYTES_MAX, COMMIT_ROWS_MAX, Entropy, Tx};
use zeroize::Zeroizing;

use crate::Policy;
use crate::error::Error;
use crate::tables::{
    Chunk, ENTRIES, LinkPlace, REGISTRATIONS, RecentTicket, TAILS, TICKETS, Tail, TicketUse,
};

/// How many links a ticket remembers. A ticket belongs to one group, that of a last-resort
/// KeyPackage to a few. A parcel is taken twice only if it comes again after its ticket was used on
/// so many other links.
const LINKS_MAX: usize = 16;

/// How many tickets a queue's tail keeps: the conversations that are lively at one time. Each makes
/// the row longer that every item rewrites, and saves the items that come by it a row.
const RECENT_MAX: usize = 2;

/// How many tickets of one queue can ever be used, so that a ticket's holder who takes fresh ones
/// from the owner cannot make the queue's rows grow without bound.
const TICKETS_USED_MAX: u32 = 65_536;

/// What one parcel brings into every queue it goes to.
pub(crate) struct Load {
    link: LinkId,
    seq: Seq,
    /// An encoded [`Delivered`] whose first 16 bytes, the ticket id, are to be filled in.
    item: Vec<u8>,
}

/// One ticket of a parcel that leads to the queue at hand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way<'a> {
    pub(crate) ticket: &'a Ticket,
    pub(crate) id: TicketId,
}

/// What became of a parcel at one queue.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// There is no such queue.
    Gone,
    /// It is there once for each ticket, except for those refused: no room.
    Present { refused: Vec<Ticket> },
}

impl Load {
    /// Encode what all recipients get.
    ///
    /// # Errors
    /// `TooLarge`.
    pub(crate) fn new(link: LinkId, seq: Seq, payload: &[u8]) -> Result<Self, Error> {
        let payload = Opaque::new(payload.to_vec()).map_err(|_| Error::TooLarge)?;
        let item = encode(&Delivered::new(TicketId([0; 16]), payload));
        Ok(Self { link, seq, item })
    }

    /// About how many bytes one recipient's commit has.
    pub(crate) const fn bytes(&self) -> usize {
        self.item.len() + 1_024
    }

    /// The item for a ticket.
    fn item(&self, ticket: TicketId) -> Vec<u8> {
        let mut item = self.item.clone();
        for (place, byte) in item.iter_mut().zip(ticket.0) {
            *place = byte;
        }
        item
    }
}

/// Append the load once for each way into the queue whose partition this is.
///
/// # Errors
/// The store's, or a refresh could not be sealed.
pub(crate) fn append(
    tx: &mut Tx<'_>,
    policy: &Policy,
    load: &Load,
    ways: &[Way<'_>],
    entropy: &dyn Entropy,
) -> Result<Outcome, Error> {
    let Some(mut tail) = tx.get(&TAILS, &())? else {
        return Ok(Outcome::Gone);
    };
    let before = tail.next;
    let mut refused = Vec::new();
    let mut commit = Room {
        rows: COMMIT_ROWS_MAX - 1,
        bytes: COMMIT_BYTES_MAX - 1_024,
    };
    for way in ways {
        let known = match tail.recent(way.id) {
            Some(usage) => Some(usage.clone()),
            None => tx.get(&TICKETS, &way.id)?,
        };
        let is_fresh = known.is_none();
        let mut usage = known.unwrap_or_default();
        if usage.has_taken(load.link, load.seq) {
            continue;
        }
        usage.forget_before(tail.first);
        let bytes = load.bytes();
        let fits = tail.has_room(policy, bytes)
            && usage.has_room(policy, bytes)
            && !(is_fresh && tail.tickets >= TICKETS_USED_MAX)
            && commit.take(bytes);
        if !fits {
            refused.push(*way.ticket);
            continue;
        }
        refresh_if_due(tx, &mut tail, entropy)?;
        let sealed = tail.ratchet.advance().seal(tail.next, &load.item(way.id));
        let entry = Entry::Item(Opaque::new(sealed).map_err(|_| Error::TooLarge)?);
        let bytes = put_entry(tx, &mut tail, &entry)?;
        usage.add(tail.next, bytes);
        usage.take(load.link, load.seq);
        tail.tickets = tail.tickets.saturating_add(u32::from(is_fresh));
        if let Some(settled) = tail.remember(way.id, usage) {
            tx.put(&TICKETS, &settled.ticket, &settled.usage)?;
        }
    }
    if tail.next != before {
        tx.put(&TAILS, &(), &tail)?;
    }
    Ok(Outcome::Present { refused })
}

/// Before the first item and after every [`RATCHET_REFRESH_ENTRIES`], mix in randomness that only
/// the owner can read again. [CRYPTO-RATCHET-2]
fn refresh_if_due(tx: &mut Tx<'_>, tail: &mut Tail, entropy: &dyn Entropy) -> Result<(), Error> {
    if !tail.next.0.is_multiple_of(RATCHET_REFRESH_ENTRIES + 1) {
        return Ok(());
    }
    let registration = tx.get(&REGISTRATIONS, &())?.ok_or(Error::Denied)?;
    let mut randomness = Zeroizing::new([0; 32]);
    entropy.fill(&mut *randomness);
    let place = tail.next.0.to_be_bytes();
    let seal_key = registration.seal_key;
    let sealed = seal_key.seal(label::RATCHET_REFRESH_SEALED, &place, &*randomness);
    tail.ratchet.refresh(&randomness);
    put_entry(tx, tail, &Entry::Refresh(sealed.map_err(Error::Sealing)?))?;
    Ok(())
}

/// Put an entry at the next place; gives its length. [QS-ENTRY-2]
fn put_entry(tx: &mut Tx<'_>, tail: &mut Tail, entry: &Entry) -> Result<u64, Error> {
    let encoded = encode(entry);
    let mut chunks = encoded.chunks(Chunk::BYTES_MAX).zip(0..).peekable();
    while let Some((bytes, number)) = chunks.next() {
        let is_last = chunks.peek().is_none();
        let chunk = Chunk {
            bytes_before: tail.bytes_next,
            is_last,
            bytes: bytes.to_vec(),
        };
        tx.put(&ENTRIES, &(tail.next, number), &chunk)?;
    }
    let bytes = encoded.len() as u64;
    tail.next = tail.next.next();
    tail.bytes_next = tail.bytes_next.saturating_add(bytes);
    Ok(bytes)
}

impl Tail {
    fn recent(&self, ticket: TicketId) -> Option<&TicketUse> {
        let recent = self.recent.iter().find(|recent| recent.ticket == ticket);
        recent.map(|recent| &recent.usage)
    }

    /// Put the ticket in front. Gives the one that now has to be a row.
    fn remember(&mut self, ticket: TicketId, usage: TicketUse) -> Option<RecentTicket> {
        self.recent.retain(|recent| recent.ticket != ticket);
        self.recent.insert(0, RecentTicket { ticket, usage });
        if self.recent.len() > RECENT_MAX {
            self.recent.pop()
        } else {
            None
        }
    }

    /// Whether one more entry may wait; an empty queue takes one of any length. [QS-DELIVER-2]
    fn has_room(&self, policy: &Policy, bytes: usize) -> bool {
        let waiting = self.next.0.saturating_sub(self.first.0);
        let waiting_bytes = self.bytes_next.saturating_sub(self.bytes_first);
        waiting == 0
            || (waiting < policy.entries_max
                && waiting_bytes.saturating_add(bytes as u64) <= policy.bytes_max)
    }
}

impl TicketUse {
    /// Whether the parcel at this place of the link is in the queue, or was. [QS-DELIVER-1]
    fn has_taken(&self, link: LinkId, seq: Seq) -> bool {
        self.links
            .iter()
            .any(|place| place.link == link && seq <= place.last)
    }

    fn take(&mut self, link: LinkId, seq: Seq) {
        self.links.retain(|place| place.link != link);
        self.links.truncate(LINKS_MAX - 1);
        self.links.insert(0, LinkPlace { link, last: seq });
    }

    /// Whether one more entry may come by this ticket. [QS-SHARE-1]
    fn has_room(&self, policy: &Policy, bytes: usize) -> bool {
        let share = |quota: u64| {
            let share = u128::from(quota) * u128::from(policy.ticket_share_percent) / 100;
            u64::try_from(share).unwrap_or(u64::MAX)
        };
        let entries = self.older.entries.saturating_add(self.newer.entries);
        let waiting_bytes = self.older.bytes.saturating_add(self.newer.bytes);
        entries == 0
            || (entries < share(policy.entries_max)
                && waiting_bytes.saturating_add(bytes as u64) <= share(policy.bytes_max))
    }

    /// Count an entry that ends before `end`.
    fn add(&mut self, end: Seq, bytes: u64) {
        let share = if self.older.entries == 0 {
            &mut self.older
        } else {
            &mut self.newer
        };
        share.end = end;
        share.entries = share.entries.saturating_add(1);
        share.bytes = share.bytes.saturating_add(bytes);
    }

    /// Count no more what is acknowledged: each of the two shares once all of it is. What counts is
    /// therefore never less than what waits, and nothing once all of it is acknowledged.
    fn forget_before(&mut self, first: Seq) {
        for _ in 0..2 {
            if self.older.end <= first {
                self.older = std::mem::take(&mut self.newer);
            }
        }
    }
}

/// What a commit can still hold. A parcel with more tickets into one queue than fit leaves the rest
/// with its sender.
struct Room {
    rows: usize,
    bytes: usize,
}

impl Room {
    /// Make room for an entry of `bytes`, a refresh and a ticket's row.
    const fn take(&mut self, bytes: usize) -> bool {
        let rows = bytes / Chunk::BYTES_MAX + 3;
        let bytes = bytes + 2_048;
        let fits = rows <= self.rows && bytes <= self.bytes;
        if fits {
            self.rows -= rows;
            self.bytes -= bytes;
        }
        fits
    }
}

const _: () = assert!(
    ENTRY_BYTES_MAX + 4_096 < COMMIT_BYTES_MAX,
    "the longest entry fits a commit of its own"
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// [QS-SHARE-1]
        #[test]
        fn a_share_is_never_counted_short_and_ends_with_its_entries(
            steps in proptest::collection::vec((any::<bool>(), 1..4_u64), 1..60),
        ) {
            let (mut usage, mut next, mut first) = (TicketUse::default(), 0, 0);
            let mut ours = Vec::new();
            for (is_ours, count) in steps {
                for _ in 0..count {
                    usage.forget_before(Seq(first));
                    if is_ours {
                        ours.push(next);
                        usage.add(Seq(next + 1), 10);
                    }
                    next += 1;
                }
                first += (next - first) / 2;
                usage.forget_before(Seq(first));
                let waiting = ours.iter().filter(|seq| **seq >= first).count() as u64;
                let counted = usage.older.entries + usage.newer.entries;
                prop_assert!(counted >= waiting);
                prop_assert_eq!(counted == 0, waiting == 0);
                prop_assert_eq!(usage.older.bytes + usage.newer.bytes, counted * 10);
            }
        }
    }

    #[test]
    fn a_ticket_remembers_its_last_links() {
        let mut usage = TicketUse::default();
        let link = |number| LinkId([number; 16]);
        for number in 0..=16 {
            usage.take(link(number), Seq(7));
        }
        assert_eq!(usage.links.len(), LINKS_MAX);
        assert!(!usage.has_taken(link(0), Seq(7)));
        assert!((1..=16).all(|number| usage.has_taken(link(number), Seq(7))));
        assert!(!usage.has_taken(link(5), Seq(8)));
    }
}
