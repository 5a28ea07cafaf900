//! Who is in a group and how to reach them: all that sending a message has to open.

use std::collections::{BTreeMap, BTreeSet};

use protocol::codec::{decode_exact, encode};
use protocol::contact::{QualifiedTicket, Ticket};
use protocol::crypto::signature::PublicKey;
use protocol::entry::FanOutKey;
use protocol::id::{Domain, LeafIndex};
use protocol::time::Timestamp;
use store::StoreError;
use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};
use zeroize::Zeroizing;

use crate::group::part::Stored;
use crate::tables::PAGES;

/// The members of a group in the order of their leaves.
///
/// ```text
/// struct { uint8 version; opaque fan_out[32]; Domain domains<V>; Entry entries<V>; } Roster;
/// struct { LeafIndex leaf; uint16 domain; uint16 seen; opaque key[32]; Ticket ticket; } Entry;
/// ```
#[derive(Clone, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct Roster {
    version: u8,
    /// Of the epoch, for what somebody does who holds no key of it.
    fan_out: [u8; 32],
    /// Those of the tickets, each once.
    domains: Vec<Domain>,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug, TlsSize, TlsSerialize, TlsDeserializeBytes)]
struct Entry {
    leaf: LeafIndex,
    /// Index into the domains.
    domain: u16,
    /// When the member last made a request.
    seen: Month,
    key: PublicKey,
    ticket: Ticket,
}

/// A span of 30 days since 1970: exact enough for who has left without a word.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, TlsSize, TlsSerialize, TlsDeserializeBytes,
)]
pub(crate) struct Month(pub(crate) u16);

const MONTH_SECONDS: u64 = 30 * 86_400;

impl Month {
    /// The one that holds this time.
    pub(crate) fn of(now: Timestamp) -> Self {
        Self(u16::try_from(now.0 / MONTH_SECONDS).unwrap_or(u16::MAX))
    }
}

/// Someone in the roster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RosterMember {
    pub(crate) leaf: LeafIndex,
    /// The leaf's signature key.
    pub(crate) key: PublicKey,
    /// The way into the member's queue.
    pub(crate) ticket: QualifiedTicket,
}

const VERSION: u8 = 1;

impl Roster {
    /// Of members who were all last seen in one month.
    pub(crate) fn new(
        fan_out: &FanOutKey,
        members: impl IntoIterator<Item = RosterMember>,
        seen: Month,
    ) -> Self {
        let mut roster = Self::empty(fan_out);
        let members = members.into_iter();
        members.for_each(|member| roster.insert(member, seen));
        roster
    }

    fn empty(fan_out: &FanOutKey) -> Self {
        Self {
            version: VERSION,
            fan_out: *fan_out.bytes(),
            domains: Vec::new(),
            entries: Vec::new(),
        }
    }

    /// Decode what was opened: what does not decode then is corrupt.
    ///
    /// # Errors
    /// The store's fault.
    pub(crate) fn open(stored: &Stored) -> Result<Self, StoreError> {
        Self::decode(&stored.content).ok_or(StoreError::Corrupt {
            table: PAGES.name(),
        })
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let roster: Self = decode_exact(bytes).ok()?;
        let domains = roster.domains.len();
        let known = roster
            .entries
            .iter()
            .all(|entry| usize::from(entry.domain) < domains);
        (roster.version == VERSION && known).then_some(roster)
    }

