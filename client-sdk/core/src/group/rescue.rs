//! Helping members who cannot help themselves: an admin's client removes them and adds them again.
//!
//! A complaint says that its maker is stuck. It may help itself, by a revert or a resync; whoever is
//! still stuck after that time is helped by an admin who has it as a contact.

use protocol::crypto::identity::Identity;
use protocol::crypto::signature::PublicKey;
use protocol::group_policy::{GroupKind, Role};
use protocol::id::GroupId;

use crate::error::Error;
use crate::job::JobKind;
use crate::state::{CommitState, JobState};
use crate::tx::{Tx, stored};

/// How long a member has to help itself.
const PATIENCE_SECONDS: u64 = 300;
/// Members helped at a time.
const RESCUES_MAX: u64 = 8;

/// Somebody who is stuck and can be helped by us.
struct Stuck {
    leaf: u32,
    key: [u8; 32],
    contact: i64,
}

impl Tx<'_> {
    /// A member has said that it is stuck.
    pub(crate) fn note_stuck(&self, group: &GroupId, key: &PublicKey) -> Result<(), Error> {
        self.execute(
            "INSERT OR IGNORE INTO stuck (grp, signature_key, since) VALUES (?1, ?2, ?3)",
            (group.0, key.0, self.now.0),
        )?;
        Ok(())
    }

    /// A member is back by an external commit.
    pub(crate) fn is_back(&self, group: &GroupId, pseudonym: &[u8]) -> Result<(), Error> {
        self.execute(
            "DELETE FROM stuck WHERE grp = ?1 AND signature_key IN
                 (SELECT signature_key FROM members WHERE grp = ?1 AND pseudonym = ?2)",
            (group.0, pseudonym),
        )?;
        Ok(())
    }

    /// What members were stuck at was undone.
    pub(crate) fn nobody_is_stuck(&self, group: &GroupId) -> Result<(), Error> {
        self.execute("DELETE FROM stuck WHERE grp = ?1", [group.0])?;
        Ok(())
    }

    /// Remove and add again who has been stuck for too long, as far as that is ours to do.
    /// [SDK-HEAL-3]
    pub(crate) fn keep_rescues(&self) -> Result<(), Error> {
        let due = self.rows(
            "SELECT DISTINCT grp FROM stuck WHERE since < ?1",
            [self.now.0.saturating_sub(PATIENCE_SECONDS)],
            |row| Ok(GroupId(row.get(0)?)),
        )?;
        for group in due {
            if self.has_job(&group, &[JobKind::CommitGroup])? {
                continue;
            }
            let stuck = self.stuck_contacts(&group)?;
            self.nobody_is_stuck(&group)?;
            if !stuck.is_empty() {
                self.rescue(&group, &stuck)?;
            }
        }
        Ok(())
    }

    /// Those whom we may and can help.
    fn stuck_contacts(&self, group: &GroupId) -> Result<Vec<Stuck>, Error> {
        let Some(stored_group) = self.find_active_group(group)? else {
            return Ok(Vec::new());
        };
        let is_ours = self.own_role(&stored_group)? == Role::Admin;
        // Nobody is added to a connection group, so whoever was removed would be out for good.
        let is_possible = is_ours && stored_group.policy.kind == GroupKind::Group;
        if !is_possible || self.damage(group)?.is_some() {
            return Ok(Vec::new());
        }
        let rows = self.rows(
            "SELECT m.leaf, m.signature_key, m.identity FROM members m
             JOIN stuck s ON s.grp = m.grp AND s.signature_key = m.signature_key
             WHERE m.grp = ?1 AND m.gone = 0 AND m.verified = 1 AND m.identity IS NOT NULL
             LIMIT ?2",
            (group.0, RESCUES_MAX),
            |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, Vec<u8>>(2)?)),
        )?;
        let mut found = Vec::with_capacity(rows.len());
        for (leaf, key, identity) in rows {
            let identity: Identity = stored(&identity, "identity")?;
            let tbs = &identity.credential.request.tbs;
            let contact = self.row(
                "SELECT id FROM contacts WHERE domain = ?1 AND user = ?2 AND client = ?3",
                (tbs.user.domain.as_str(), tbs.user.id.0, tbs.client.0),
                |row| row.get(0),
            )?;
            if let Some(contact) = contact {
                found.push(Stuck { leaf, key, contact });
            }
        }
        Ok(found)
    }

    fn rescue(&self, group: &GroupId, stuck: &[Stuck]) -> Result<(), Error> {
        let remove = CommitState {
            removed: stuck.iter().map(|it| (it.leaf, it.key)).collect(),
            ..CommitState::new()
        };
        let add = CommitState {
            wanted: stuck.iter().map(|it| it.contact).collect(),
            ..CommitState::new()
        };
        for commit in [remove, add] {
            self.add_job(&JobState::CommitGroup(commit), Some(group))?;
        }
        Ok(())
    }
}
