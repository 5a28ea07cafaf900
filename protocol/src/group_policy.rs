//! Who may do what in a group: an extension of its GroupContext. Spec: delivery.md#roles.

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::codec::decode_exact;
use crate::id::Pseudonym;
use crate::limit::GROUP_ADMINS_MAX;

/// The extension's type (RFC 9420 section 17.3, private use).
pub const GROUP_POLICY_EXTENSION: u16 = 0xf4e2;

/// What a group is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
#[repr(u8)]
pub enum GroupKind {
    /// Members are added by admins.
    Group = 1,
    /// Two people: the second enters by an external commit, nobody is added.
    Connection = 2,
}

/// Roles, by the pseudonyms that members keep as long as they are in.
///
/// ```text
/// enum { group(1), connection(2) } GroupKind;
/// struct { uint8 version; GroupKind kind; Pseudonym admins<V>; } GroupPolicy;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct GroupPolicy {
    version: u8,
    /// What the group is for.
    pub kind: GroupKind,
    /// Who may add, remove, change roles and delete: sorted, each once.
    admins: Vec<Pseudonym>,
}

/// What a member may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    Admin,
    /// Send, update its own keys and ticket, commit what others propose, leave.
    Member,
}

const VERSION: u8 = 1;

impl GroupPolicy {
    /// Admins in any order, repetitions allowed. Surplus ones are not taken.
    #[must_use]
    pub fn new(kind: GroupKind, admins: impl IntoIterator<Item = Pseudonym>) -> Self {
        let mut admins: Vec<_> = admins.into_iter().collect();
        admins.sort_unstable();
        admins.dedup();
        admins.truncate(GROUP_ADMINS_MAX);
        Self {
            version: VERSION,
            kind,
            admins,
        }
    }

    /// Decode an extension's content: one admin at least, sorted, each once.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let policy: Self = decode_exact(bytes).ok()?;
        let sorted = policy.admins.is_sorted_by(|a, b| a < b);
        let count = policy.admins.len();
        let fits = (1..=GROUP_ADMINS_MAX).contains(&count);
        (policy.version == VERSION && sorted && fits).then_some(policy)
    }

    /// The admins, sorted.
    #[must_use]
    pub fn admins(&self) -> &[Pseudonym] {
        &self.admins
    }

    /// A member's role.
    #[must_use]
    pub fn role(&self, member: &Pseudonym) -> Role {
        match self.admins.binary_search(member) {
            Ok(_) => Role::Admin,
            Err(_) => Role::Member,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::encode;

    fn pseudonym(byte: u8) -> Pseudonym {
        Pseudonym([byte; 16])
    }

    #[test]
    fn roles_follow_pseudonyms() {
        let policy = GroupPolicy::new(GroupKind::Group, [2, 1, 2].map(pseudonym));
        assert_eq!(GroupPolicy::decode(&encode(&policy)), Some(policy.clone()));
        assert_eq!(policy.role(&pseudonym(1)), Role::Admin);
        assert_eq!(policy.role(&pseudonym(3)), Role::Member);
    }

    #[test]
    fn a_policy_without_admins_or_order_is_none() {
        let none = GroupPolicy::new(GroupKind::Group, []);
        assert_eq!(GroupPolicy::decode(&encode(&none)), None);
        let mut unsorted = GroupPolicy::new(GroupKind::Connection, [1, 2].map(pseudonym));
        unsorted.admins.reverse();
        assert_eq!(GroupPolicy::decode(&encode(&unsorted)), None);
        unsorted.admins = vec![pseudonym(1); 2];
        assert_eq!(GroupPolicy::decode(&encode(&unsorted)), None);
    }
}
