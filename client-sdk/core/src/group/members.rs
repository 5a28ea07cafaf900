//! Who is behind the leaves: opening and verifying sealed identities, and seeing changes.

use std::collections::BTreeMap;

use openmls::prelude::{LeafNode, LeafNodeIndex, MlsGroup};
use protocol::codec::{decode_exact, encode};
use protocol::crypto::credential::VerifiedServerKeys;
use protocol::crypto::identity::{Identity, SealedIdentity, WrappedLinkKey};
use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::signature::PublicKey;
use protocol::entry::LeafLinkKey;
use protocol::id::{ClientId, Domain, Fingerprint, GroupId, LeafIndex, UserAddress};

use crate::error::Error;
use crate::event::Person;
use crate::group::leaf::{sealed_identity, signature_key};
use crate::hex;
use crate::state::JobState;
use crate::tx::{Tx, stored};

/// What a change of the tree did to the members.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) added: Vec<Person>,
    pub(crate) removed: Vec<Person>,
    /// Somebody who was added is not verified.
    pub(crate) unverified: bool,
    /// Somebody else stands behind a leaf than before.
    pub(crate) identity_changed: bool,
}

/// Link keys that came with a change, wrapped under the group's identity key.
pub(crate) trait LinkKeys {
    fn find(&self, leaf: LeafIndex, key: &PublicKey) -> Option<WrappedLinkKey>;
}

/// From the delivery service: by leaf.
impl LinkKeys for BTreeMap<LeafIndex, WrappedLinkKey> {
    fn find(&self, leaf: LeafIndex, _: &PublicKey) -> Option<WrappedLinkKey> {
        self.get(&leaf).copied()
    }
}

/// Of a commit of ours, whose places in the tree were not known when it was made: by key.
impl LinkKeys for BTreeMap<PublicKey, WrappedLinkKey> {
    fn find(&self, _: LeafIndex, key: &PublicKey) -> Option<WrappedLinkKey> {
        self.get(key).copied()
    }
}

/// The same from a list.
pub(crate) fn by_leaf(links: &[LeafLinkKey]) -> BTreeMap<LeafIndex, WrappedLinkKey> {
    links.iter().map(|link| (link.leaf, link.key)).collect()
}

/// A member's row, as far as a change of the tree can show.
struct Known {
    key: [u8; 32],
    sealed: Vec<u8>,
}

/// Server keys that were looked up during one change.
type Issuers = BTreeMap<(Domain, Fingerprint), Option<VerifiedServerKeys>>;

