//! fetch_welcome_state - spec/delivery.md#fetch_welcome_state

use std::collections::BTreeMap;

use openmls::prelude::{
    JoinBuilder, MlsGroup, MlsMessageBodyIn, MlsMessageIn, ProcessedWelcome, RatchetTreeIn,
};
use protocol::codec::{decode_exact, encode};
use protocol::crypto::identity::WrappedLinkKey;
use protocol::crypto::sealed::SymmetricKey;
use protocol::delivery::{FetchWelcomeState, FetchWelcomeStateReply, GroupState};
use protocol::error::{ErrorCode, ErrorReply};
use protocol::group_policy::GroupKind;
use protocol::id::{Epoch, GroupId, LeafIndex, TicketId};
use protocol::limit::GROUP_STATE_BYTES_MAX;
use zeroize::Zeroizing;

use crate::drive::{Next, success};
use crate::error::Error;
use crate::event::{Event, Problem};
use crate::group::context::policy;
use crate::group::damage::Stage;
use crate::group::event::Reject;
use crate::group::leaf::CIPHERSUITE;
use crate::group::members::by_leaf;
use crate::group::{Standing, StoredGroup, join_config};
use crate::hex;
use crate::job::{Outcome, Step};
use crate::outgoing::{Isolation, Outgoing};
use crate::state::{Encoded, JobState};
use crate::tx::{Tx, storable, stored};

/// A Welcome that waits for its state.
struct StoredJoin {
    ticket: TicketId,
    leaf_seed: Zeroizing<[u8; 32]>,
    welcome: Vec<u8>,
}

