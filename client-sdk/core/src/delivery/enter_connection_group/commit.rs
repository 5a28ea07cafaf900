//! The commit by which we enter a connection group, and being in.

use openmls::prelude::{LeafNodeParameters, MlsGroup, RatchetTreeIn};
use protocol::codec::encode;
use protocol::contact::QualifiedTicket;
use protocol::crypto::identity::WrappedLinkKey;
use protocol::crypto::signature::PublicKey;
use protocol::delivery::{FetchExternalStateReply, GroupState, JoinGroup};
use protocol::group_policy::{GroupKind, GroupPolicy};
use protocol::id::{Epoch, GroupId, LeafIndex, TicketId};
use protocol::receipt::Receipt;

use super::Entrance;
use crate::delivery::create_group::serialized;
use crate::delivery::join_group::{ExternalCommit, wish};
use crate::drive::Next;
use crate::error::Error;
use crate::event::Problem;
use crate::group::connection::Company;
use crate::group::context::policy;
use crate::group::event::Reject;
use crate::group::leaf::capabilities;
use crate::group::members::by_leaf;
use crate::group::snapshot::Snapshot;
use crate::group::{Standing, StoredGroup};
use crate::job::Outcome;
use crate::state::{Encoded, JobState};
use crate::tx::{Tx, stored};

