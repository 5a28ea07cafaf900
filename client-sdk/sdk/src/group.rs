//! What a member does in a group besides talking to all: roles, leaving, its end, one member, tickets.
//!
//! Like everything of [`Hearth`], these may be dropped at any time: what was begun is stored, and
//! goes on. [SDK-CANCEL-1]

use client_core::{ContactId, Core, Outcome};
use protocol::group_policy::Role;
use protocol::id::{GroupId, LeafIndex};

use crate::clock::now;
use crate::error::Error;
use crate::hearth::{Hearth, unexpected};

/// How leaving a group went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// The others have been asked: whoever of them changes the group next lets us go, within
    /// minutes if one of them is there. An event says when.
    Proposed,
    /// Nobody else was there: the group is gone.
    Deleted,
}

impl Hearth {
    /// Open the group that is for a contact and this client alone, and invite the contact, whose
    /// client enters by itself; an event says when. Where it has not yet, the invitation is sent
    /// again. A group of the two that is in use is given as it is; one that somebody else has entered
    /// does not count.
    ///
    /// # Errors
    /// `not_found` if there is no such contact, or none that an invitation can be sealed for: connect
    /// again then.
    pub async fn open_connection_group(&self, contact: ContactId) -> Result<GroupId, Error> {
        let start = move |core: &mut Core| core.open_connection_group(contact, now());
        let outcome = self.client().run(start).await?;
        if let Outcome::GroupCreated { group } = outcome {
            return Ok(group);
        }
        Err(unexpected(&outcome))
    }

    /// Make members admins, or admins members; ourselves, too, while another admin stays. Admins
    /// invite, remove, change roles and delete.
    ///
    /// # Errors
    /// `not_admin`, `last_admin`, `leaving`, `not_found`.
    pub async fn set_role(
        &self,
        group: GroupId,
        members: &[LeafIndex],
        role: Role,
    ) -> Result<(), Error> {
        let members = members.to_vec();
        let start = move |core: &mut Core| core.set_role(&group, &members, role, now());
        self.client().run(start).await?;
        Ok(())
    }

    /// Leave a group. The history stays in the home.
    ///
    /// # Errors
    /// `last_admin` while others stay who would have no admin, `leaving` if it is under way,
    /// `not_found`.
    pub async fn leave(&self, group: GroupId) -> Result<Leave, Error> {
        let start = move |core: &mut Core| core.leave(&group, now());
        let outcome = self.client().run(start).await?;
        if let Outcome::LeaveProposed { .. } = outcome {
            return Ok(Leave::Proposed);
        }
        if let Outcome::GroupDeleted { .. } = outcome {
            return Ok(Leave::Deleted);
        }
        Err(unexpected(&outcome))
    }

    /// End a group for everybody. What was said stays in everybody's home.
    ///
    /// # Errors
    /// `not_admin`, `leaving` if it is under way, `not_found`.
    pub async fn delete_group(&self, group: GroupId) -> Result<(), Error> {
        let start = move |core: &mut Core| core.delete_group(&group, now());
        self.client().run(start).await?;
        Ok(())
    }

    /// Send a message to one other member of a group. When this returns, the server has it on disk
    /// and will deliver it to nobody else. If it fails with `unreachable`, the message is stored
    /// and sent when the server can be reached: do not send it again.
    ///
    /// # Errors
    /// `not_found`, `too_large`; `alone` or `stranger` as for [`Hearth::send`].
    pub async fn send_to_member(
        &self,
        group: GroupId,
        member: LeafIndex,
        body: impl AsRef<[u8]> + Send,
    ) -> Result<(), Error> {
        let body = body.as_ref().to_vec();
        let start = move |core: &mut Core| core.send_to_member(&group, member, &body, now());
        self.client().run(start).await?;
        Ok(())
    }

    /// Give a group another way into this client's queue, which nobody in it notices. Done by
    /// itself once a month.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn update_ticket(&self, group: GroupId) -> Result<(), Error> {
        let start = move |core: &mut Core| core.update_ticket(&group, now());
        self.client().run(start).await?;
        Ok(())
    }
}