impl Tx<'_> {
    /// Compare the tree with the members' rows and bring these up to date.
    pub(crate) fn refresh_members(
        &self,
        group: &GroupId,
        mls: &MlsGroup,
        identity_key: &SymmetricKey,
        link_keys: &impl LinkKeys,
    ) -> Result<Changes, Error> {
        let mut known = self.known_members(group)?;
        let (mut changes, mut issuers) = (Changes::default(), Issuers::new());
        for member in mls.members() {
            let leaf = LeafIndex(member.index.u32());
            let node = leaf_node(mls, leaf)?;
            let key = signature_key(node).ok_or(Error::Mls("leaf key"))?;
            let sealed = sealed_identity(node).unwrap_or_default();
            let before = known.remove(&leaf.0);
            let same = |row: &Known| row.key == key.0 && row.sealed == sealed;
            if before.as_ref().is_some_and(same) {
                continue;
            }
            let verified = match link_keys.find(leaf, &key) {
                Some(wrapped) => {
                    let identity = open_identity(sealed, &wrapped, identity_key, &key);
                    self.save_member(group, (leaf, node), identity.as_ref(), &mut issuers)?
                }
                None => self.save_member(group, (leaf, node), None, &mut issuers)?,
            };
            let moved = known.iter().find(|(_, row)| row.key == key.0);
            if let Some(leaf) = moved.map(|(leaf, _)| *leaf) {
                // The same member at another leaf, by an external commit of its own.
                known.remove(&leaf);
                if let Some(row) = before {
                    changes.removed.push(self.retire(group, row.key)?);
                }
                continue;
            }
            match before {
                // The same key with another identity: an update that no honest server lets pass.
                Some(row) if row.key == key.0 => {
                    changes.identity_changed = true;
                    continue;
                }
                // A leaf that one commit emptied and filled again: one went, one came.
                Some(row) => changes.removed.push(self.retire(group, row.key)?),
                None => {}
            }
            changes.unverified |= !verified;
            changes.added.push(self.member_by_key(group, key.0)?);
        }
        for row in known.into_values() {
            changes.removed.push(self.retire(group, row.key)?);
        }
        Ok(changes)
    }

    fn known_members(&self, group: &GroupId) -> Result<BTreeMap<u32, Known>, Error> {
        let rows = self.rows(
            "SELECT leaf, signature_key, sealed FROM members WHERE grp = ?1 AND gone = 0",
            [group.0],
            |row| {
                Ok((
                    row.get(0)?,
                    Known {
                        key: row.get(1)?,
                        sealed: row.get(2)?,
                    },
                ))
            },
        )?;
        Ok(rows.into_iter().collect())
    }

    /// Write a member's row; gives whether the identity is verified.
    fn save_member(
        &self,
        group: &GroupId,
        (leaf, node): (LeafIndex, &LeafNode),
        identity: Option<&Identity>,
        issuers: &mut Issuers,
    ) -> Result<bool, Error> {
        let key = signature_key(node).ok_or(Error::Mls("leaf key"))?;
        let verified = match identity {
            Some(identity) => self.verify_identity(identity, &key, issuers)?,
            None => false,
        };
        self.execute(
            "INSERT OR REPLACE INTO members
                 (grp, signature_key, leaf, pseudonym, sealed, identity, verified, gone)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0)",
            (
                group.0,
                key.0,
                leaf.0,
                node.credential().serialized_content(),
                sealed_identity(node).unwrap_or_default(),
                identity.map(encode),
                verified,
            ),
        )?;
        Ok(verified)
    }

    /// Check credential, leaf signature and the domain's pinned keys. [SDK-IDENTITY-1]
    fn verify_identity(
        &self,
        identity: &Identity,
        key: &PublicKey,
        issuers: &mut Issuers,
    ) -> Result<bool, Error> {
        let tbs = &identity.credential.request.tbs;
        let place = (tbs.user.domain.clone(), tbs.issuer);
        if !issuers.contains_key(&place) {
            let keys = self.issuer(&place.0, place.1)?;
            if keys.is_none() {
                let domain = place.0.as_str().to_owned();
                self.ensure_upkeep(&JobState::FetchServerKeys { domain })?;
            }
            issuers.insert(place.clone(), keys);
        }
        let issuer = issuers.get(&place).and_then(Option::as_ref);
        Ok(issuer.is_some_and(|issuer| identity.verify(key, issuer, self.now).is_ok()))
    }

    /// A domain's keys have come: look again at members that are not verified.
    pub(crate) fn verify_members(&self, domain: &Domain) -> Result<(), Error> {
        let rows = self.rows(
            "SELECT grp, signature_key, identity FROM members
             WHERE verified = 0 AND gone = 0 AND identity IS NOT NULL",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, Vec<u8>>(2)?)),
        )?;
        let mut issuers = Issuers::new();
        for (group, key, identity) in rows {
            let (group, key): ([u8; 16], [u8; 32]) = (group, key);
            let identity: Identity = stored(&identity, "identity")?;
            if identity.credential.request.tbs.user.domain == *domain
                && self.verify_identity(&identity, &PublicKey(key), &mut issuers)?
            {
                self.execute(
                    "UPDATE members SET verified = 1 WHERE grp = ?1 AND signature_key = ?2",
                    (group, key),
                )?;
            }
        }
        Ok(())
    }

    /// A member went: the row stays while messages of theirs may still come.
    fn retire(&self, group: &GroupId, key: [u8; 32]) -> Result<Person, Error> {
        let person = self.member_by_key(group, key)?;
        self.execute(
            "UPDATE members SET gone = 1 WHERE grp = ?1 AND signature_key = ?2",
            (group.0, key),
        )?;
        Ok(person)
    }

    pub(crate) fn member_by_key(&self, group: &GroupId, key: [u8; 32]) -> Result<Person, Error> {
        self.member_where(
            "SELECT identity, verified FROM members WHERE grp = ?1 AND signature_key = ?2",
            group,
            &key,
        )
    }

    /// The sender of a message, present or gone.
    pub(crate) fn member_by_pseudonym(
        &self,
        group: &GroupId,
        pseudonym: &[u8],
    ) -> Result<Person, Error> {
        self.member_where(
            "SELECT identity, verified FROM members WHERE grp = ?1 AND pseudonym = ?2
             ORDER BY gone LIMIT 1",
            group,
            pseudonym,
        )
    }

    /// The signature key of a present member.
    pub(crate) fn member_key(
        &self,
        group: &GroupId,
        leaf: LeafIndex,
    ) -> Result<Option<PublicKey>, Error> {
        self.row(
            "SELECT signature_key FROM members WHERE grp = ?1 AND leaf = ?2 AND gone = 0",
            (group.0, leaf.0),
            |row| row.get(0).map(PublicKey),
        )
    }

    pub(crate) fn member_at(&self, group: &GroupId, leaf: LeafIndex) -> Result<Person, Error> {
        let key = self.member_key(group, leaf)?;
        key.map_or_else(|| Ok(nobody()), |key| self.member_by_key(group, key.0))
    }

    fn member_where(&self, sql: &str, group: &GroupId, value: &[u8]) -> Result<Person, Error> {
        let row = self.row(sql, (group.0, value), |row| {
            Ok((row.get::<_, Option<Vec<u8>>>(0)?, row.get(1)?))
        })?;
        match row {
            Some((Some(identity), verified)) => self.person(&identity, verified),
            Some((None, _)) | None => Ok(nobody()),
        }
    }

    /// Somebody as a stored identity says.
    pub(crate) fn person(&self, identity: &[u8], verified: bool) -> Result<Person, Error> {
        let identity: Identity = stored(identity, "identity")?;
        let tbs = &identity.credential.request.tbs;
        if verified {
            return self.verified_person(&tbs.user, tbs.client);
        }
        Ok(Person {
            address: Some(hex::address(&tbs.user)),
            client: Some(hex::encode(&tbs.client.0)),
            ..nobody()
        })
    }

    /// Whether a client is a verified member.
    pub(crate) fn is_member(
        &self,
        group: &GroupId,
        user: &UserAddress,
        client: ClientId,
    ) -> Result<bool, Error> {
        Ok(self.identities(group)?.iter().any(|identity| {
            let tbs = &identity.credential.request.tbs;
            tbs.user == *user && tbs.client == client
        }))
    }

    /// The identities of the verified members.
    pub(crate) fn identities(&self, group: &GroupId) -> Result<Vec<Identity>, Error> {
        let identities = self.rows(
            "SELECT identity FROM members
             WHERE grp = ?1 AND gone = 0 AND verified = 1 AND identity IS NOT NULL",
            [group.0],
            |row| row.get::<_, Vec<u8>>(0),
        )?;
        let identities = identities.iter();
        identities.map(|it| stored(it, "identity")).collect()
    }
}

/// Somebody of whom nothing is known.
pub(crate) fn nobody() -> Person {
    Person {
        address: None,
        client: None,
        username: None,
        display_name: None,
        verified: false,
        is_self: false,
    }
}

fn leaf_node(mls: &MlsGroup, leaf: LeafIndex) -> Result<&LeafNode, Error> {
    mls.public_group()
        .leaf(LeafNodeIndex::new(leaf.0))
        .ok_or(Error::Mls("leaf"))
}

fn open_identity(
    sealed: &[u8],
    wrapped: &WrappedLinkKey,
    identity_key: &SymmetricKey,
    key: &PublicKey,
) -> Option<Identity> {
    let link_key = wrapped.open(identity_key, key).ok()?;
    let sealed: SealedIdentity = decode_exact(sealed).ok()?;
    Identity::open(&sealed, &link_key, key).ok()
}
