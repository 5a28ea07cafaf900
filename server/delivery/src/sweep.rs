//! What a group keeps of its past goes when its time is over, also if nobody commits any more.
//! Spec: delivery.md#state.

use protocol::time::Timestamp;
use store::Entropy;

use crate::error::Error;
use crate::outbox::Outbox;
use crate::tables::{Group, History, SUPERSEDED};
use crate::{Delivery, operation};

impl Delivery {
    /// Groups that keep past states, or pages that nothing needs, after `after`, in an order without
    /// meaning. A past state has pages of its own, as every commit writes both parts.
    ///
    /// # Errors
    /// The store failed.
    pub fn keeping(&self, after: Option<Outbox>, limit: usize) -> Result<Vec<Outbox>, Error> {
        let after = after.map(|outbox| outbox.0);
        let found = self.store.sweep(&SUPERSEDED, after, limit)?;
        Ok(found.into_iter().map(Outbox).collect())
    }

    /// Drop the past states of a group whose time is over, and as many pages as one transaction
    /// may; whether more of them are left. Called until there are none. [DS-STATE-5]
    ///
    /// # Errors
    /// The store failed.
    pub fn sweep(
        &self,
        Outbox(group): Outbox,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<bool, Error> {
        let is_due = self.store.view(&group, |tx| {
            let exists = Group::load(tx)?.is_some();
            Ok::<_, Error>(exists && History::load(tx)?.is_due(now))
        })?;
        if !is_due {
            return Ok(false);
        }
        self.store.transact(&group, operation(entropy), |tx| {
            let Some(present) = Group::load(tx)? else {
                return Ok(false);
            };
            let mut history = History::load(tx)?;
            history.sweep(tx, &present, now)?;
            history.save(tx)?;
            Ok(history.is_due(now))
        })
    }
}
