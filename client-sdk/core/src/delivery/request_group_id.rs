//! request_group_id - spec/delivery.md#request_group_id

use protocol::delivery::{RequestGroupId, RequestGroupIdReply};

use crate::drive::{Next, success};
use crate::error::Error;
use crate::job::Step;
use crate::outgoing::{Isolation, Outgoing};
use crate::tx::Tx;

impl Tx<'_> {
    pub(super) fn request_group_id(&self) -> Result<Next, Error> {
        let domain = self.own_domain()?;
        let outgoing = Outgoing::unsigned(&RequestGroupId {}, domain, Isolation::Anonymous);
        Ok(Next::Step(Step::Send(outgoing)))
    }

    pub(super) fn requested_group_id(payload: &[u8]) -> Result<RequestGroupIdReply, Error> {
        success(payload)
    }
}
