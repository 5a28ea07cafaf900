//! Entering a connection group: fetch_external_state, and join_group with a leaf of our own.
//! Spec: auth.md#connection-groups.
//!
//! ```text
//! invitation --> fetch the state --> external commit made, kept aside --> sent --accepted--> we are in
//!                  ^     | our leaf is there: accepted before, and nobody heard    |          ^
//!                  |     +---------------------------------------------------------|----------+
//!                  +------------------------------ WrongEpoch ---------------------+
//! ```

mod commit;
mod invitation;

use openmls::prelude::RatchetTreeIn;
use protocol::codec::decode_exact;
use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::signature::PrivateKey;
use protocol::delivery::{FetchExternalStateReply, GroupState, JoinGroup, JoinGroupReply};
use protocol::error::{ErrorCode, ErrorReply};
use protocol::id::{GroupId, TicketId};
use zeroize::Zeroizing;

use crate::delivery::fetch_external_state::Fetched;
use crate::drive::{Next, success};
use crate::error::Error;
use crate::event::{Event, Problem};
use crate::group::event::Reject;
use crate::hex;
use crate::job::{Outcome, Step};
use crate::outgoing::{Isolation, Outgoing};
use crate::state::{JobState, ResyncState};
use crate::tx::{Tx, stored};

/// How often the state is fetched from the beginning: who opened the group has no reason to commit
/// that often meanwhile, and a service that says so leads us in circles.
const ROUNDS_MAX: u64 = 8;

/// A connection group that we are about to enter.
struct Entrance {
    contact: i64,
    state_key: SymmetricKey,
    identity_key: SymmetricKey,
    /// Once the commit is made.
    made: Option<Made>,
}

/// What is kept of our commit until it is accepted.
struct Made {
    leaf_seed: Zeroizing<[u8; 32]>,
    ticket: TicketId,
    /// The MLS state that it leads to: `Snapshot`.
    pending: Zeroizing<Vec<u8>>,
}

impl Made {
    /// Whether our leaf is in a tree: the commit was accepted.
    fn is_in(&self, tree: &RatchetTreeIn) -> bool {
        let key = PrivateKey::from_seed(&self.leaf_seed).public_key();
        let mut leaves = tree.leaves();
        leaves.any(|leaf| leaf.signature_key().as_slice() == key.0)
    }
}

