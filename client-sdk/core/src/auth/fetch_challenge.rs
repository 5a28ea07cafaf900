//! fetch_challenge - spec/auth.md#fetch_challenge
//!
//! ```text
//! Challenge --fetch_challenge--> Solve --work--> Send --the request that costs it--> done
//!     ^                                            | WorkRequired: the puzzle expired
//!     +--------------------------------------------+
//! ```

use protocol::auth::{FetchChallenge, FetchChallengeReply};
use protocol::codec::encode;
use protocol::crypto::work::Work;
use protocol::error::{ErrorCode, ErrorReply};
use protocol::id::Domain;

use crate::agenda::StoredJob;
use crate::drive::{Next, success};
use crate::error::Error;
use crate::job::{Step, WorkOrder};
use crate::outgoing::{Isolation, Outgoing};
use crate::state::{JobState, WorkState};
use crate::tx::{Tx, stored};

impl Tx<'_> {
    pub(super) fn fetch_challenge(domain: &Domain, isolation: Isolation) -> Next {
        Next::Step(Step::Send(Outgoing::unsigned(
            &FetchChallenge {},
            domain.clone(),
            isolation,
        )))
    }

    /// The puzzle from the server's answer; a puzzle that is not reasonable is none.
    pub(super) fn challenge(payload: &[u8]) -> Result<WorkState, Error> {
        let reply: FetchChallengeReply = success(payload)?;
        if !reply.challenge.difficulty.is_reasonable() {
            return Err(Error::BadReply);
        }
        Ok(WorkState::Solve(encode(&reply.challenge).into()))
    }

    pub(super) fn solve(challenge: &[u8], purpose: [u8; 32]) -> Result<Next, Error> {
        let challenge = stored(challenge, "challenge")?;
        Ok(Next::Step(Step::Solve(WorkOrder { challenge, purpose })))
    }

    /// Take the work of a job that waits for it.
    pub(crate) fn worked(&self, job: &StoredJob, work: &Work) -> Result<Next, Error> {
        let sent = WorkState::Send(encode(work).into());
        if let JobState::Register {
            request,
            work: WorkState::Solve(_),
        } = &job.state
        {
            let request = request.clone();
            return Ok(Next::Goto(JobState::Register {
                request,
                work: sent,
            }));
        }
        if let JobState::ClaimUsername {
            hash,
            work: WorkState::Solve(_),
        } = &job.state
        {
            let hash = *hash;
            return Ok(Next::Goto(JobState::ClaimUsername { hash, work: sent }));
        }
        Err(Error::NotExpected)
    }

    /// An expired puzzle is replaced; any other refusal is final.
    pub(crate) fn refused_work(job: &StoredJob, reply: ErrorReply) -> Next {
        let work = WorkState::Challenge;
        match (&job.state, reply.code) {
            (JobState::Register { .. }, ErrorCode::WorkRequired) => {
                Next::Goto(JobState::Register {
                    request: None,
                    work,
                })
            }
            (JobState::ClaimUsername { hash, .. }, ErrorCode::WorkRequired) => {
                Next::Goto(JobState::ClaimUsername { hash: *hash, work })
            }
            (JobState::ClaimUsername { .. }, ErrorCode::Exists) => Next::Over(Error::NameTaken),
            _ => Next::Over(Error::Refused(reply)),
        }
    }
}
