//! complain - spec/delivery.md#complain

use protocol::delivery::{Complain, ComplainReply};
use protocol::id::GroupId;

use crate::drive::{Next, success};
use crate::error::Error;
use crate::group::damage::Stage;
use crate::job::Outcome;
use crate::state::Encoded;
use crate::tx::{Tx, stored};

impl Tx<'_> {
    /// Complaints do not wait for the group's other jobs, which cannot go on.
    pub(crate) fn next_complain(&self, group: &GroupId, body: &Encoded) -> Result<Next, Error> {
        let is_open = |damage: crate::group::damage::Damage| damage.stage == Stage::Complain;
        let Some(stored_group) = self.find_active_group(group)? else {
            return Ok(Next::Done(Outcome::Kept));
        };
        if !self.damage(group)?.is_some_and(is_open) {
            return Ok(Next::Done(Outcome::Kept));
        }
        let body: Complain = stored(body, "complaint")?;
        Ok(Self::send_as_leaf(stored_group, body))
    }

    /// The service has it. Whether it is enough, the queue tells.
    pub(crate) fn answered_complain(&self, group: &GroupId, payload: &[u8]) -> Result<Next, Error> {
        let ComplainReply { .. } = success(payload)?;
        self.set_stage(group, Stage::Await)?;
        Ok(Next::Done(Outcome::Kept))
    }

    /// The commit cannot be undone any more: we help ourselves. [SDK-HEAL-2]
    pub(crate) fn refused_complain(&self, group: &GroupId) -> Result<Next, Error> {
        self.set_stage(group, Stage::Resync)?;
        self.forget_damaging(group)?;
        Ok(Next::Done(Outcome::Kept))
    }
}
