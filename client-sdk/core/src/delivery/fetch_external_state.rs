//! fetch_external_state - spec/delivery.md#fetch_external_state

use protocol::codec::decode_exact;
use protocol::crypto::sealed::SymmetricKey;
use protocol::delivery::{FetchExternalState, FetchExternalStateReply, GroupState};
use protocol::id::{Domain, GroupId};
use protocol::limit::GROUP_STATE_BYTES_MAX;

use crate::drive::Next;
use crate::error::Error;
use crate::job::Step;
use crate::outgoing::{Isolation, Outgoing};
use crate::state::ResyncState;
use crate::tx::Tx;

/// What a window of the present state leads to.
pub(super) enum Fetched {
    /// More is to come.
    More(ResyncState),
    /// The state is complete.
    State(Box<GroupState>),
    /// It is none.
    Nonsense,
}

impl Tx<'_> {
    pub(super) fn fetch_external_state(
        &self,
        group: &GroupId,
        state_key: SymmetricKey,
        domain: Domain,
        from: u32,
    ) -> Result<Next, Error> {
        if let Some(wait) = self.wait_for_tickets(1)? {
            return Ok(wait);
        }
        let body = FetchExternalState {
            group: *group,
            state_key,
            from,
        };
        let outgoing = Outgoing::unsigned(&body, domain, Isolation::Anonymous);
        Ok(Next::Step(Step::Send(outgoing)))
    }

    /// Keep a window. If the group has moved on since the one before, begin anew. What an earlier
    /// commit left stays.
    pub(super) fn take_external_window(
        &self,
        group: &GroupId,
        (from, epoch): (u32, u64),
        reply: &FetchExternalStateReply,
    ) -> Result<Fetched, Error> {
        if from > 0 && reply.epoch.0 != epoch {
            return Ok(Fetched::More(ResyncState::START));
        }
        if from == 0 {
            self.execute(
                "INSERT INTO resyncs (grp) VALUES (?1) ON CONFLICT DO UPDATE SET state = x''",
                [group.0],
            )?;
        }
        let (bytes, total) = (reply.window.bytes.as_slice(), reply.window.total);
        let state = self.row(
            "UPDATE resyncs SET state = CAST(state || ?2 AS BLOB)
             WHERE grp = ?1 AND length(state) = ?3 RETURNING state",
            (group.0, bytes, from),
            |row| row.get::<_, Vec<u8>>(0),
        )?;
        let fits = usize::try_from(total).is_ok_and(|total| total <= GROUP_STATE_BYTES_MAX);
        let (Some(state), true, false) = (state, fits, bytes.is_empty()) else {
            return Ok(Fetched::Nonsense);
        };
        let length = u32::try_from(state.len()).unwrap_or(u32::MAX);
        if length < total {
            let (from, epoch) = (length, reply.epoch.0);
            return Ok(Fetched::More(ResyncState::Fetch { from, epoch }));
        }
        Ok(match decode_exact(&state) {
            Ok(state) if length == total => Fetched::State(Box::new(state)),
            Ok(_) | Err(_) => Fetched::Nonsense,
        })
    }
}
