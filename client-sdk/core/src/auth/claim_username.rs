//! claim_username - spec/auth.md#claim_username

use protocol::auth::{ClaimUsername, ClaimUsernameReply};
use protocol::crypto::label;
use protocol::crypto::sealed::hash;
use protocol::id::{Username, UsernameHash};
use protocol::time::Timestamp;
use zeroize::Zeroizing;

use crate::auth::{StoredUsername, hash_of};
use crate::drive::{Next, success};
use crate::error::Error;
use crate::home::Core;
use crate::job::{JobId, Outcome, Step};
use crate::outgoing::{Isolation, Outgoing};
use crate::state::{JobState, WorkState};
use crate::tx::{Tx, storable, stored};

impl Core {
    /// Claim a username, or refresh one of ours, under a key that nothing links to the account.
    ///
    /// # Errors
    /// `NotRegistered`, or the home's fault. The job ends with `NameTaken` if it is somebody else's.
    pub fn claim_username(&mut self, name: &Username, now: Timestamp) -> Result<JobId, Error> {
        let hash = hash_of(name)?.0;
        self.transact(now, |tx| {
            tx.registered()?;
            tx.execute(
                "INSERT OR IGNORE INTO usernames (hash, name, key) VALUES (?1, ?2, ?3)",
                (hash, name.to_string(), *Zeroizing::new(tx.random::<32>()?)),
            )?;
            tx.ensure_job(&JobState::ClaimUsername {
                hash,
                work: WorkState::Challenge,
            })
        })
    }
}

impl Tx<'_> {
    pub(crate) fn next_claim_username(
        &self,
        hash: [u8; 32],
        work: &WorkState,
    ) -> Result<Next, Error> {
        let Some(username) = self.username(hash)? else {
            return Ok(Next::Over(Error::Unknown("username")));
        };
        let isolation = Isolation::Username(UsernameHash(hash));
        let domain = username.name.domain().clone();
        match work {
            WorkState::Challenge => Ok(Self::fetch_challenge(&domain, isolation)),
            WorkState::Solve(challenge) => Self::solve(challenge, purpose(hash, &username)),
            WorkState::Send(work) => {
                let body = ClaimUsername {
                    work: stored(work, "work")?,
                    username: UsernameHash(hash),
                    public_key: username.key.public_key(),
                };
                let outgoing = Outgoing::signed(body, username.key, domain, isolation);
                Ok(Next::Step(Step::Send(outgoing)))
            }
        }
    }

    pub(crate) fn answered_claim_username(
        &self,
        hash: [u8; 32],
        work: &WorkState,
        payload: &[u8],
    ) -> Result<Next, Error> {
        match work {
            WorkState::Challenge => {
                let work = Self::challenge(payload)?;
                Ok(Next::Goto(JobState::ClaimUsername { hash, work }))
            }
            WorkState::Solve(_) => Err(Error::NotExpected),
            WorkState::Send(_) => {
                let reply: ClaimUsernameReply = success(payload)?;
                let expires = Timestamp(storable(reply.expires.0));
                self.execute(
                    "UPDATE usernames SET claimed = 1, expires = ?2 WHERE hash = ?1",
                    (hash, expires.0),
                )?;
                Ok(Next::Done(Outcome::UsernameClaimed { expires }))
            }
        }
    }
}

impl Tx<'_> {
    /// A name that was refused is not ours.
    pub(crate) fn forget_unclaimed(&self, hash: [u8; 32]) -> Result<(), Error> {
        self.execute(
            "DELETE FROM usernames WHERE hash = ?1 AND claimed = 0",
            [hash],
        )?;
        Ok(())
    }
}

fn purpose(name: [u8; 32], username: &StoredUsername) -> [u8; 32] {
    let content = [name, username.key.public_key().0].concat();
    hash(label::FINGERPRINT, &content)
}
