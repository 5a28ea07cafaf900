//! join_group - spec/delivery.md#join_group
//!
//! ```text
//! fetch the present state --> external commit made, stored beside the state we are in --> sent
//!    ^                                                  |  WrongEpoch        | accepted
//!    +--------------------------------------------------+                    +--> we are in that
//! ```

use openmls::messages::group_info::VerifiableGroupInfo;
use openmls::prelude::{
    CommitMessageBundle, CredentialWithKey, ExternalCommitBuilder, LeafNodeParameters, MlsGroup,
    MlsMessageBodyIn, MlsMessageIn, OpenMlsProvider, ProtocolMessage, PublicMessageIn,
    RatchetTreeIn, Sender,
};
use protocol::codec::{decode_exact, encode};
use protocol::contact::QualifiedTicket;
use protocol::crypto::identity::WrappedLinkKey;
use protocol::crypto::sealed::SymmetricKey;
use protocol::delivery::{
    FetchExternalStateReply, GroupState, JoinGroup, JoinGroupReply, ProofVerdict,
};
use protocol::entry::{FanOutKey, GroupEvent, Payload};
use protocol::error::{ErrorCode, ErrorReply};
use protocol::id::{Epoch, GroupId, TicketId};

use crate::delivery::create_group::serialized;
use crate::delivery::fetch_external_state::Fetched;
use crate::drive::{Next, success};
use crate::error::Error;
use crate::event::{Event, Problem, Remedy};
use crate::group::context::delivery_credential;
use crate::group::damage::Stage;
use crate::group::event::Reject;
use crate::group::leaf::signer;
use crate::group::members::{by_leaf, nobody};
use crate::group::snapshot::Snapshot;
use crate::group::{StoredGroup, join_config};
use crate::hex;
use crate::job::Outcome;
use crate::state::{Encoded, JobState, ResyncState};
use crate::tx::{Tx, stored};

/// What the fetched state says about our place in the group.
enum Place {
    /// Where we are: nothing is to be done.
    Present,
    /// Nowhere.
    Removed,
    /// Elsewhere: enter by this commit.
    Behind(Encoded),
}

/// What an external commit is made of, besides the state that it changes.
pub(super) struct ExternalCommit<'a> {
    /// The key of the leaf.
    pub(super) seed: &'a [u8; 32],
    pub(super) credential: CredentialWithKey,
    pub(super) parameters: LeafNodeParameters,
    /// Members' wishes to leave.
    pub(super) wishes: Vec<PublicMessageIn>,
}

/// An external commit as MLS made it.
struct Made {
    mls: MlsGroup,
    body: JoinGroup,
}

