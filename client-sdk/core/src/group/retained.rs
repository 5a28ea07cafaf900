//! States from before commits, kept while the delivery service can still go back to them.

use protocol::id::GroupId;

use crate::error::Error;
use crate::group::snapshot::Snapshot;
use crate::tx::{Tx, storable};

/// The service's window is ten minutes; the rest is for what is under way.
pub(super) const RETENTION_SECONDS: u64 = 900;
/// The service keeps no more commits that it could undo.
const RETAINED_MAX: u64 = 32;
/// Bytes of one group's retained states: the state of a large group is about a mebibyte.
const RETAINED_BYTES_MAX: u64 = 64 * 1_024 * 1_024;

impl Tx<'_> {
    /// Keep the state of the present epoch, which the commit of this number ends; in the same
    /// transaction as the commit. [SDK-REVERT-1]
    pub(crate) fn retain(&self, group: &GroupId, number: u64) -> Result<(), Error> {
        let state = self.snapshot(group)?.pack()?;
        self.execute(
            "INSERT OR REPLACE INTO retained (grp, number, epoch, state_key, until, state)
             SELECT grp, ?2, epoch, state_key, ?3, ?4 FROM epochs
             WHERE grp = ?1 ORDER BY epoch DESC LIMIT 1",
            (
                group.0,
                number,
                self.now.0.saturating_add(RETENTION_SECONDS),
                &*state,
            ),
        )?;
        // The newest ones that fit.
        self.execute(
            "DELETE FROM retained WHERE grp = ?1 AND number IN
                 (SELECT number FROM
                      (SELECT number, count(*) OVER newer AS rows, sum(length(state)) OVER newer AS bytes
                       FROM retained WHERE grp = ?1 WINDOW newer AS (ORDER BY number DESC))
                  WHERE rows > ?2 OR bytes > ?3)",
            (group.0, RETAINED_MAX, RETAINED_BYTES_MAX),
        )?;
        Ok(())
    }

    /// Go back to the state from before a commit, and forget the states since; tells whether there
    /// is one.
    pub(crate) fn go_back(&self, group: &GroupId, number: u64) -> Result<bool, Error> {
        let state = self.row(
            "SELECT state FROM retained WHERE grp = ?1 AND number = ?2",
            (group.0, number),
            |row| row.get::<_, Vec<u8>>(0),
        )?;
        let Some(state) = state.map(zeroize::Zeroizing::new) else {
            return Ok(false);
        };
        self.restore(group, &Snapshot::unpack(&state)?)?;
        self.execute(
            "DELETE FROM retained WHERE grp = ?1 AND number >= ?2",
            (group.0, number),
        )?;
        Ok(true)
    }

    /// Whether the service may have gone back to an epoch without our having heard of it yet.
    pub(crate) fn may_be_reverted(&self, group: &GroupId, epoch: u64) -> Result<bool, Error> {
        let sql = "SELECT count(*) FROM retained WHERE grp = ?1 AND epoch = ?2 AND until >= ?3";
        Ok(self.count(sql, (group.0, storable(epoch), self.now.0))? > 0)
    }

    /// Forget states to which nobody goes back any more. [SDK-FORWARD-1]
    pub(crate) fn forget_retained(&self) -> Result<(), Error> {
        self.execute("DELETE FROM retained WHERE until < ?1", [self.now.0])?;
        Ok(())
    }
}
