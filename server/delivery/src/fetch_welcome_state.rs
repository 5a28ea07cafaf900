//! fetch_welcome_state — spec/delivery.md#fetch_welcome_state

use protocol::delivery::{FetchWelcomeState, FetchWelcomeStateReply};
use protocol::time::Timestamp;

use crate::Delivery;
use crate::error::Error;
use crate::group::Place;
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
        } = &request;
        let key = KeyHash::of(group, state_key);
        let sealed = self.store.view(&self.partition(group), |tx| {
            let present = Group::load(tx)?.ok_or(Error::Denied)?;
            if (present.epoch, present.key) == (*epoch, key) {
                return Ok(Group::load_state(tx)?);
            }
            History::load(tx)?.load_past(tx, (*epoch, key), now)
        })?;
        let state = sealed.open(
            state_key,
            Place {
                group: *group,
                epoch: *epoch,
            },
        )?;
        Ok(state.welcome()?)
    }
}
