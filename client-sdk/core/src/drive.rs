//! Driving jobs: load, take a step, store where it stands.

use std::time::Duration;

use protocol::codec::decode_exact;
use protocol::crypto::work::Work;
use protocol::error::{ErrorCode, ErrorReply};
use protocol::id::GroupId;
use protocol::request::decode_reply;
use protocol::time::Timestamp;
use tls_codec::DeserializeBytes;

use crate::agenda::StoredJob;
use crate::error::Error;
use crate::home::Core;
use crate::job::{Job, JobId, JobKind, Outcome, Step};
use crate::state::{JobState, OpeningState};
use crate::tx::Tx;

/// More transitions without a request between them than any job has.
const TRANSITIONS_MAX: usize = 8;
/// The shortest and the longest pause that a busy server may ask for.
const PAUSE_MILLISECONDS: (u64, u64) = (100, 60_000);

/// How long the queue has to tell of a revert before a request is repeated.
const REVERT_PAUSE: Duration = Duration::from_secs(1);

/// What a job decides.
pub(crate) enum Next {
    /// Stay, and tell the shell what is needed.
    Step(Step),
    /// Move on.
    Goto(JobState),
    /// Success.
    Done(Outcome),
    /// Failure for good.
    Over(Error),
}

/// A step, or the failure that ended the job; both are stored.
type Verdict = Result<Step, Error>;

impl Core {
    /// Make the upkeep jobs that are due, and list all jobs that are not done, oldest first. Call
    /// it at start, after `receive`, after a job is done, and every minute or so.
    ///
    /// # Errors
    /// The home's fault.
    pub fn jobs(&mut self, now: Timestamp) -> Result<Vec<Job>, Error> {
        self.transact(now, |tx| {
            tx.keep()?;
            tx.list_jobs()
        })
    }

    /// How long until [`Core::jobs`] has more to give by itself; none: nothing is planned, and once a
    /// minute is enough.
    ///
    /// # Errors
    /// The home's fault.
    pub fn next_due(&self, now: Timestamp) -> Result<Option<Duration>, Error> {
        self.view(|tx| {
            let tx = Tx { now, ..*tx };
            let due = [tx.next_commit()?, tx.next_remedy()?];
            Ok(due.into_iter().flatten().min())
        })
    }

    /// What the job needs next. Asking again changes nothing: before and after a restart the same
    /// request is given. [SDK-JOB-1]
    ///
    /// # Errors
    /// If [`Error::ends_job`], the job is over and forgotten. Anything else leaves it as it was.
    pub fn step(&mut self, job: JobId, now: Timestamp) -> Result<Step, Error> {
        self.transact(now, |tx| tx.advance(job))?
    }

    /// Give the reply to the job's last request, and get the next step. `payload` is the payload
    /// of the reply's frame.
    ///
    /// # Errors
    /// As [`Core::step`]; `BadReply` if it is no reply: the job is as it was.
    pub fn reply(&mut self, job: JobId, payload: &[u8], now: Timestamp) -> Result<Step, Error> {
        self.transact(now, |tx| {
            let job = tx.load_job(job)?;
            let next = match refusal(payload)? {
                Some(refusal) => match pause(refusal).or(tx.pause_for_revert(&job, refusal)?) {
                    Some(pause) => return Ok(Ok(Step::Retry(pause))),
                    None => tx.decide(|| tx.refused(&job, refusal))?,
                },
                None => tx.decide(|| tx.answered(&job, payload))?,
            };
            tx.apply(job, next)
        })?
    }

    /// Give the work for the job's puzzle, and get the next step.
    ///
    /// # Errors
    /// As [`Core::step`]; `NotExpected` if the job wants no work.
    pub fn solved(&mut self, job: JobId, work: Work, now: Timestamp) -> Result<Step, Error> {
        self.transact(now, |tx| {
            let job = tx.load_job(job)?;
            let next = tx.worked(&job, &work)?;
            tx.apply(job, next)
        })?
    }
}