impl Tx<'_> {
    /// Keep a Welcome, and begin to join. Which group it is turns out in the job. [SDK-JOIN-1]
    pub(crate) fn receive_welcome(&self, ticket: TicketId, welcome: &[u8]) -> Result<(), Reject> {
        let leaf = self.row(
            "SELECT leaf_key FROM key_packages WHERE ticket_id = ?1",
            [ticket.0],
            |row| Ok(Zeroizing::new(row.get::<_, [u8; 32]>(0)?)),
        )?;
        let leaf = leaf.ok_or(Problem::TicketUnknown)?;
        let join = self.insert(
            "INSERT INTO joins (ticket_id, leaf_key, welcome) VALUES (?1, ?2, ?3)",
            (ticket.0, *leaf, welcome),
        )?;
        self.add_job(&JobState::JoinGroup { join, body: None }, None)?;
        Ok(())
    }

    pub(crate) fn next_join_group(&self, join: i64, body: Option<&Encoded>) -> Result<Next, Error> {
        let Some(body) = body else {
            let stored = self.join(join)?;
            return match self.peek(&stored)? {
                Some(body) => Ok(Next::Goto(JobState::JoinGroup {
                    join,
                    body: Some(encode(&body).into()),
                })),
                None => self.give_up_join(join, None, Problem::WelcomeRefused),
            };
        };
        let body: FetchWelcomeState = stored(body, "join")?;
        let domain = self.own_domain()?;
        Ok(Next::Step(Step::Send(Outgoing::unsigned(
            &body,
            domain,
            Isolation::Anonymous,
        ))))
    }

    pub(crate) fn answered_join_group(
        &self,
        join: i64,
        body: Option<&Encoded>,
        payload: &[u8],
    ) -> Result<Next, Error> {
        let reply: FetchWelcomeStateReply = success(payload)?;
        let body: FetchWelcomeState = stored(body.ok_or(Error::NotExpected)?, "join")?;
        let waiting = self.join(join)?;
        let state = match self.take_window(join, &body, &reply) {
            Ok(Some(state)) => state,
            Ok(None) => {
                let from = self.state_length(join)?;
                let body = Some(encode(&FetchWelcomeState { from, ..body }).into());
                return Ok(Next::Goto(JobState::JoinGroup { join, body }));
            }
            Err(Reject::Problem(_, problem)) => {
                return self.give_up_join(join, Some(&body.group), problem);
            }
            Err(Reject::Fail(error)) => return Err(error),
        };
        match self.attempt(|| self.enter(&waiting, &body, &state)) {
            Ok(()) => {}
            Err(Reject::Problem(_, problem)) => {
                return self.give_up_join(join, Some(&body.group), problem);
            }
            Err(Reject::Fail(error)) => return Err(error),
        }
        self.execute("DELETE FROM joins WHERE id = ?1", [join])?;
        self.replay_parked(waiting.ticket)?;
        Ok(Next::Done(Outcome::GroupJoined { group: body.group }))
    }

    /// Keep a window of the state; gives the state once it is complete.
    fn take_window(
        &self,
        join: i64,
        asked: &FetchWelcomeState,
        reply: &FetchWelcomeStateReply,
    ) -> Result<Option<GroupState>, Reject> {
        let (bytes, total) = (reply.window.bytes.as_slice(), reply.window.total);
        let before = self.state_length(join)?;
        let fits = usize::try_from(total).is_ok_and(|total| total <= GROUP_STATE_BYTES_MAX);
        if !fits || bytes.is_empty() || asked.from != before {
            return Err(Problem::WelcomeRefused.into());
        }
        let state = self.row(
            "UPDATE joins SET state = CAST(state || ?2 AS BLOB) WHERE id = ?1 RETURNING state",
            (join, bytes),
            |row| row.get::<_, Vec<u8>>(0),
        )?;
        let state = state.ok_or(Error::Corrupt("join"))?;
        let missing = u64::from(total).checked_sub(state.len() as u64);
        match missing.ok_or(Problem::WelcomeRefused)? {
            0 => decode_exact(&state)
                .map(Some)
                .map_err(|_| Problem::WelcomeRefused.into()),
            _ => Ok(None),
        }
    }

    fn state_length(&self, join: i64) -> Result<u32, Error> {
        let length = self.count("SELECT length(state) FROM joins WHERE id = ?1", [join])?;
        u32::try_from(length).map_err(|_| Error::Corrupt("join"))
    }

    /// The server has no such state any more: the group is deleted, or the Welcome is too old.
    /// Other refusals have no such reason. [SDK-LATE-1]
    pub(crate) fn refused_join_group(
        &self,
        join: i64,
        body: Option<&Encoded>,
        reply: ErrorReply,
    ) -> Result<Next, Error> {
        let body: FetchWelcomeState = stored(body.ok_or(Error::NotExpected)?, "join")?;
        let problem = if reply.code == ErrorCode::Denied {
            self.overtake_ticket(self.join(join)?.ticket)?;
            Problem::WelcomeLate
        } else {
            Problem::WelcomeRefused
        };
        self.give_up_join(join, Some(&body.group), problem)
    }

    fn join(&self, id: i64) -> Result<StoredJoin, Error> {
        let row = self.row(
            "SELECT ticket_id, leaf_key, welcome FROM joins WHERE id = ?1",
            [id],
            |row| {
                Ok(StoredJoin {
                    ticket: TicketId(row.get(0)?),
                    leaf_seed: Zeroizing::new(row.get(1)?),
                    welcome: row.get(2)?,
                })
            },
        )?;
        row.ok_or(Error::Corrupt("join"))
    }

    /// Which state the Welcome leads to. openmls uses the KeyPackage up while looking; that is
    /// undone, the same Welcome is opened again when the state is there.
    fn peek(&self, join: &StoredJoin) -> Result<Option<FetchWelcomeState>, Error> {
        self.sql.execute_batch("SAVEPOINT peek")?;
        let peeked = self.open_welcome(join).map(|processed| {
            let context = processed.unverified_group_info().group_context();
            let group = context.group_id().as_slice().try_into().ok().map(GroupId);
            let epoch = context.epoch().as_u64();
            let keys = self
                .epoch_keys(|crypto, label| processed.export_secret(crypto, label, &[], 32))
                .ok();
            let group = group.filter(|_| storable(epoch) == epoch && storable(epoch + 1) > epoch);
            group
                .zip(keys)
                .map(|(group, (state_key, _))| FetchWelcomeState {
                    group,
                    epoch: Epoch(epoch),
                    state_key,
                    from: 0,
                })
        });
        self.sql.execute_batch("ROLLBACK TO peek; RELEASE peek")?;
        match peeked {
            Ok(body) => Ok(body),
            Err(Reject::Problem(..)) => Ok(None),
            Err(Reject::Fail(error)) => Err(error),
        }
    }

    fn open_welcome(&self, join: &StoredJoin) -> Result<ProcessedWelcome, Reject> {
        let message: MlsMessageIn =
            decode_exact(&join.welcome).map_err(|_| Problem::WelcomeRefused)?;
        let MlsMessageBodyIn::Welcome(welcome) = message.extract() else {
            return Err(Problem::WelcomeRefused.into());
        };
        ProcessedWelcome::new_from_welcome(&self.provider(), &join_config(), welcome)
            .map_err(|_| Problem::WelcomeRefused.into())
    }

    /// Join: MLS state, keys, and the verified identities of everybody. [SDK-IDENTITY-1]
    fn enter(
        &self,
        join: &StoredJoin,
        asked: &FetchWelcomeState,
        state: &GroupState,
    ) -> Result<(), Reject> {
        let tree: RatchetTreeIn =
            decode_exact(state.ratchet_tree.as_slice()).map_err(|_| Problem::WelcomeRefused)?;
        let provider = self.provider();
        let processed = self.open_welcome(join)?;
        let (_, wrap) =
            self.epoch_keys(|crypto, label| processed.export_secret(crypto, label, &[], 32))?;
        let identity_key = wrap
            .open(&asked.group.0, &state.identity_key.sealed)
            .ok()
            .and_then(|key| {
                Zeroizing::new(key)
                    .as_slice()
                    .try_into()
                    .ok()
                    .map(SymmetricKey)
            })
            .ok_or(Problem::WelcomeRefused)?;
        let helped = self.make_room(&asked.group, &tree, &identity_key)?;
        let staged = JoinBuilder::new(&provider, processed)
            .with_ratchet_tree(tree)
            // Members stay members when their KeyPackage would have expired.
            .skip_lifetime_validation()
            .build()
            .map_err(|_| Problem::WelcomeRefused)?;
        if staged.group_context().ciphersuite() != CIPHERSUITE {
            return Err(Problem::WelcomeRefused.into());
        }
        let domain = self.own_domain()?;
        let extensions = staged.group_context().extensions();
        let delivery_key = self.joined_delivery_key(extensions, &domain)?;
        let delivery_key = delivery_key.ok_or(Problem::WelcomeRefused)?;
        let policy = policy(extensions)
            // Nobody is added to a connection group. [DS-ROLE-3]
            .filter(|policy| policy.kind == GroupKind::Group)
            .ok_or(Problem::WelcomeRefused)?;
        let mls = staged
            .into_group(&provider)
            .map_err(|_| Problem::WelcomeRefused)?;
        let group = StoredGroup {
            id: asked.group,
            name: helped.unwrap_or_else(|| hex::group_hex(&asked.group).chars().take(8).collect()),
            leaf_seed: join.leaf_seed.clone(),
            identity_key,
            domain,
            standing: Standing::Active,
            last: None,
            delivery_key,
            policy,
            leaving: false,
        };
        self.forget_entrance(&group.id)?;
        self.save_group(&group, join.ticket)?;
        self.add_epoch(&group.id, asked.epoch, &asked.state_key, 0)?;
        self.execute("DELETE FROM own_numbers WHERE grp = ?1", [group.id.0])?;
        self.use_up_key_package(join.ticket, &group.id)?;
        self.begin_jobs_anew(&group.id)?;
        Ok(self.tell_joined(&group, &mls, &by_leaf(&state.link_keys))?)
    }

    /// Somebody adds us again to a group that we could not follow, or in which the leaf that we have
    /// is no more, because the commit that added us was undone: what is left of it goes. Gives the
    /// group's name. Another group under the same id has another identity key, and gets no room.
    /// [SDK-HEAL-3] [SDK-REVERT-4]
    fn make_room(
        &self,
        group: &GroupId,
        tree: &RatchetTreeIn,
        identity_key: &SymmetricKey,
    ) -> Result<Option<String>, Error> {
        let Some(stored) = self.find_active_group(group)? else {
            return Ok(None);
        };
        if stored.identity_key != *identity_key {
            return Ok(None);
        }
        let damage = self.damage(group)?;
        let is_stuck = damage.is_some_and(|damage| damage.stage != Stage::Quiet);
        let own = stored.key();
        let mut leaves = tree.leaves();
        let is_there = leaves.any(|leaf| leaf.signature_key().as_slice() == own.0);
        if !is_stuck && is_there {
            return Ok(None);
        }
        let name = stored.name;
        self.forget_resync(group)?;
        self.clear_mls(group)?;
        for sql in [
            "DELETE FROM epochs WHERE grp = ?1",
            "DELETE FROM members WHERE grp = ?1",
            "DELETE FROM receipts WHERE grp = ?1",
            "DELETE FROM retained WHERE grp = ?1",
            "DELETE FROM damage WHERE grp = ?1",
            "DELETE FROM done WHERE grp = ?1",
        ] {
            self.execute(sql, [group.0])?;
        }
        Ok(Some(name))
    }

    /// Verify everybody who is in a group that we have joined, and tell. [SDK-IDENTITY-1]
    pub(super) fn tell_joined(
        &self,
        group: &StoredGroup,
        mls: &MlsGroup,
        links: &BTreeMap<LeafIndex, WrappedLinkKey>,
    ) -> Result<(), Error> {
        let changes = self.refresh_members(&group.id, mls, &group.identity_key, links)?;
        let verified = !changes.unverified && !self.is_with_stranger(&group.id)?;
        self.tell(&Event::GroupJoined {
            group: group.hex(),
            members: changes.added,
            verified,
        })?;
        if !verified {
            let group = Some(group.hex());
            self.tell(&Event::Problem {
                group,
                problem: Problem::MemberUnverified,
            })?;
        }
        Ok(())
    }

    /// A KeyPackage that openmls has used up is gone here, too. One of last resort stays.
    fn use_up_key_package(&self, ticket: TicketId, group: &GroupId) -> Result<(), Error> {
        let used_up = self.execute(
            "DELETE FROM key_packages WHERE ticket_id = ?1 AND last_resort = 0",
            [ticket.0],
        )?;
        if used_up == 0 {
            // Others may have the ticket too: the group gets one of its own soon. [SDK-TICKET-1]
            self.execute(
                "UPDATE groups SET ticket_since = 0 WHERE id = ?1",
                [group.0],
            )?;
        }
        Ok(())
    }

    /// What came for the group while its state was fetched, in its order.
    pub(super) fn replay_parked(&self, ticket: TicketId) -> Result<(), Error> {
        let parked = self.rows(
            "SELECT id, payload FROM parked WHERE ticket_id = ?1 ORDER BY id",
            [ticket.0],
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)),
        )?;
        for (id, payload) in parked {
            self.execute("DELETE FROM parked WHERE id = ?1", [id])?;
            self.receive_payload(ticket, &payload)?;
        }
        Ok(())
    }

    /// The Welcome cannot be used: tell, and drop what waited for it.
    fn give_up_join(
        &self,
        join: i64,
        group: Option<&GroupId>,
        problem: Problem,
    ) -> Result<Next, Error> {
        let ticket = self.join(join)?.ticket;
        self.execute("DELETE FROM joins WHERE id = ?1", [join])?;
        let left = "SELECT count(*) FROM joins WHERE ticket_id = ?1";
        if self.count(left, [ticket.0])? == 0 {
            self.execute("DELETE FROM parked WHERE ticket_id = ?1", [ticket.0])?;
        }
        let group = group.map(hex::group_hex);
        self.tell(&Event::Problem { group, problem })?;
        Ok(Next::Done(Outcome::Kept))
    }
}
