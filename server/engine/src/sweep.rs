//! What groups keep of their past, and when it goes.

use delivery::Outbox;
use protocol::error::ErrorReply;
use protocol::time::Timestamp;

use crate::Engine;
use crate::error::internal;

/// Groups in one call: it holds a thread that others wait for.
const GROUPS_MAX: usize = 16;

/// What a call has done and left.
#[derive(Clone, Copy, Debug, Default)]
pub struct Swept {
    /// Where to go on, if there may be more groups.
    pub last: Option<Outbox>,
    /// Groups that keep what they should not until another time, because something failed.
    pub failed: u64,
}

impl Engine {
    /// Drop what some groups after `after` keep for longer than they should. A group that fails
    /// keeps no other one waiting. [DS-STATE-5]
    ///
    /// # Errors
    /// The store's fault: it does not say which groups there are.
    pub fn sweep(&self, after: Option<Outbox>, now: Timestamp) -> Result<Swept, ErrorReply> {
        let groups = self.delivery.keeping(after, GROUPS_MAX);
        let groups = groups.map_err(|error| internal("sweeping", &error))?;
        let mut swept = Swept {
            last: groups.last().copied(),
            failed: 0,
        };
        for group in groups {
            if let Err(error) = self.sweep_group(group, now) {
                internal("sweeping a group", &error);
                swept.failed += 1;
            }
        }
        Ok(swept)
    }

    fn sweep_group(&self, group: Outbox, now: Timestamp) -> Result<(), delivery::Error> {
        while self.delivery.sweep(group, now, &*self.entropy)? {}
        Ok(())
    }
}

#[cfg(test)]
mod tests;
