//! fetch_external_state — spec/delivery.md#fetch_external_state

use protocol::delivery::{FetchExternalState, FetchExternalStateReply};

use crate::Delivery;
use crate::error::Error;
use crate::fetch_welcome_state::window;
use crate::group::{Access, Part, Welcome};
use crate::tables::Group;

impl Delivery {
    /// The present state, for who has the state key of any epoch since the data key began.
    /// [DS-JOIN-4]
    ///
    /// # Errors
    /// `Denied` if there is no such group, or the key is none of these.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the state key goes with the request"
    )]
    pub fn fetch_external_state(
        &self,
        request: FetchExternalState,
    ) -> Result<FetchExternalStateReply, Error> {
        let FetchExternalState {
            group: id,
            state_key,
            from,
        } = &request;
        let (group, stored) = self.store.view(&self.partition(id), |tx| {
            let group = Group::load(tx)?.ok_or(Error::Denied)?;
            let access = Access::open(tx, *id, group.root, state_key)?;
            let stored = access.load(tx, Part::State)?;
            Ok::<_, Error>((group, stored))
        })?;
        let Welcome { state, group_info } = Welcome::open(&stored)?;
        Ok(FetchExternalStateReply {
            epoch: group.epoch,
            receipt: self.receipt(*id, &group),
            window: window(&state, *from)?,
            group_info,
        })
    }
}