impl Tx<'_> {
    pub(crate) fn next_resync(&self, group: &GroupId, state: &ResyncState) -> Result<Next, Error> {
        let is_open = self.damage(group)?;
        let is_open = is_open.is_some_and(|damage| damage.stage == Stage::Resync);
        let Some(stored_group) = self.find_active_group(group)? else {
            return Ok(Next::Done(Outcome::Kept));
        };
        match state {
            _ if !is_open => Ok(Next::Done(Outcome::Kept)),
            ResyncState::Fetch { from, .. } => {
                let epoch = Epoch(self.mls_group(group)?.epoch().as_u64());
                let key = self.state_key(group, epoch)?;
                self.fetch_external_state(group, key, stored_group.domain, *from)
            }
            ResyncState::Join(body) => {
                let body: JoinGroup = stored(body, "join_group")?;
                Ok(Self::send_as_leaf(stored_group, body))
            }
        }
    }

    pub(crate) fn answered_resync(
        &self,
        group: &GroupId,
        state: &ResyncState,
        payload: &[u8],
    ) -> Result<Next, Error> {
        match state {
            ResyncState::Fetch { from, epoch } => {
                let reply: FetchExternalStateReply = success(payload)?;
                match self.take_external_window(group, (*from, *epoch), &reply)? {
                    Fetched::More(state) => Ok(resync(group, state)),
                    Fetched::State(state) => self.find_place(group, &reply, &state),
                    Fetched::Nonsense => self.ask_for_help(group),
                }
            }
            ResyncState::Join(body) => {
                let reply: JoinGroupReply = success(payload)?;
                self.accepted_resync(group, &stored(body, "join_group")?, &reply)?;
                Ok(Next::Done(Outcome::Kept))
            }
        }
    }

    /// If it was accepted before, though nobody heard, and others have committed since, the queue
    /// shows it. If another commit was quicker: fetch again. Otherwise only others can help.
    /// [SDK-HEAL-2] [SDK-RESYNC-1]
    pub(crate) fn refused_resync(
        &self,
        group: &GroupId,
        state: &ResyncState,
        reply: ErrorReply,
    ) -> Result<Next, Error> {
        if let ResyncState::Join(body) = state {
            let body: JoinGroup = stored(body, "join_group")?;
            if let Some(number) = self.number_from_queue(group, &body.next_state_key)? {
                let missed = self.jump_to(group, number, None)?;
                self.enter_anew(group, &body, (number, missed))?;
                return Ok(Next::Done(Outcome::Kept));
            }
        }
        let was_late = matches!(state, ResyncState::Join(_)) && reply.code == ErrorCode::WrongEpoch;
        if !was_late {
            return self.ask_for_help(group);
        }
        self.forget_resync(group)?;
        Ok(resync(group, ResyncState::START))
    }

    fn find_place(
        &self,
        group: &GroupId,
        reply: &FetchExternalStateReply,
        state: &GroupState,
    ) -> Result<Next, Error> {
        let place = self.attempt(|| self.place(group, reply, state));
        match place {
            Ok(Place::Present) => {
                self.forget_resync(group)?;
                self.healed(group, Remedy::CaughtUp, None)?;
                Ok(Next::Done(Outcome::Kept))
            }
            Ok(Place::Removed) => {
                let stored = self.active_group(group)?;
                self.leave_group(group, &mut self.mls_group(group)?)?;
                self.tell(&Event::RemovedFromGroup {
                    group: stored.hex(),
                    group_name: stored.name,
                    by: nobody(),
                })?;
                Ok(Next::Done(Outcome::Kept))
            }
            Ok(Place::Behind(body)) => Ok(resync(group, ResyncState::Join(body))),
            Err(Reject::Problem(_, problem)) => {
                let group_hex = Some(hex::group_hex(group));
                self.tell(&Event::Problem {
                    group: group_hex,
                    problem,
                })?;
                self.ask_for_help(group)
            }
            Err(Reject::Fail(error)) => Err(error),
        }
    }

    fn place(
        &self,
        id: &GroupId,
        reply: &FetchExternalStateReply,
        state: &GroupState,
    ) -> Result<Place, Reject> {
        let group = self.active_group(id)?;
        if reply.epoch.0 == self.mls_group(id)?.epoch().as_u64() {
            return Ok(Place::Present);
        }
        self.receipt_beside(id, &reply.receipt)
            .map_err(|_| Problem::ReceiptRefused)?;
        // Only the link key of our own leaf opens for our own leaf.
        let key = group.key();
        let opens = |key_of: &WrappedLinkKey| key_of.open(&group.identity_key, &key).is_ok();
        let mut links = state.link_keys.iter();
        let Some(link) = links.find(|link| opens(&link.key)) else {
            return Ok(Place::Removed);
        };
        let proof = self.prove_damage(id)?;
        let before = self.snapshot(id)?;
        let (ticket_id, ticket) = self.pop_ticket()?;
        let ticket = QualifiedTicket {
            domain: self.own_domain()?,
            ticket,
        };
        let made = self.commit_externally(&group, reply, state, (ticket, link.key))?;
        drop(made.mls);
        let pending = self.snapshot(id)?.pack()?;
        self.restore_mls(id, &before)?;
        self.remember_ticket(id, ticket_id)?;
        self.execute(
            "UPDATE resyncs SET ticket_id = ?2, pending = ?3 WHERE grp = ?1",
            (id.0, ticket_id.0, &*pending),
        )?;
        let body = JoinGroup { proof, ..made.body };
        Ok(Place::Behind(encode(&body).into()))
    }

    /// The commit that replaces our leaf by one of the same key, credential and sealed identity.
    /// [DS-JOIN-2]
    fn commit_externally(
        &self,
        group: &StoredGroup,
        reply: &FetchExternalStateReply,
        state: &GroupState,
        (ticket, link_key): (QualifiedTicket, WrappedLinkKey),
    ) -> Result<Made, Reject> {
        let (credential, parameters, own) = self.same_leaf(group)?;
        let state_key = self.state_key(
            &group.id,
            Epoch(self.mls_group(&group.id)?.epoch().as_u64()),
        )?;
        let tree: RatchetTreeIn =
            decode_exact(state.ratchet_tree.as_slice()).map_err(|_| Problem::ResyncRefused)?;
        let wishes = state.proposals.iter().filter_map(|it| wish(it.as_slice()));
        let wishes =
            wishes.filter(|it| !matches!(it.sender(), Sender::Member(leaf) if leaf.u32() == own));
        self.clear_mls(&group.id)?;
        let commit = ExternalCommit {
            seed: &group.leaf_seed,
            credential,
            parameters,
            wishes: wishes.collect(),
        };
        let made = self.make_external_commit(commit, reply, tree);
        let (mls, bundle) = made.ok_or(Problem::ResyncRefused)?;
        let same_service = delivery_credential(mls.extensions())
            .is_some_and(|credential| credential.tbs.public_key == group.delivery_key);
        let follows = mls.epoch().as_u64() == reply.epoch.0.saturating_add(1);
        if mls.group_id().as_slice() != group.id.0 || !same_service || !follows {
            return Err(Problem::ResyncRefused.into());
        }
        let (next_state_key, wrap) =
            self.epoch_keys(|crypto, label| mls.export_secret(crypto, label, &[], 32))?;
        let (commit, _, group_info) = bundle.into_messages();
        let body = JoinGroup {
            group: group.id,
            epoch: reply.epoch,
            state_key,
            next_state_key,
            commit: serialized(&commit)?,
            group_info: serialized(&group_info.ok_or(Error::Mls("GroupInfo"))?)?,
            ticket,
            link_key,
            identity_key: self.seal_identity_key(&group.id, &group.identity_key, &wrap)?,
            proof: None,
        };
        Ok(Made { mls, body })
    }

    /// Make an external commit and enter the epoch that it leads to; none if the state makes no
    /// sense to MLS.
    pub(super) fn make_external_commit(
        &self,
        commit: ExternalCommit<'_>,
        reply: &FetchExternalStateReply,
        tree: RatchetTreeIn,
    ) -> Option<(MlsGroup, CommitMessageBundle)> {
        let (provider, signer) = (self.provider(), signer(commit.seed));
        let group_info = group_info(reply.group_info.as_slice())?;
        ExternalCommitBuilder::new()
            .with_proposals(commit.wishes)
            .with_ratchet_tree(tree)
            .with_config(join_config())
            .with_aad(encode(&reply.receipt))
            .skip_lifetime_validation()
            .build_group(&provider, group_info, commit.credential)
            .ok()?
            .leaf_node_parameters(commit.parameters)
            .load_psks(provider.storage())
            .ok()?
            .create_group_info(true)
            .use_ratchet_tree_extension(false)
            .build(provider.rand(), provider.crypto(), &signer, |_| true)
            .ok()?
            .finalize(&provider)
            .ok()
    }

    /// What our leaf is and stays, and its place in the epoch that we are stuck in.
    fn same_leaf(
        &self,
        group: &StoredGroup,
    ) -> Result<(CredentialWithKey, LeafNodeParameters, u32), Error> {
        let mls = self.mls_group(&group.id)?;
        let leaf = mls.own_leaf_node().ok_or(Error::Mls("own leaf"))?;
        let credential = CredentialWithKey {
            credential: leaf.credential().clone(),
            signature_key: leaf.signature_key().clone(),
        };
        let parameters = LeafNodeParameters::builder()
            .with_capabilities(leaf.capabilities().clone())
            .with_extensions(leaf.extensions().clone())
            .build();
        Ok((credential, parameters, mls.own_leaf_index().u32()))
    }

    /// What came first by the ticket of our external commit in the epoch that it leads to, whose
    /// key this is: nobody but who accepted it knows both.
    pub(super) fn first_from_queue(
        &self,
        group: &GroupId,
        state_key: &SymmetricKey,
    ) -> Result<Option<GroupEvent>, Error> {
        let parked = self.rows(
            "SELECT payload FROM parked WHERE ticket_id IN
                 (SELECT ticket_id FROM resyncs WHERE grp = ?1) ORDER BY id",
            [group.0],
            |row| row.get::<_, Vec<u8>>(0),
        )?;
        let key = FanOutKey::of(state_key);
        Ok(parked.iter().find_map(|payload| {
            let Ok(Payload::Group(sealed)) = decode_exact(payload) else {
                return None;
            };
            GroupEvent::open(&key, sealed.as_slice()).ok()
        }))
    }

    /// The number of our external commit, if the queue shows that it was accepted.
    pub(super) fn number_from_queue(
        &self,
        group: &GroupId,
        state_key: &SymmetricKey,
    ) -> Result<Option<u64>, Error> {
        let Some(event) = self.first_from_queue(group, state_key)? else {
            return Ok(None);
        };
        let number = self.checked_number(group, &event.receipt)?;
        // What takes no number itself has that of the event before.
        let taken = u64::from(event.content.is_numbered());
        Ok(number.and_then(|number| number.checked_sub(taken)))
    }

    /// The service has accepted our external commit.
    fn accepted_resync(
        &self,
        id: &GroupId,
        body: &JoinGroup,
        reply: &JoinGroupReply,
    ) -> Result<(), Error> {
        if reply.epoch != body.epoch.next() {
            return Err(Error::BadReply);
        }
        if reply.proof == ProofVerdict::Fails {
            // It holds: this client has checked it.
            let (group, problem) = (Some(hex::group_hex(id)), Problem::ProofRefused);
            self.tell(&Event::Problem { group, problem })?;
        }
        let missed = self.jump(id, &reply.receipt)?;
        self.enter_anew(id, body, (reply.receipt.number.0, missed))
    }

    /// We are in the epoch that our external commit leads to. [SDK-RESYNC-1]
    fn enter_anew(
        &self,
        id: &GroupId,
        body: &JoinGroup,
        (number, missed): (u64, Option<(u64, u64)>),
    ) -> Result<(), Error> {
        self.forget_damaging(id)?;
        let row = self.row(
            "SELECT state, pending, ticket_id FROM resyncs WHERE grp = ?1",
            [id.0],
            |row| {
                Ok((
                    row.get::<_, Vec<u8>>(0)?,
                    row.get::<_, Vec<u8>>(1)?,
                    row.get(2)?,
                ))
            },
        )?;
        let (state, pending, ticket) = row.ok_or(Error::Corrupt("resync"))?;
        let state: GroupState = stored(&state, "group state")?;
        let (group, ticket) = (self.active_group(id)?, TicketId(ticket));
        if let Some((commit, _)) = self.damage(id)?.and_then(|damage| damage.commit) {
            // The commit that we could not follow may still be undone.
            self.retain(id, commit)?;
        }
        self.restore_mls(id, &Snapshot::unpack(&pending)?)?;
        self.execute("DELETE FROM epochs WHERE grp = ?1", [id.0])?;
        self.add_epoch(id, body.epoch.next(), &body.next_state_key, number)?;
        self.execute(
            "UPDATE groups SET ticket_id = ?2, ticket_since = ?3 WHERE id = ?1",
            (id.0, ticket.0, self.now.0),
        )?;
        let mls = self.mls_group(id)?;
        let links = by_leaf(&state.link_keys);
        let changes = self.refresh_members(id, &mls, &group.identity_key, &links)?;
        self.refresh_roles(&group, &mls)?;
        self.nothing_waits(id)?;
        self.begin_jobs_anew(id)?;
        if group.leaving {
            self.execute("UPDATE groups SET leaving = 0 WHERE id = ?1", [id.0])?;
            self.propose_leave(id)?;
        }
        if changes.unverified || self.is_with_stranger(id)? {
            let group = Some(group.hex());
            let problem = Problem::MemberUnverified;
            self.tell(&Event::Problem { group, problem })?;
        }
        self.execute("DELETE FROM resyncs WHERE grp = ?1", [id.0])?;
        self.healed_quietly(id, missed)?;
        self.replay_parked(ticket)
    }

    /// Give up an external commit that was not accepted; its ticket is free again.
    pub(crate) fn forget_resync(&self, group: &GroupId) -> Result<(), Error> {
        self.execute(
            "DELETE FROM parked WHERE ticket_id IN (SELECT ticket_id FROM resyncs WHERE grp = ?1)",
            [group.0],
        )?;
        self.execute("DELETE FROM resyncs WHERE grp = ?1", [group.0])?;
        Ok(())
    }
}

fn resync(group: &GroupId, state: ResyncState) -> Next {
    let group = group.0;
    Next::Goto(JobState::Resync { group, state })
}

fn group_info(bytes: &[u8]) -> Option<VerifiableGroupInfo> {
    let message: MlsMessageIn = decode_exact(bytes).ok()?;
    let MlsMessageBodyIn::GroupInfo(group_info) = message.extract() else {
        return None;
    };
    Some(group_info)
}

/// A member's wish to leave.
pub(super) fn wish(bytes: &[u8]) -> Option<PublicMessageIn> {
    let message: MlsMessageIn = decode_exact(bytes).ok()?;
    match message.try_into_protocol_message().ok()? {
        ProtocolMessage::PublicMessage(message) => Some(*message),
        ProtocolMessage::PrivateMessage(_) => None,
    }
}
