//! Roles as this client knows them, so that what nobody would allow is not even sent.

use openmls::prelude::MlsGroup;
use protocol::codec::encode;
use protocol::crypto::signature::PublicKey;
use protocol::group_policy::{GroupPolicy, Role};
use protocol::id::{GroupId, Pseudonym};

use crate::error::Error;
use crate::event::Person;
use crate::group::StoredGroup;
use crate::group::context;
use crate::tx::Tx;

/// Who became admin and who is not any more.
#[derive(Debug, Default)]
pub(crate) struct RoleChanges {
    pub(crate) promoted: Vec<Person>,
    pub(crate) demoted: Vec<Person>,
}

impl RoleChanges {
    pub(crate) fn is_empty(&self) -> bool {
        self.promoted.is_empty() && self.demoted.is_empty()
    }
}

impl Tx<'_> {
    /// The pseudonym of a present member.
    pub(crate) fn pseudonym(
        &self,
        group: &GroupId,
        key: &PublicKey,
    ) -> Result<Option<Pseudonym>, Error> {
        self.row(
            "SELECT pseudonym FROM members WHERE grp = ?1 AND signature_key = ?2 AND gone = 0",
            (group.0, key.0),
            |row| row.get(0).map(Pseudonym),
        )
    }

    /// Our own role.
    pub(crate) fn own_role(&self, group: &StoredGroup) -> Result<Role, Error> {
        let own = self.pseudonym(&group.id, &group.key())?;
        Ok(own.map_or(Role::Member, |own| group.policy.role(&own)))
    }

    /// Only admins may go on. [DS-ROLE-1] [SDK-ROLE-1]
    pub(crate) fn require_admin(&self, group: &StoredGroup) -> Result<(), Error> {
        match self.own_role(group)? {
            Role::Admin => Ok(()),
            Role::Member => Err(Error::NotAdmin),
        }
    }

    /// The pseudonyms of the members who are in and stay when what waits is committed, ourselves
    /// included.
    pub(crate) fn staying(
        &self,
        group: &GroupId,
        mls: &MlsGroup,
    ) -> Result<Vec<(u32, Pseudonym)>, Error> {
        let going = Self::going(mls);
        let members = self.rows(
            "SELECT leaf, pseudonym FROM members WHERE grp = ?1 AND gone = 0",
            [group.0],
            |row| Ok((row.get::<_, u32>(0)?, Pseudonym(row.get(1)?))),
        )?;
        let stays = |(leaf, _): &(u32, Pseudonym)| !going.contains(leaf);
        Ok(members.into_iter().filter(stays).collect())
    }

    /// Take over the roles of the epoch that was entered; says what changed.
    pub(crate) fn refresh_roles(
        &self,
        group: &StoredGroup,
        mls: &MlsGroup,
    ) -> Result<RoleChanges, Error> {
        let Some(policy) = context::policy(mls.extensions()) else {
            // No server lets this pass, and no member relies on it.
            return Ok(RoleChanges::default());
        };
        if policy == group.policy {
            return Ok(RoleChanges::default());
        }
        self.execute(
            "UPDATE groups SET policy = ?2 WHERE id = ?1",
            (group.id.0, encode(&policy)),
        )?;
        Ok(RoleChanges {
            promoted: self.difference(&group.id, &policy, &group.policy)?,
            demoted: self.difference(&group.id, &group.policy, &policy)?,
        })
    }

    /// Present members who are admin in one policy and not in the other.
    fn difference(
        &self,
        group: &GroupId,
        policy: &GroupPolicy,
        other: &GroupPolicy,
    ) -> Result<Vec<Person>, Error> {
        let mut people = Vec::new();
        for admin in policy.admins() {
            let present = "SELECT count(*) FROM members
                           WHERE grp = ?1 AND pseudonym = ?2 AND gone = 0";
            let is_present = self.count(present, (group.0, admin.0))? > 0;
            if is_present && other.role(admin) == Role::Member {
                people.push(self.member_by_pseudonym(group, &admin.0)?);
            }
        }
        Ok(people)
    }
}
