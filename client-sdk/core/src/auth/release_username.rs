//! release_username - spec/auth.md#release_username

use protocol::auth::{ReleaseUsername, ReleaseUsernameReply};
use protocol::error::{ErrorCode, ErrorReply};
use protocol::id::{Username, UsernameHash};
use protocol::time::Timestamp;

use crate::auth::hash_of;
use crate::drive::{Next, success};
use crate::error::Error;
use crate::home::Core;
use crate::job::{JobId, Outcome, Step};
use crate::outgoing::{Isolation, Outgoing};
use crate::state::JobState;
use crate::tx::Tx;

impl Core {
    /// Give a username up.
    ///
    /// # Errors
    /// `Unknown` if it is not ours, or the home's fault.
    pub fn release_username(&mut self, name: &Username, now: Timestamp) -> Result<JobId, Error> {
        let hash = hash_of(name)?.0;
        self.transact(now, |tx| {
            tx.own_username(hash)?;
            tx.ensure_job(&JobState::ReleaseUsername { hash })
        })
    }
}

impl Tx<'_> {
    pub(crate) fn next_release_username(&self, hash: [u8; 32]) -> Result<Next, Error> {
        let Some(username) = self.username(hash)? else {
            return Ok(Next::Done(Outcome::UsernameReleased));
        };
        let body = ReleaseUsername {
            username: UsernameHash(hash),
        };
        let isolation = Isolation::Username(UsernameHash(hash));
        let domain = username.name.domain().clone();
        let outgoing = Outgoing::signed(body, username.key, domain, isolation);
        Ok(Next::Step(Step::Send(outgoing)))
    }

    pub(crate) fn answered_release_username(
        &self,
        hash: [u8; 32],
        payload: &[u8],
    ) -> Result<Next, Error> {
        let ReleaseUsernameReply {} = success(payload)?;
        self.forget_username(hash)?;
        Ok(Next::Done(Outcome::UsernameReleased))
    }

    /// Denied means that it is not ours any more: the same for us.
    pub(crate) fn refused_release_username(
        &self,
        hash: [u8; 32],
        reply: ErrorReply,
    ) -> Result<Next, Error> {
        if reply.code != ErrorCode::Denied {
            return Ok(Next::Over(Error::Refused(reply)));
        }
        self.forget_username(hash)?;
        Ok(Next::Done(Outcome::UsernameReleased))
    }

    fn forget_username(&self, hash: [u8; 32]) -> Result<(), Error> {
        self.execute(
            "DELETE FROM connection_packages WHERE username = ?1",
            [hash],
        )?;
        self.execute("DELETE FROM incoming_requests WHERE username = ?1", [hash])?;
        self.execute("DELETE FROM usernames WHERE hash = ?1", [hash])?;
        self.execute(
            "DELETE FROM jobs WHERE subject = ?1 AND kind IN (6, 8, 9)",
            [hash],
        )?;
        Ok(())
    }
}