impl Tx<'_> {
    pub(crate) fn next_enter_connection_group(
        &self,
        group: &GroupId,
        state: &ResyncState,
    ) -> Result<Next, Error> {
        let Some(entrance) = self.entrance(group)? else {
            return Ok(Next::Done(Outcome::Kept));
        };
        let domain = self.own_domain()?;
        match (state, entrance.made) {
            (ResyncState::Join(body), Some(made)) => {
                let body: JoinGroup = stored(body, "join_group")?;
                let key = PrivateKey::from_seed(&made.leaf_seed);
                let isolation = Isolation::Group(*group);
                let outgoing = Outgoing::signed(body, key, domain, isolation);
                Ok(Next::Step(Step::Send(outgoing)))
            }
            (ResyncState::Join(_), None) => Err(Error::Corrupt("entrance")),
            (ResyncState::Fetch { from, .. }, _) => {
                self.fetch_external_state(group, entrance.state_key, domain, *from)
            }
        }
    }

    pub(crate) fn answered_enter_connection_group(
        &self,
        group: &GroupId,
        state: &ResyncState,
        payload: &[u8],
    ) -> Result<Next, Error> {
        let Some(entrance) = self.entrance(group)? else {
            return Ok(Next::Done(Outcome::Kept));
        };
        match state {
            ResyncState::Fetch { from, epoch } => {
                let reply: FetchExternalStateReply = success(payload)?;
                match self.take_external_window(group, (*from, *epoch), &reply)? {
                    Fetched::More(ResyncState::Fetch { from: 0, .. }) => self.try_again(group),
                    Fetched::More(state) => Ok(enter(group, state)),
                    Fetched::State(state) => {
                        self.or_give_up(group, || self.go_in(group, entrance, &reply, &state))
                    }
                    Fetched::Nonsense => self.give_up_entrance(group),
                }
            }
            ResyncState::Join(body) => {
                let reply: JoinGroupReply = success(payload)?;
                let body: JoinGroup = stored(body, "join_group")?;
                if reply.epoch != body.epoch.next() {
                    return Err(Error::BadReply);
                }
                self.or_give_up(group, || {
                    self.accepted_entrance(group, entrance, &body, Some(&reply.receipt))
                })
            }
        }
    }

    /// If it was accepted before, though nobody heard, what came by our ticket shows it.
    /// [SDK-CONNECTION-7] If the one who opened it was quicker with a commit: fetch again. Otherwise
    /// it is too late.
    pub(crate) fn refused_enter_connection_group(
        &self,
        group: &GroupId,
        state: &ResyncState,
        reply: ErrorReply,
    ) -> Result<Next, Error> {
        let Some(entrance) = self.entrance(group)? else {
            return Ok(Next::Done(Outcome::Kept));
        };
        let ResyncState::Join(body) = state else {
            return self.give_up_entrance(group);
        };
        let body: JoinGroup = stored(body, "join_group")?;
        let shown = self.first_from_queue(group, &body.next_state_key)?;
        if shown.is_some() {
            return self.or_give_up(group, || {
                self.accepted_entrance(group, entrance, &body, None)
            });
        }
        match reply.code == ErrorCode::WrongEpoch {
            true => self.try_again(group),
            false => self.give_up_entrance(group),
        }
    }

    /// The state is there: make the commit, unless one that nobody heard of was accepted.
    fn go_in(
        &self,
        group: &GroupId,
        entrance: Entrance,
        reply: &FetchExternalStateReply,
        state: &GroupState,
    ) -> Result<Next, Reject> {
        let tree: RatchetTreeIn =
            decode_exact(state.ratchet_tree.as_slice()).map_err(|_| Problem::InvitationRefused)?;
        let made = entrance.made.as_ref();
        if made.is_some_and(|made| made.is_in(&tree)) {
            return self.complete_entrance(group, entrance, (state, None), None);
        }
        if self.free_tickets()? == 0 {
            // Another job was quicker: wait for more.
            return Ok(self.try_again(group)?);
        }
        let body = self.commit_entrance(group, &entrance, reply, (state, tree))?;
        Ok(enter(group, ResyncState::Join(body)))
    }

    /// Begin anew, unless that was often enough. [SDK-CONNECTION-6]
    fn try_again(&self, group: &GroupId) -> Result<Next, Error> {
        let count = "UPDATE entrances SET rounds = rounds + 1 WHERE grp = ?1 RETURNING rounds";
        match self.count(count, [group.0])? < ROUNDS_MAX {
            true => Ok(enter(group, ResyncState::START)),
            false => self.give_up_entrance(group),
        }
    }

    /// Do it, or undo it and give up.
    fn or_give_up(
        &self,
        group: &GroupId,
        go_in: impl FnOnce() -> Result<Next, Reject>,
    ) -> Result<Next, Error> {
        match self.attempt(go_in) {
            Ok(next) => Ok(next),
            Err(Reject::Problem(..)) => self.give_up_entrance(group),
            Err(Reject::Fail(error)) => Err(error),
        }
    }

    pub(crate) fn give_up_entrance(&self, group: &GroupId) -> Result<Next, Error> {
        self.forget_entrance(group)?;
        self.tell(&Event::Problem {
            group: Some(hex::group_hex(group)),
            problem: Problem::InvitationRefused,
        })?;
        Ok(Next::Done(Outcome::Kept))
    }
}

fn enter(group: &GroupId, state: ResyncState) -> Next {
    let group = group.0;
    Next::Goto(JobState::EnterConnectionGroup { group, state })
}
