//! Connection groups: for which contact they are, and who is in them.

use protocol::group_policy::GroupKind;
use protocol::id::GroupId;

use crate::error::Error;
use crate::group::StoredGroup;
use crate::job::JobKind;
use crate::tx::Tx;

/// Who is in a connection group besides us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Company {
    Nobody,
    /// The very contact that the group is for, and nobody else.
    Contact,
    /// Somebody else, or somebody of whom we do not know who it is.
    Stranger,
}

impl Tx<'_> {
    /// The groups that are for a contact and us, the smallest id first: those that we are in or are
    /// creating, unless we are about to delete them.
    pub(crate) fn connection_groups_with(&self, contact: i64) -> Result<Vec<GroupId>, Error> {
        let groups = self.rows(
            "SELECT id FROM groups JOIN connection_groups ON grp = id
             WHERE contact = ?1 AND state <> 2 ORDER BY id",
            [contact],
            |row| row.get(0).map(GroupId),
        )?;
        let mut staying = Vec::with_capacity(groups.len());
        for group in groups {
            if !self.has_job(&group, &[JobKind::DeleteGroup])? {
                staying.push(group);
            }
        }
        Ok(staying)
    }

    /// The first of them that is in this company.
    pub(crate) fn connection_group_in(
        &self,
        contact: i64,
        company: Company,
    ) -> Result<Option<GroupId>, Error> {
        for group in self.connection_groups_with(contact)? {
            if self.company(&group)? == company {
                return Ok(Some(group));
            }
        }
        Ok(None)
    }

    /// From now on this group is for the contact and us.
    pub(crate) fn save_connection_group(&self, group: &GroupId, contact: i64) -> Result<(), Error> {
        self.execute(
            "INSERT OR REPLACE INTO connection_groups (grp, contact) VALUES (?1, ?2)",
            (group.0, contact),
        )?;
        Ok(())
    }

    /// The contact that a connection group is for.
    pub(crate) fn contact_of(&self, group: &GroupId) -> Result<Option<i64>, Error> {
        self.row(
            "SELECT contact FROM connection_groups WHERE grp = ?1",
            [group.0],
            |row| row.get(0),
        )
    }

    /// Who is with us in a connection group. [SDK-CONNECTION-1]
    pub(crate) fn company(&self, group: &GroupId) -> Result<Company, Error> {
        let members = "SELECT count(*) FROM members WHERE grp = ?1 AND gone = 0";
        let members = self.count(members, [group.0])?;
        if members < 2 {
            return Ok(Company::Nobody);
        }
        let Some(contact) = self.contact_of(group)? else {
            return Ok(Company::Stranger);
        };
        let contact = self.contact(contact)?;
        let is_there = self.identities(group)?.iter().any(|identity| {
            let tbs = &identity.credential.request.tbs;
            let is_person = tbs.user == contact.user && tbs.client == contact.client;
            is_person && tbs.public_key == contact.client_key
        });
        Ok(match is_there && members == 2 {
            true => Company::Contact,
            false => Company::Stranger,
        })
    }

    /// Whether it is a connection group with somebody else than the contact that it is for.
    pub(crate) fn is_with_stranger(&self, group: &GroupId) -> Result<bool, Error> {
        Ok(self.contact_of(group)?.is_some() && self.company(group)? == Company::Stranger)
    }

    /// Whoever comes later could not read it, and a stranger must not. [SDK-CONNECTION-4]
    pub(crate) fn require_company(&self, group: &StoredGroup) -> Result<(), Error> {
        if group.policy.kind != GroupKind::Connection {
            return Ok(());
        }
        match self.company(&group.id)? {
            Company::Contact => Ok(()),
            Company::Nobody => Err(Error::Alone),
            Company::Stranger => Err(Error::Stranger),
        }
    }
}
