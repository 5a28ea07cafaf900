//! fetch_welcome_state - spec/delivery.md#fetch_welcome_state

use std::collections::BTreeMap;

use openmls::prelude::{
    JoinBuilder, MlsGroup, MlsMessageBodyIn, MlsMessageIn, ProcessedWelcome, RatchetTreeIn,
};
use protocol::codec::{decode_exact, encode};
use protocol::crypto::sealed::SymmetricKey;
use protocol::delivery::{FetchWelcomeState, FetchWelcomeStateReply};
use protocol::error::ErrorReply;
use protocol::id::{Epoch, GroupId, LeafIndex, TicketId};
use zeroize::Zeroizing;

use crate::drive::{Next, success};
use crate::error::Error;
use crate::event::{Event, Problem};
use crate::group::event::Reject;
use crate::group::leaf::CIPHERSUITE;
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
                None => self.give_up_join(join, None),
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
        match self.attempt(|| self.enter(&waiting, &body, &reply)) {
            Ok(()) => {}
            Err(Reject::Problem(..)) => return self.give_up_join(join, Some(&body.group)),
            Err(Reject::Fail(error)) => return Err(error),
        }
        self.execute("DELETE FROM joins WHERE id = ?1", [join])?;
        self.replay_parked(waiting.ticket)?;
        Ok(Next::Done(Outcome::GroupJoined { group: body.group }))
    }

    /// The server has no such state any more: the Welcome leads nowhere.
    pub(crate) fn refused_join_group(&self, join: i64, _: ErrorReply) -> Result<Next, Error> {
        self.give_up_join(join, None)
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
        reply: &FetchWelcomeStateReply,
    ) -> Result<(), Reject> {
        let provider = self.provider();
        let processed = self.open_welcome(join)?;
        let (_, wrap) =
            self.epoch_keys(|crypto, label| processed.export_secret(crypto, label, &[], 32))?;
        let identity_key = wrap
            .open(&asked.group.0, &reply.identity_key.sealed)
            .ok()
            .and_then(|key| {
                Zeroizing::new(key)
                    .as_slice()
                    .try_into()
                    .ok()
                    .map(SymmetricKey)
            })
            .ok_or(Problem::WelcomeRefused)?;
        let tree: RatchetTreeIn =
            decode_exact(reply.ratchet_tree.as_slice()).map_err(|_| Problem::WelcomeRefused)?;
        let staged = JoinBuilder::new(&provider, processed)
            .with_ratchet_tree(tree)
            // Members stay members when their KeyPackage would have expired.
            .skip_lifetime_validation()
            .build()
            .map_err(|_| Problem::WelcomeRefused)?;
        if staged.group_context().ciphersuite() != CIPHERSUITE {
            return Err(Problem::WelcomeRefused.into());
        }
        let mls = staged
            .into_group(&provider)
            .map_err(|_| Problem::WelcomeRefused)?;
        let group = StoredGroup {
            id: asked.group,
            name: hex::group_hex(&asked.group).chars().take(8).collect(),
            leaf_seed: join.leaf_seed.clone(),
            identity_key,
            domain: self.own_domain()?,
            standing: Standing::Active,
            last: None,
        };
        self.save_group(&group, join.ticket)?;
        self.add_epoch(&group.id, asked.epoch, &asked.state_key, 0)?;
        self.execute("DELETE FROM own_numbers WHERE grp = ?1", [group.id.0])?;
        self.use_up_key_package(join.ticket, &mls)?;
        self.tell_joined(&group, &mls, reply)
    }

    fn tell_joined(
        &self,
        group: &StoredGroup,
        mls: &MlsGroup,
        reply: &FetchWelcomeStateReply,
    ) -> Result<(), Reject> {
        let keys: BTreeMap<LeafIndex, _> = reply
            .link_keys
            .iter()
            .map(|entry| (entry.leaf, entry.key))
            .collect();
        let changes = self.refresh_members(&group.id, mls, &group.identity_key, &keys)?;
        let verified = !changes.unverified;
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
    fn use_up_key_package(&self, ticket: TicketId, mls: &MlsGroup) -> Result<(), Error> {
        debug_assert!(mls.is_active());
        self.execute(
            "DELETE FROM key_packages WHERE ticket_id = ?1 AND last_resort = 0",
            [ticket.0],
        )?;
        Ok(())
    }

    /// What came for the group while its state was fetched, in its order.
    fn replay_parked(&self, ticket: TicketId) -> Result<(), Error> {
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
    fn give_up_join(&self, join: i64, group: Option<&GroupId>) -> Result<Next, Error> {
        let ticket = self.join(join)?.ticket;
        self.execute("DELETE FROM joins WHERE id = ?1", [join])?;
        let left = "SELECT count(*) FROM joins WHERE ticket_id = ?1";
        if self.count(left, [ticket.0])? == 0 {
            self.execute("DELETE FROM parked WHERE ticket_id = ?1", [ticket.0])?;
        }
        let group = group.map(hex::group_hex);
        self.tell(&Event::Problem {
            group,
            problem: Problem::WelcomeRefused,
        })?;
        Ok(Next::Done(Outcome::Kept))
    }
}