    /// For [`Changes::put`](super::part::Changes::put).
    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(encode(self))
    }

    /// What members are told under.
    pub(crate) fn fan_out(&self) -> FanOutKey {
        FanOutKey::from_bytes(self.fan_out)
    }

    /// The signature key of a leaf, if it is a member's.
    pub(crate) fn key(&self, leaf: LeafIndex) -> Option<PublicKey> {
        let index = self.index(leaf)?;
        self.entries.get(index).map(|entry| entry.key)
    }

    /// The leaf with a signature key.
    pub(crate) fn leaf(&self, key: &PublicKey) -> Option<LeafIndex> {
        let entry = self.entries.iter().find(|entry| entry.key == *key)?;
        Some(entry.leaf)
    }

    /// How many members there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Remember that a member made a request; whether that is news.
    pub(crate) fn see(&mut self, leaf: LeafIndex, month: Month) -> bool {
        let index = self.index(leaf);
        let entry = index.and_then(|index| self.entries.get_mut(index));
        let Some(entry) = entry.filter(|entry| entry.seen < month) else {
            return false;
        };
        entry.seen = month;
        true
    }

    /// Who made no request in a month or later. [DS-PROPOSE-2]
    pub(crate) fn unseen_since(&self, month: Month) -> impl Iterator<Item = LeafIndex> + '_ {
        let unseen = self.entries.iter().filter(move |entry| entry.seen < month);
        unseen.map(|entry| entry.leaf)
    }

    /// Whose ticket it is.
    pub(crate) fn holder(&self, ticket: &Ticket) -> Option<LeafIndex> {
        let entry = self.entries.iter().find(|entry| entry.ticket == *ticket)?;
        Some(entry.leaf)
    }

    /// Another way to a member.
    pub(crate) fn with_ticket(&self, leaf: LeafIndex, ticket: &QualifiedTicket) -> Self {
        let mut changed = Self::empty(&self.fan_out());
        for entry in &self.entries {
            let Some(mut member) = self.member(entry) else {
                continue;
            };
            if member.leaf == leaf {
                member.ticket = ticket.clone();
            }
            changed.insert(member, entry.seen);
        }
        changed
    }

    /// How many domains the members are reached at.
    pub(crate) fn destinations(&self) -> usize {
        self.domains.len()
    }

    /// Everybody's tickets but one's, by domain.
    pub(crate) fn tickets_without(&self, sender: LeafIndex) -> BTreeMap<&Domain, Vec<Ticket>> {
        self.tickets_where(|entry| entry.leaf != sender)
    }

    /// Everybody's tickets, by domain.
    pub(crate) fn tickets(&self) -> BTreeMap<&Domain, Vec<Ticket>> {
        self.tickets_where(|_| true)
    }

    /// One member's ticket, with its domain; nothing if there is no such member.
    pub(crate) fn ticket_of(&self, leaf: LeafIndex) -> BTreeMap<&Domain, Vec<Ticket>> {
        self.tickets_where(|entry| entry.leaf == leaf)
    }

    fn tickets_where(&self, whose: impl Fn(&Entry) -> bool) -> BTreeMap<&Domain, Vec<Ticket>> {
        let others = self.entries.iter().filter(|entry| whose(entry));
        let mut tickets: Vec<Vec<Ticket>> = self.domains.iter().map(|_| Vec::new()).collect();
        for entry in others {
            if let Some(tickets) = tickets.get_mut(usize::from(entry.domain)) {
                tickets.push(entry.ticket);
            }
        }
        let reached = self.domains.iter().zip(tickets);
        reached.filter(|(_, tickets)| !tickets.is_empty()).collect()
    }

    /// Into the next epoch: take members out and put others in.
    pub(crate) fn change(
        &self,
        fan_out: &FanOutKey,
        removed: &[LeafIndex],
        added: &[RosterMember],
        now: Month,
    ) -> Self {
        let mut changed = Self::empty(fan_out);
        let removed: BTreeSet<_> = removed.iter().collect();
        for entry in &self.entries {
            if !removed.contains(&entry.leaf)
                && let Some(member) = self.member(entry)
            {
                changed.insert(member, entry.seen);
            }
        }
        let added = added.iter().cloned();
        added.for_each(|member| changed.insert(member, now));
        changed
    }

    fn index(&self, leaf: LeafIndex) -> Option<usize> {
        let found = self.entries.binary_search_by_key(&leaf, |entry| entry.leaf);
        found.ok()
    }

    fn member(&self, entry: &Entry) -> Option<RosterMember> {
        let domain = self.domains.get(usize::from(entry.domain))?.clone();
        let ticket = QualifiedTicket {
            domain,
            ticket: entry.ticket,
        };
        Some(RosterMember {
            leaf: entry.leaf,
            key: entry.key,
            ticket,
        })
    }

    fn insert(&mut self, member: RosterMember, seen: Month) {
        let QualifiedTicket { domain, ticket } = member.ticket;
        let known = self.domains.iter().position(|known| *known == domain);
        let domain = known.unwrap_or_else(|| {
            self.domains.push(domain);
            self.domains.len() - 1
        });
        let domain = u16::try_from(domain).unwrap_or(u16::MAX);
        let entry = Entry {
            leaf: member.leaf,
            domain,
            seen,
            key: member.key,
            ticket,
        };
        let index = self
            .entries
            .partition_point(|other| other.leaf < entry.leaf);
        self.entries.insert(index, entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(leaf: u32, domain: &str) -> RosterMember {
        let byte = u8::try_from(leaf).unwrap();
        let ticket = QualifiedTicket {
            domain: domain.parse().unwrap(),
            ticket: Ticket([byte; 64]),
        };
        RosterMember {
            leaf: LeafIndex(leaf),
            key: PublicKey([byte; 32]),
            ticket,
        }
    }

    fn fan_out() -> FanOutKey {
        FanOutKey::from_bytes([5; 32])
    }

    fn roster(members: impl IntoIterator<Item = RosterMember>) -> Roster {
        Roster::new(&fan_out(), members, Month(7))
    }

    #[test]
    fn members_who_make_no_requests_are_found() {
        let mut roster = roster([member(1, "a"), member(2, "b")]);
        assert!(roster.see(LeafIndex(1), Month(9)));
        assert!(!roster.see(LeafIndex(1), Month(9)), "that is known");
        assert!(!roster.see(LeafIndex(3), Month(9)), "no member");
        let unseen = |month| roster.unseen_since(month).collect::<Vec<_>>();
        assert_eq!(unseen(Month(8)), [LeafIndex(2)]);
        assert_eq!(unseen(Month(7)), []);
    }

    #[test]
    fn another_ticket_is_a_members_only_way() {
        let roster = roster([member(1, "a"), member(2, "a")]);
        let changed = roster.with_ticket(LeafIndex(1), &member(9, "c").ticket);
        assert_eq!(changed.holder(&Ticket([9; 64])), Some(LeafIndex(1)));
        assert_eq!(changed.holder(&Ticket([1; 64])), None);
        assert_eq!(changed.destinations(), 2);
        assert_eq!(changed.len(), 2);
        assert!(changed.fan_out() == roster.fan_out());
    }

    #[test]
    fn a_roster_survives_encoding() {
        let roster = roster([member(3, "b"), member(1, "a"), member(2, "b")]);
        let decoded = Roster::decode(&roster.encode()).unwrap();
        assert_eq!(decoded.encode(), roster.encode());
        assert_eq!(decoded.key(LeafIndex(3)), Some(PublicKey([3; 32])));
        assert_eq!(decoded.key(LeafIndex(0)), None);
    }

    #[test]
    fn tickets_are_grouped_by_domain_without_the_sender() {
        let roster = roster([member(0, "a"), member(1, "b"), member(2, "b")]);
        let tickets = roster.tickets_without(LeafIndex(0));
        let expected: Domain = "b".parse().unwrap();
        assert_eq!(
            tickets.into_iter().collect::<Vec<_>>(),
            [(&expected, vec![Ticket([1; 64]), Ticket([2; 64])])]
        );
    }

    #[test]
    fn a_change_forgets_domains_that_nobody_is_at() {
        let roster = roster([member(0, "a"), member(1, "b")]);
        let changed = roster.change(&fan_out(), &[LeafIndex(1)], &[member(1, "c")], Month(8));
        assert_eq!(changed.key(LeafIndex(1)), Some(PublicKey([1; 32])));
        assert_eq!(changed.destinations(), 2);
        assert_eq!(
            changed
                .tickets_without(LeafIndex(0))
                .keys()
                .next()
                .unwrap()
                .as_str(),
            "c"
        );
    }

    #[test]
    fn a_roster_of_another_version_does_not_decode() {
        let mut bytes = roster([member(0, "a")]).encode();
        bytes[0] = 2;
        assert!(Roster::decode(&bytes).is_none());
    }
}
