//! Invitations into connection groups: which are followed, and what is kept of them meanwhile.

use protocol::codec::decode_exact;
use protocol::contact::ConnectionInvitation;
use protocol::crypto::sealed::SymmetricKey;
use protocol::entry::SealedInvitation;
use protocol::id::{GroupId, TicketId};
use zeroize::Zeroizing;

use super::{Entrance, Made};
use crate::error::Error;
use crate::event::Problem;
use crate::group::Standing;
use crate::group::connection::Company;
use crate::group::event::Reject;
use crate::job::{JobId, JobKind};
use crate::state::{JobState, OpeningState, ResyncState};
use crate::tx::Tx;

impl Tx<'_> {
    /// A contact has opened a connection group: begin to enter it.
    pub(crate) fn receive_invitation(&self, sealed: &SealedInvitation) -> Result<(), Reject> {
        let (contact, invitation) = self.open_invitation(sealed)?;
        if self.is_known_to(contact, &invitation.group)? {
            // Sent again before the contact had heard that we are in.
            return Ok(());
        }
        self.require_no_group(&invitation.group)?;
        if self.stays(contact, &invitation.group)? {
            let state = OpeningState::Look;
            self.ensure_job(&JobState::OpenConnectionGroup { contact, state })?;
            return Ok(());
        }
        self.follow(contact, &invitation)
    }

    fn open_invitation(
        &self,
        sealed: &SealedInvitation,
    ) -> Result<(i64, ConnectionInvitation), Reject> {
        self.settle_acceptance(sealed.reply_id)?;
        let pair = self.row(
            "SELECT contact, key FROM pairs WHERE reply_id = ?1",
            [sealed.reply_id.0],
            |row| Ok((row.get::<_, i64>(0)?, SymmetricKey(row.get(1)?))),
        )?;
        let (contact, key) = pair.ok_or(Problem::InvitationRefused)?;
        let content = key.open(&sealed.reply_id.0, sealed.sealed.as_slice());
        let content = Zeroizing::new(content.map_err(|_| Problem::InvitationRefused)?);
        let invitation = decode_exact(&content).map_err(|_| Problem::InvitationRefused)?;
        Ok((contact, invitation))
    }

    /// Whether we are in this group already, and it is for this contact.
    fn is_known_to(&self, contact: i64, group: &GroupId) -> Result<bool, Error> {
        let is_in = self.find_active_group(group)?.is_some();
        Ok(is_in && self.contact_of(group)? == Some(contact))
    }

    /// No invitation touches a group that we are in or are creating. [SDK-CONNECTION-5]
    pub(super) fn require_no_group(&self, group: &GroupId) -> Result<(), Reject> {
        let known = self.find_stored_group(group)?;
        match known.is_none_or(|known| known.standing == Standing::Left) {
            true => Ok(()),
            false => Err(Problem::InvitationRefused.into()),
        }
    }

    /// Both opened one at the same time: whether one of ours stays, which has the smaller id. The
    /// contact may have left it since, and is invited again. Those that somebody has entered do not
    /// count: the contact is in them no longer, or never was. [SDK-CONNECTION-2]
    fn stays(&self, contact: i64, theirs: &GroupId) -> Result<bool, Error> {
        let ours = self.connection_group_in(contact, Company::Nobody)?;
        Ok(ours.is_some_and(|ours| ours.0 < theirs.0))
    }

    /// Of each contact one invitation is followed at a time, the newest. [SDK-CONNECTION-6]
    fn follow(&self, contact: i64, invitation: &ConnectionInvitation) -> Result<(), Reject> {
        let group = invitation.group;
        match self.followed(contact)? {
            Some(before) if before == group => return Ok(self.renew(invitation)?),
            Some(before) => self.forget_entrance(&before)?,
            None => {}
        }
        if self.entrance(&group)?.is_some() {
            // Another contact has invited us there.
            return Err(Problem::InvitationRefused.into());
        }
        self.execute(
            "INSERT INTO entrances (contact, grp, state_key, identity_key) VALUES (?1, ?2, ?3, ?4)",
            (
                contact,
                group.0,
                invitation.state_key.0,
                invitation.identity_key.0,
            ),
        )?;
        let (group, state) = (group.0, ResyncState::START);
        self.add_job(&JobState::EnterConnectionGroup { group, state }, None)?;
        Ok(())
    }

    /// The group that a contact has invited us to, while we are entering it.
    fn followed(&self, contact: i64) -> Result<Option<GroupId>, Error> {
        let sql = "SELECT grp FROM entrances WHERE contact = ?1";
        self.row(sql, [contact], |row| row.get(0).map(GroupId))
    }

    /// The job that follows a contact's invitation, if one is under way.
    pub(crate) fn entering(&self, contact: i64) -> Result<Option<JobId>, Error> {
        match self.followed(contact)? {
            Some(group) => self.find_job(JobKind::EnterConnectionGroup, &group.0),
            None => Ok(None),
        }
    }

    /// Keys of a later epoch, unless a commit is on its way for which the ones before count.
    fn renew(&self, invitation: &ConnectionInvitation) -> Result<(), Error> {
        self.execute(
            "UPDATE entrances SET state_key = ?2, identity_key = ?3
             WHERE grp = ?1 AND leaf_key IS NULL",
            (
                invitation.group.0,
                invitation.state_key.0,
                invitation.identity_key.0,
            ),
        )?;
        Ok(())
    }

    pub(super) fn entrance(&self, group: &GroupId) -> Result<Option<Entrance>, Error> {
        self.row(
            "SELECT contact, state_key, identity_key, leaf_key, ticket_id, pending
             FROM entrances LEFT JOIN resyncs USING (grp) WHERE grp = ?1",
            [group.0],
            |row| {
                let leaf_seed = row.get::<_, Option<[u8; 32]>>(3)?.map(Zeroizing::new);
                let ticket = row.get::<_, Option<[u8; 16]>>(4)?.map(TicketId);
                let pending = row.get::<_, Option<Vec<u8>>>(5)?.map(Zeroizing::new);
                let made = leaf_seed.zip(ticket).zip(pending);
                Ok(Entrance {
                    contact: row.get(0)?,
                    state_key: SymmetricKey(row.get(1)?),
                    identity_key: SymmetricKey(row.get(2)?),
                    made: made.map(|((leaf_seed, ticket), pending)| Made {
                        leaf_seed,
                        ticket,
                        pending,
                    }),
                })
            },
        )
    }

    /// Whether a contact's invitation leads into this group, and we have not followed it yet.
    pub(crate) fn is_entering(&self, group: &GroupId) -> Result<bool, Error> {
        Ok(self.entrance(group)?.is_some())
    }

    /// Nothing of an entrance is left; what still comes by its ticket is dropped. [SDK-LATE-1]
    pub(crate) fn forget_entrance(&self, group: &GroupId) -> Result<(), Error> {
        let Some(entrance) = self.entrance(group)? else {
            return Ok(());
        };
        if let Some(made) = entrance.made {
            self.overtake_ticket(made.ticket)?;
        }
        self.forget_resync(group)?;
        self.execute("DELETE FROM entrances WHERE grp = ?1", [group.0])?;
        match self.find_job(JobKind::EnterConnectionGroup, &group.0)? {
            Some(job) => self.drop_job(job),
            None => Ok(()),
        }
    }
}