impl Tx<'_> {
    fn advance(&self, id: JobId) -> Result<Verdict, Error> {
        let job = self.load_job(id)?;
        let next = self.decide(|| self.next(&job))?;
        self.apply(job, next)
    }

    /// Take a job as far as it goes without its shell.
    pub(crate) fn prepare(&self, id: JobId) -> Result<(), Error> {
        self.advance(id)?.map(drop)
    }

    /// Decide what comes next; an error that ends the job undoes what led to it.
    fn decide(&self, decide: impl FnOnce() -> Result<Next, Error>) -> Result<Next, Error> {
        self.attempt(decide).or_else(|error| {
            if error.ends_job() {
                Ok(Next::Over(error))
            } else {
                Err(error)
            }
        })
    }

    fn apply(&self, mut job: StoredJob, mut next: Next) -> Result<Verdict, Error> {
        for _ in 0..TRANSITIONS_MAX {
            match next {
                Next::Step(step) => return Ok(Ok(step)),
                Next::Goto(state) => {
                    job.state = state;
                    self.save_job(job.id, &job.state)?;
                    next = self.decide(|| self.next(&job))?;
                }
                Next::Done(outcome) => {
                    self.drop_job(job.id)?;
                    return Ok(Ok(Step::Done(outcome)));
                }
                Next::Over(error) => {
                    self.drop_job(job.id)?;
                    self.abandon(&job)?;
                    return Ok(Err(error));
                }
            }
        }
        Err(Error::Corrupt("a job goes round in circles"))
    }

    /// What a job leaves behind when it failed for good.
    fn abandon(&self, job: &StoredJob) -> Result<(), Error> {
        let kind = job.state.kind();
        if kind.is_upkeep() || kind == JobKind::ClaimUsername {
            self.rest(&job.state)?;
        }
        match &job.state {
            JobState::Connect { username, .. } => self.forget_connection_request(username),
            JobState::ClaimUsername { hash, .. } => self.forget_unclaimed(*hash),
            JobState::EnterConnectionGroup { group, .. } => {
                self.give_up_entrance(&GroupId(*group)).map(drop)
            }
            JobState::CommitGroup(_) => self.drop_pending_commit(job.group.as_ref()),
            JobState::LeaveGroup { .. } => self.withdraw_leave(job.group.as_ref()),
            JobState::SendMessage { message, .. } | JobState::SendToMember { message, .. } => {
                self.fail_message(*message)
            }
            JobState::CreateGroup {
                body: Some(body), ..
            }
            | JobState::OpenConnectionGroup {
                state: OpeningState::Create(body),
                ..
            } => self.forget_created_group(body),
            JobState::Register { .. }
            | JobState::FetchServerKeys { .. }
            | JobState::CreateQueue
            | JobState::TakeTickets
            | JobState::PublishKeyPackages { .. }
            | JobState::ReleaseUsername { .. }
            | JobState::PublishConnectionPackages { .. }
            | JobState::FetchConnectionRequests { .. }
            | JobState::AcceptConnection { .. }
            | JobState::CreateGroup { body: None, .. }
            | JobState::JoinGroup { .. }
            | JobState::DeleteGroup { .. }
            | JobState::UpdateTicket { .. }
            | JobState::Complain { .. }
            | JobState::Resync { .. }
            | JobState::OpenConnectionGroup { .. } => Ok(()),
        }
    }

    /// A group in an epoch from before ours: perhaps commits were undone, and the queue has not
    /// told yet. [SDK-REVERT-1]
    fn pause_for_revert(
        &self,
        job: &StoredJob,
        refusal: ErrorReply,
    ) -> Result<Option<Duration>, Error> {
        let Some(group) = job.group.filter(|_| refusal.code == ErrorCode::WrongEpoch) else {
            return Ok(None);
        };
        let may_be = self.may_be_reverted(&group, refusal.detail)?;
        Ok(may_be.then_some(REVERT_PAUSE))
    }

    fn next(&self, job: &StoredJob) -> Result<Next, Error> {
        match &job.state {
            JobState::Register { request, work } => self.next_register(request.as_ref(), work),
            JobState::FetchServerKeys { domain } => Self::next_fetch_server_keys(domain),
            JobState::CreateQueue => self.next_create_queue(),
            JobState::TakeTickets => self.next_take_tickets(),
            JobState::PublishKeyPackages { body } => self.next_publish_key_packages(body.as_ref()),
            JobState::ClaimUsername { hash, work } => self.next_claim_username(*hash, work),
            JobState::ReleaseUsername { hash } => self.next_release_username(*hash),
            JobState::PublishConnectionPackages { hash, body } => {
                self.next_publish_connection_packages(*hash, body.as_ref())
            }
            JobState::FetchConnectionRequests { hash, count } => {
                self.next_fetch_connection_requests(*hash, *count)
            }
            JobState::Connect {
                username,
                hash,
                body,
            } => self.next_connect(username, *hash, body.as_ref()),
            JobState::AcceptConnection { request, body } => {
                self.next_accept_connection(*request, body.as_ref())
            }
            JobState::CreateGroup { name, body } => self.next_create_group(name, body.as_ref()),
            JobState::CommitGroup(commit) => self.next_commit_group(job, commit),
            JobState::SendMessage {
                message,
                sent,
                behind,
            } => self.next_send_message(job, *message, sent.as_ref(), *behind),
            JobState::JoinGroup { join, body } => self.next_join_group(*join, body.as_ref()),
            JobState::SendToMember {
                message,
                sent,
                behind,
            } => self.next_send_to_member(job, *message, sent.as_ref(), *behind),
            JobState::LeaveGroup { sent, behind } => {
                self.next_leave_group(job, sent.as_ref(), *behind)
            }
            JobState::DeleteGroup { sent, behind } => {
                self.next_delete_group(job, sent.as_ref(), *behind)
            }
            JobState::UpdateTicket { body, behind } => {
                self.next_update_ticket(job, body.as_ref(), *behind)
            }
            JobState::Complain { group, body } => self.next_complain(&GroupId(*group), body),
            JobState::Resync { group, state } => self.next_resync(&GroupId(*group), state),
            JobState::OpenConnectionGroup { contact, state } => {
                self.next_open_connection_group(*contact, state)
            }
            JobState::EnterConnectionGroup { group, state } => {
                self.next_enter_connection_group(&GroupId(*group), state)
            }
        }
    }

    fn answered(&self, job: &StoredJob, payload: &[u8]) -> Result<Next, Error> {
        match &job.state {
            JobState::Register { request, work } => {
                self.answered_register(request.as_ref(), work, payload)
            }
            JobState::FetchServerKeys { domain } => {
                self.answered_fetch_server_keys(domain, payload)
            }
            JobState::CreateQueue => self.answered_create_queue(payload),
            JobState::TakeTickets => self.answered_take_tickets(payload),
            JobState::PublishKeyPackages { body } => {
                self.answered_publish_key_packages(body.as_ref(), payload)
            }
            JobState::ClaimUsername { hash, work } => {
                self.answered_claim_username(*hash, work, payload)
            }
            JobState::ReleaseUsername { hash } => self.answered_release_username(*hash, payload),
            JobState::PublishConnectionPackages { hash, body } => {
                self.answered_publish_connection_packages(*hash, body.as_ref(), payload)
            }
            JobState::FetchConnectionRequests { hash, count } => {
                self.answered_fetch_connection_requests(*hash, *count, payload)
            }
            JobState::Connect {
                username,
                hash,
                body,
            } => self.answered_connect(username, *hash, body.as_ref(), payload),
            JobState::AcceptConnection { request, .. } => {
                self.answered_accept_connection(*request, payload)
            }
            JobState::CreateGroup { name, body } => {
                self.answered_create_group(job, name, body.as_ref(), payload)
            }
            JobState::CommitGroup(commit) => self.answered_commit_group(job, commit, payload),
            JobState::SendMessage { message, sent, .. } => {
                self.answered_send_message(job, *message, sent.as_ref(), payload)
            }
            JobState::JoinGroup { join, body } => {
                self.answered_join_group(*join, body.as_ref(), payload)
            }
            JobState::SendToMember { message, sent, .. } => {
                self.answered_send_to_member(job, *message, sent.as_ref(), payload)
            }
            JobState::LeaveGroup { sent, .. } => {
                self.answered_leave_group(job, sent.as_ref(), payload)
            }
            JobState::DeleteGroup { sent, .. } => {
                self.answered_delete_group(job, sent.as_ref(), payload)
            }
            JobState::UpdateTicket { .. } => self.answered_update_ticket(job, payload),
            JobState::Complain { group, .. } => self.answered_complain(&GroupId(*group), payload),
            JobState::Resync { group, state } => {
                self.answered_resync(&GroupId(*group), state, payload)
            }
            JobState::OpenConnectionGroup { contact, state } => {
                self.answered_open_connection_group(job, *contact, state, payload)
            }
            JobState::EnterConnectionGroup { group, state } => {
                self.answered_enter_connection_group(&GroupId(*group), state, payload)
            }
        }
    }

    /// The server said no, and will say so again unless the request changes.
    fn refused(&self, job: &StoredJob, reply: ErrorReply) -> Result<Next, Error> {
        match &job.state {
            JobState::Register { .. } | JobState::ClaimUsername { .. } => {
                Ok(Self::refused_work(job, reply))
            }
            JobState::CreateGroup { name, .. } => self.refused_create_group(job, name, reply),
            JobState::CommitGroup(commit) => self.refused_commit_group(job, commit, reply),
            JobState::SendMessage { message, sent, .. } => {
                self.refused_send_message(*message, sent.as_ref(), reply)
            }
            JobState::JoinGroup { join, body } => {
                self.refused_join_group(*join, body.as_ref(), reply)
            }
            JobState::ReleaseUsername { hash } => self.refused_release_username(*hash, reply),
            JobState::SendToMember { message, sent, .. } => {
                self.refused_send_to_member(*message, sent.as_ref(), reply)
            }
            JobState::LeaveGroup { sent, .. } => self.refused_leave_group(sent.as_ref(), reply),
            JobState::DeleteGroup { sent, .. } => self.refused_delete_group(sent.as_ref(), reply),
            JobState::UpdateTicket { body, .. } => self.refused_update_ticket(body.as_ref(), reply),
            JobState::Complain { group, .. } => self.refused_complain(&GroupId(*group)),
            JobState::Resync { group, state } => {
                self.refused_resync(&GroupId(*group), state, reply)
            }
            JobState::OpenConnectionGroup { contact, state } => {
                self.refused_open_connection_group(*contact, state, reply)
            }
            JobState::EnterConnectionGroup { group, state } => {
                self.refused_enter_connection_group(&GroupId(*group), state, reply)
            }
            JobState::FetchServerKeys { .. }
            | JobState::CreateQueue
            | JobState::TakeTickets
            | JobState::PublishKeyPackages { .. }
            | JobState::PublishConnectionPackages { .. }
            | JobState::FetchConnectionRequests { .. }
            | JobState::Connect { .. }
            | JobState::AcceptConnection { .. } => Ok(Next::Over(Error::Refused(reply))),
        }
    }
}

