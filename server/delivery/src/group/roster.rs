//! Who is in a group and how to reach them: all that sending a message has to open.

use std::collections::BTreeMap;

use protocol::codec::{decode_exact, encode};
use protocol::contact::{QualifiedTicket, Ticket};
use protocol::crypto::signature::PublicKey;
use protocol::id::{Domain, LeafIndex};
use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

/// The members of a group in the order of their leaves.
///
/// ```text
/// struct { uint8 version; Domain domains<V>; Entry entries<V>; } Roster;
/// struct { LeafIndex leaf; uint16 domain; opaque key[32]; Ticket ticket; } Entry;
/// ```
#[derive(Clone, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct Roster {
    version: u8,
    /// Those of the tickets, each once.
    domains: Vec<Domain>,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug, TlsSize, TlsSerialize, TlsDeserializeBytes)]
struct Entry {
    leaf: LeafIndex,
    /// Index into the domains.
    domain: u16,
    key: PublicKey,
    ticket: Ticket,
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
    pub(crate) fn new(members: impl IntoIterator<Item = RosterMember>) -> Self {
        let mut roster = Self {
            version: VERSION,
            domains: Vec::new(),
            entries: Vec::new(),
        };
        members.into_iter().for_each(|member| roster.insert(member));
        roster
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let roster: Self = decode_exact(bytes).ok()?;
        let domains = roster.domains.len();
        let known = roster
            .entries
            .iter()
            .all(|entry| usize::from(entry.domain) < domains);
        (roster.version == VERSION && known).then_some(roster)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// The signature key of a leaf, if it is a member's.
    pub(crate) fn key(&self, leaf: LeafIndex) -> Option<PublicKey> {
        let index = self
            .entries
            .binary_search_by_key(&leaf, |entry| entry.leaf)
            .ok()?;
        self.entries.get(index).map(|entry| entry.key)
    }

    /// How many domains the members are reached at.
    pub(crate) fn destinations(&self) -> usize {
        self.domains.len()
    }

    /// Everybody's tickets but one's, by domain.
    pub(crate) fn tickets_without(&self, sender: LeafIndex) -> BTreeMap<&Domain, Vec<Ticket>> {
        let others = self.entries.iter().filter(|entry| entry.leaf != sender);
        let mut tickets: Vec<Vec<Ticket>> = self.domains.iter().map(|_| Vec::new()).collect();
        for entry in others {
            if let Some(tickets) = tickets.get_mut(usize::from(entry.domain)) {
                tickets.push(entry.ticket);
            }
        }
        let reached = self.domains.iter().zip(tickets);
        reached.filter(|(_, tickets)| !tickets.is_empty()).collect()
    }

    /// Take members out and put others in.
    pub(crate) fn change(&self, removed: &[LeafIndex], added: &[RosterMember]) -> Self {
        let staying = self
            .entries
            .iter()
            .filter(|entry| !removed.contains(&entry.leaf));
        let staying = staying.filter_map(|entry| self.member(entry));
        Self::new(staying.chain(added.iter().cloned()))
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

    fn insert(&mut self, member: RosterMember) {
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

    #[test]
    fn a_roster_survives_encoding() {
        let roster = Roster::new([member(3, "b"), member(1, "a"), member(2, "b")]);
        let decoded = Roster::decode(&roster.encode()).unwrap();
        assert_eq!(decoded.encode(), roster.encode());
        assert_eq!(decoded.key(LeafIndex(3)), Some(PublicKey([3; 32])));
        assert_eq!(decoded.key(LeafIndex(0)), None);
    }

    #[test]
    fn tickets_are_grouped_by_domain_without_the_sender() {
        let roster = Roster::new([member(0, "a"), member(1, "b"), member(2, "b")]);
        let tickets = roster.tickets_without(LeafIndex(0));
        let expected: Domain = "b".parse().unwrap();
        assert_eq!(
            tickets.into_iter().collect::<Vec<_>>(),
            [(&expected, vec![Ticket([1; 64]), Ticket([2; 64])])]
        );
    }

    #[test]
    fn a_change_forgets_domains_that_nobody_is_at() {
        let roster = Roster::new([member(0, "a"), member(1, "b")]);
        let changed = roster.change(&[LeafIndex(1)], &[member(1, "c")]);
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
        let mut bytes = Roster::new([member(0, "a")]).encode();
        bytes[0] = 2;
        assert!(Roster::decode(&bytes).is_none());
    }
}
