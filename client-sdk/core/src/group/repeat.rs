//! What of ours is done again when the epoch in which it was done is undone: invitations, removals,
//! changes of roles, messages for one member. What was said to all is known by its number.
//!
//! ```text
//! accepted --noted with its number--> forgotten when nothing can be undone any more
//!                |  a revert of an earlier commit
//!                +--> a new job does it again
//! ```

use protocol::id::GroupId;

use crate::error::Error;
use crate::group::retained::RETENTION_SECONDS;
use crate::state::{CommitState, JobState, Purpose};
use crate::tx::Tx;

impl Tx<'_> {
    /// A commit of ours was accepted under this number.
    pub(crate) fn note_commit(
        &self,
        group: &GroupId,
        number: u64,
        commit: &CommitState,
    ) -> Result<(), Error> {
        if commit.purpose != Purpose::Asked || commit.is_update() {
            return Ok(());
        }
        // The KeyPackages are used up.
        let taken = commit.taken.iter().map(|taken| taken.contact);
        let again = CommitState {
            wanted: taken.chain(commit.wanted.iter().copied()).collect(),
            removed: commit.removed.clone(),
            roles: commit.roles.clone(),
            ..CommitState::new()
        };
        let place = (number.saturating_sub(1), Some(number));
        self.note_done(group, place, &JobState::CommitGroup(again))
    }

    /// A message of ours for one member was accepted, after the event with this number.
    pub(crate) fn note_direct(
        &self,
        group: &GroupId,
        after: u64,
        message: i64,
    ) -> Result<(), Error> {
        let again = JobState::SendToMember {
            message,
            sent: None,
            behind: None,
        };
        self.note_done(group, (after, None), &again)
    }

    /// What undoes the event before undoes it, too.
    fn note_done(
        &self,
        group: &GroupId,
        (after, number): (u64, Option<u64>),
        job: &JobState,
    ) -> Result<(), Error> {
        let until = self.now.0.saturating_add(RETENTION_SECONDS);
        self.execute(
            "INSERT INTO done (grp, after, number, until, job) VALUES (?1, ?2, ?3, ?4, ?5)",
            (group.0, after, number, until, &*job.pack()?),
        )?;
        Ok(())
    }

    /// What we have done since the commit of this number is void: do it again, in its order. What
    /// was undone itself stays so. [SDK-REVERT-4]
    pub(crate) fn repeat_void(&self, group: &GroupId, commit: u64) -> Result<(), Error> {
        let void = self.rows(
            "SELECT job FROM done WHERE grp = ?1 AND after >= ?2 ORDER BY id",
            (group.0, commit),
            |row| row.get::<_, Vec<u8>>(0),
        )?;
        self.execute(
            "DELETE FROM done WHERE grp = ?1 AND (after >= ?2 OR number = ?2)",
            (group.0, commit),
        )?;
        for job in void {
            let job = JobState::unpack(&job)?;
            if let JobState::SendToMember { message, .. } = &job {
                self.execute("UPDATE messages SET state = 0 WHERE id = ?1", [message])?;
            }
            self.add_job(&job, Some(group))?;
        }
        Ok(())
    }

    /// Forget what nobody can undo any more.
    pub(crate) fn forget_done(&self) -> Result<(), Error> {
        self.execute("DELETE FROM done WHERE until < ?1", [self.now.0])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use protocol::time::Timestamp;

    use super::*;
    use crate::Core;

    const GROUP: GroupId = GroupId([1; 16]);

    fn left(tx: &Tx<'_>) -> Vec<(u64, Option<u64>)> {
        let sql = "SELECT after, number FROM done ORDER BY id";
        let rows = tx.rows(sql, [], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.unwrap()
    }

    /// [SDK-REVERT-4]
    #[test]
    fn what_came_before_a_commit_that_is_undone_can_still_become_void() {
        let mut core = Core::open_in_memory().unwrap();
        let done = core.transact(Timestamp(1), |tx| {
            let removal = CommitState {
                removed: vec![(3, [0; 32])],
                ..CommitState::new()
            };
            tx.note_direct(&GROUP, 4, 1)?;
            tx.note_commit(&GROUP, 5, &removal)?;
            tx.note_direct(&GROUP, 5, 2)?;
            // The fifth is undone: what followed it is done again, it is not, and what came before
            // it stands.
            tx.repeat_void(&GROUP, 5)?;
            assert_eq!(left(tx), [(4, None)]);
            tx.repeat_void(&GROUP, 4)?;
            assert_eq!(left(tx), []);
            tx.count("SELECT count(*) FROM jobs", [])
        });
        assert_eq!(done.unwrap(), 2);
    }
}
