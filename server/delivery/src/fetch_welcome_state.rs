//! fetch_welcome_state — spec/delivery.md#fetch_welcome_state

use protocol::codec::{Opaque, encode};
use protocol::delivery::{FetchWelcomeState, FetchWelcomeStateReply, GroupState, StateWindow};
use protocol::error::Rule;
use protocol::limit::STATE_WINDOW_BYTES;
use protocol::time::Timestamp;

use crate::Delivery;
use crate::error::Error;
use crate::group::{Access, Part, Welcome};
use crate::tables::{Group, History, KeyHash};

impl Delivery {
    /// The public state of an epoch, for who has its state key, even if the group has moved on.
    /// [DS-JOIN-1]
    ///
    /// # Errors
    /// `Denied` if there is no such state, or it does not open.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the state key goes with the request"
    )]
    pub fn fetch_welcome_state(
        &self,
        request: FetchWelcomeState,
        now: Timestamp,
    ) -> Result<FetchWelcomeStateReply, Error> {
        let FetchWelcomeState {
            group,
            epoch,
            state_key,
            from,
        } = &request;
        let key = KeyHash::of(group, state_key);
        let stored = self.store.view(&self.partition(group), |tx| {
            let present = Group::load(tx)?.ok_or(Error::Denied)?;
            let root = if (present.epoch, present.key) == (*epoch, key) {
                present.root
            } else {
                let history = History::load(tx)?;
                let kept = history.joinable((*epoch, key), now);
                kept.ok_or(Error::Denied)?.root
            };
            let access = Access::open(tx, *group, root, state_key)?;
            Ok::<_, Error>(access.load(tx, Part::State)?)
        })?;
        let window = window(&Welcome::open(&stored)?.state, *from)?;
        Ok(FetchWelcomeStateReply { window })
    }
}

/// The piece of an encoded state that begins at `from`.
pub(crate) fn window(state: &GroupState, from: u32) -> Result<StateWindow, Rule> {
    let whole = encode(state);
    let from = usize::try_from(from).unwrap_or(usize::MAX);
    let rest = whole.get(from..).unwrap_or_default();
    let piece = rest.get(..STATE_WINDOW_BYTES).unwrap_or(rest);
    Ok(StateWindow {
        total: u32::try_from(whole.len()).map_err(|_| Rule::GroupSize)?,
        bytes: Opaque::new(piece.to_vec()).map_err(|_| Rule::GroupSize)?,
    })
}