/// Decode a success's payload.
pub(crate) fn success<T: DeserializeBytes>(payload: &[u8]) -> Result<T, Error> {
    match decode_reply(payload) {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(_)) | Err(_) => Err(Error::BadReply),
    }
}

/// A failure's payload, if it is one.
fn refusal(payload: &[u8]) -> Result<Option<ErrorReply>, Error> {
    match payload.split_first() {
        Some((1, error)) => decode_exact(error).map(Some).map_err(|_| Error::BadReply),
        Some(_) => Ok(None),
        None => Err(Error::BadReply),
    }
}

/// How long to wait before the same request has a chance.
fn pause(refusal: ErrorReply) -> Option<Duration> {
    let (least, most) = PAUSE_MILLISECONDS;
    match refusal.code {
        ErrorCode::RateLimited | ErrorCode::Busy => {
            Some(Duration::from_millis(refusal.detail.clamp(least, most)))
        }
        ErrorCode::Internal => Some(Duration::from_secs(1)),
        ErrorCode::Malformed
        | ErrorCode::UnsupportedVersion
        | ErrorCode::UnknownOperation
        | ErrorCode::Denied
        | ErrorCode::NotFound
        | ErrorCode::TooLarge
        | ErrorCode::WrongEpoch
        | ErrorCode::Exists
        | ErrorCode::WorkRequired
        | ErrorCode::Invalid
        | ErrorCode::QuotaExceeded
        | ErrorCode::Rewound => None,
    }
}