impl Tx<'_> {
    /// The commit by which we enter, with a leaf like no other of ours. What it leads to is kept
    /// aside until it is accepted. [SDK-LEAF-1] [DS-JOIN-3]
    pub(super) fn commit_entrance(
        &self,
        group: &GroupId,
        entrance: &Entrance,
        reply: &FetchExternalStateReply,
        (state, tree): (&GroupState, RatchetTreeIn),
    ) -> Result<Encoded, Reject> {
        self.require_no_group(group)?;
        if let Some(lost) = &entrance.made {
            self.overtake_ticket(lost.ticket)?;
        }
        let leaf = self.new_leaf(&self.registered()?)?;
        let (ticket_id, ticket) = self.pop_ticket()?;
        let wishes = state.proposals.iter().filter_map(|it| wish(it.as_slice()));
        let parameters = LeafNodeParameters::builder()
            .with_capabilities(capabilities())
            .with_extensions(leaf.extensions.clone())
            .build();
        let commit = ExternalCommit {
            seed: &leaf.seed,
            credential: leaf.credential.clone(),
            parameters,
            wishes: wishes.collect(),
        };
        let made = self.make_external_commit(commit, reply, tree);
        let (mls, bundle) = made.ok_or(Problem::InvitationRefused)?;
        self.check_made(group, &mls, reply)?;
        let (next_state_key, wrap) =
            self.epoch_keys(|crypto, label| mls.export_secret(crypto, label, &[], 32))?;
        drop(mls);
        self.keep_aside(group, &leaf.seed, ticket_id)?;
        let identity_key = &entrance.identity_key;
        let nonce = self.random()?;
        let link_key = WrappedLinkKey::seal(&leaf.link_key, identity_key, nonce, &leaf.public_key);
        let domain = self.own_domain()?;
        let (commit, _, group_info) = bundle.into_messages();
        let body = JoinGroup {
            group: *group,
            epoch: reply.epoch,
            state_key: entrance.state_key.clone(),
            next_state_key,
            commit: serialized(&commit)?,
            group_info: serialized(&group_info.ok_or(Error::Mls("GroupInfo"))?)?,
            ticket: QualifiedTicket { domain, ticket },
            link_key,
            identity_key: self.seal_identity_key(group, identity_key, &wrap)?,
            proof: None,
        };
        Ok(encode(&body).into())
    }

    /// Whether a commit leads where it should, before anybody is sent it. [SDK-CONNECTION-6]
    fn check_made(
        &self,
        group: &GroupId,
        mls: &MlsGroup,
        reply: &FetchExternalStateReply,
    ) -> Result<(), Reject> {
        let (delivery_key, _) = self.judge(mls)?;
        let follows = mls.epoch().as_u64() == reply.epoch.0.saturating_add(1);
        let is_vouched_for = reply.receipt.verify(&delivery_key, *group).is_ok();
        match mls.group_id().as_slice() == group.0 && follows && is_vouched_for {
            true => Ok(()),
            false => Err(Problem::InvitationRefused.into()),
        }
    }

    /// Keep what a commit leads to, and leave no MLS state where only groups that we are in have one.
    fn keep_aside(&self, group: &GroupId, seed: &[u8; 32], ticket: TicketId) -> Result<(), Error> {
        let pending = self.snapshot(group)?.pack()?;
        self.clear_mls(group)?;
        self.execute(
            "UPDATE resyncs SET ticket_id = ?2, pending = ?3 WHERE grp = ?1",
            (group.0, ticket.0, &*pending),
        )?;
        let sql = "UPDATE entrances SET leaf_key = ?2 WHERE grp = ?1";
        self.execute(sql, (group.0, seed))?;
        Ok(())
    }

    /// Whether a group is a connection group with the two of us in it, at a delivery service that
    /// our domain vouches for. Gives the service's key. [SDK-CONNECTION-6] [SDK-DELIVERY-1]
    fn judge(&self, mls: &MlsGroup) -> Result<(PublicKey, GroupPolicy), Reject> {
        let extensions = mls.extensions();
        let policy = policy(extensions).filter(|policy| policy.kind == GroupKind::Connection);
        let policy = policy.filter(|_| mls.members().count() == 2);
        let key = self.joined_delivery_key(extensions, &self.own_domain()?)?;
        Ok(key.zip(policy).ok_or(Problem::InvitationRefused)?)
    }

    /// Our commit was accepted; without a receipt, if the queue shows it. [SDK-CONNECTION-7]
    pub(super) fn accepted_entrance(
        &self,
        group: &GroupId,
        entrance: Entrance,
        body: &JoinGroup,
        receipt: Option<&Receipt>,
    ) -> Result<Next, Reject> {
        let sql = "SELECT state FROM resyncs WHERE grp = ?1";
        let state = self.row(sql, [group.0], |row| row.get::<_, Vec<u8>>(0))?;
        let state = stored(&state.unwrap_or_default(), "group state")?;
        self.complete_entrance(group, entrance, (&state, Some(body.link_key)), receipt)
    }

    /// We are in the epoch that our commit leads to. The other must be the very contact who invited
    /// us. [SDK-CONNECTION-1]
    pub(super) fn complete_entrance(
        &self,
        id: &GroupId,
        entrance: Entrance,
        (state, own_link): (&GroupState, Option<WrappedLinkKey>),
        receipt: Option<&Receipt>,
    ) -> Result<Next, Reject> {
        self.require_no_group(id)?;
        let made = entrance.made.ok_or(Error::Corrupt("entrance"))?;
        self.restore_mls(id, &Snapshot::unpack(&made.pending)?)?;
        let mls = self.mls_group(id)?;
        let (delivery_key, policy) = self.judge(&mls)?;
        let group = StoredGroup {
            id: *id,
            name: self.free_name(&self.name_for(entrance.contact)?, id)?,
            leaf_seed: made.leaf_seed,
            identity_key: entrance.identity_key,
            domain: self.own_domain()?,
            standing: Standing::Active,
            last: None,
            delivery_key,
            policy,
            leaving: false,
        };
        self.save_group(&group, made.ticket)?;
        self.save_connection_group(id, entrance.contact)?;
        self.place_entrance(id, &mls, receipt)?;
        self.execute("DELETE FROM resyncs WHERE grp = ?1", [id.0])?;
        self.execute("DELETE FROM entrances WHERE grp = ?1", [id.0])?;
        let mut links = by_leaf(&state.link_keys);
        if let Some(link) = own_link {
            links.insert(LeafIndex(mls.own_leaf_index().u32()), link);
        }
        self.tell_joined(&group, &mls, &links)?;
        if self.company(id)? == Company::Contact {
            self.delete_empty(entrance.contact)?;
        }
        self.replay_parked(made.ticket)?;
        Ok(Next::Done(Outcome::GroupJoined { group: *id }))
    }

    /// Where in the group's order we are: after our commit. Nobody told us its number if the answer
    /// was lost; then it is the one before what came first. [SDK-CONNECTION-7] [SDK-NUMBER-1]
    fn place_entrance(
        &self,
        id: &GroupId,
        mls: &MlsGroup,
        receipt: Option<&Receipt>,
    ) -> Result<(), Reject> {
        let (state_key, _) =
            self.epoch_keys(|crypto, label| mls.export_secret(crypto, label, &[], 32))?;
        let began = if let Some(receipt) = receipt {
            let number = self.checked_number(id, receipt)?;
            let number = number.ok_or(Problem::InvitationRefused)?;
            self.jump(id, receipt)?;
            number
        } else if let Some(number) = self.number_from_queue(id, &state_key)? {
            self.jump_to(id, number, None)?;
            number
        } else {
            // Whatever comes first will show where we are.
            0
        };
        Ok(self.add_epoch(id, Epoch(mls.epoch().as_u64()), &state_key, began)?)
    }

    /// Both of us are in one: what was opened at the same time, and nobody entered, is deleted.
    /// [SDK-CONNECTION-2]
    fn delete_empty(&self, contact: i64) -> Result<(), Error> {
        for group in self.connection_groups_with(contact)? {
            if self.company(&group)? == Company::Nobody {
                let (sent, behind) = (None, None);
                self.add_job(&JobState::DeleteGroup { sent, behind }, Some(&group))?;
            }
        }
        Ok(())
    }
}
