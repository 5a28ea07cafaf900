//! The jobs' rows: what is to be done, in order.

use std::time::Duration;

use protocol::id::GroupId;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::job::{Job, JobId, JobKind, Step};
use crate::state::JobState;
use crate::tx::Tx;

/// Upkeep that was refused for good is tried again after this many seconds.
const REST_SECONDS: u64 = 60;
/// Whoever waits for resting upkeep looks again after this time.
pub(crate) const REST_PAUSE: Duration = Duration::from_secs(5);
/// Jobs in one answer.
const JOBS_MAX: usize = 10_000;

/// A job as stored.
pub(crate) struct StoredJob {
    pub(crate) id: JobId,
    pub(crate) group: Option<GroupId>,
    pub(crate) state: JobState,
}

impl Tx<'_> {
    /// Store a job at its start.
    pub(crate) fn add_job(
        &self,
        state: &JobState,
        group: Option<&GroupId>,
    ) -> Result<JobId, Error> {
        let id = self.insert(
            "INSERT INTO jobs (kind, subject, grp, state) VALUES (?1, ?2, ?3, ?4)",
            (
                kind_number(state.kind()),
                state.subject(),
                group.map(|group| group.0),
                &*state.pack()?,
            ),
        )?;
        Ok(JobId(id))
    }

    /// Store a job that a group's other jobs wait for: numbers count down from zero.
    pub(crate) fn add_job_before(&self, state: &JobState, group: &GroupId) -> Result<JobId, Error> {
        let id = self.insert(
            "INSERT INTO jobs (id, kind, subject, grp, state)
             VALUES ((SELECT min(0, coalesce(min(id), 0)) - 1 FROM jobs), ?1, ?2, ?3, ?4)",
            (
                kind_number(state.kind()),
                state.subject(),
                group.0,
                &*state.pack()?,
            ),
        )?;
        Ok(JobId(id))
    }

    /// The job of this kind and subject, made if there is none.
    pub(crate) fn ensure_job(&self, state: &JobState) -> Result<JobId, Error> {
        let known = self.find_job(state.kind(), &state.subject())?;
        known.map_or_else(|| self.add_job(state, None), Ok)
    }

    /// Wait for upkeep that another job needs.
    pub(crate) fn wait_for_upkeep(&self, state: &JobState) -> Result<Step, Error> {
        if self.is_resting(state)? {
            return Ok(Step::Retry(REST_PAUSE));
        }
        Ok(Step::Wait(self.ensure_job(state)?))
    }

    /// The same as [`Self::ensure_job`] for upkeep, unless it failed a moment ago.
    pub(crate) fn ensure_upkeep(&self, state: &JobState) -> Result<(), Error> {
        if !self.is_resting(state)? {
            self.ensure_job(state)?;
        }
        Ok(())
    }

    pub(crate) fn is_resting(&self, state: &JobState) -> Result<bool, Error> {
        let rests = self.count(
            "SELECT count(*) FROM resting WHERE kind = ?1 AND subject = ?2 AND until > ?3",
            (kind_number(state.kind()), state.subject(), self.now.0),
        )?;
        Ok(rests > 0)
    }

    pub(crate) fn find_job(&self, kind: JobKind, subject: &[u8]) -> Result<Option<JobId>, Error> {
        self.row(
            "SELECT id FROM jobs WHERE kind = ?1 AND subject = ?2 ORDER BY id LIMIT 1",
            (kind_number(kind), subject),
            |row| Ok(JobId(row.get(0)?)),
        )
    }

    /// Whether a group has a job of one of these kinds.
    pub(crate) fn has_job(&self, group: &GroupId, kinds: &[JobKind]) -> Result<bool, Error> {
        let sql = "SELECT count(*) FROM jobs WHERE grp = ?1 AND kind = ?2";
        for kind in kinds {
            if self.count(sql, (group.0, kind_number(*kind)))? > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The oldest job of a group: the only one that may have a request under way. [SDK-ORDER-1]
    pub(crate) fn first_job(&self, group: &GroupId) -> Result<Option<StoredJob>, Error> {
        let id = self.row(
            "SELECT id FROM jobs WHERE grp = ?1 ORDER BY id LIMIT 1",
            [group.0],
            |row| Ok(JobId(row.get(0)?)),
        )?;
        id.map(|id| self.load_job(id)).transpose()
    }

    /// All jobs that keep a group's order, oldest first.
    pub(crate) fn jobs_of(&self, group: &GroupId) -> Result<Vec<StoredJob>, Error> {
        let ids = self.rows(
            "SELECT id FROM jobs WHERE grp = ?1 ORDER BY id",
            [group.0],
            |row| Ok(JobId(row.get(0)?)),
        )?;
        ids.into_iter().map(|id| self.load_job(id)).collect()
    }

    /// The job of the same group that must be done first. [SDK-ORDER-1]
    pub(crate) fn earlier_job(&self, job: &StoredJob) -> Result<Option<JobId>, Error> {
        let Some(group) = job.group else {
            return Ok(None);
        };
        self.row(
            "SELECT id FROM jobs WHERE grp = ?1 AND id < ?2 ORDER BY id LIMIT 1",
            (group.0, job.id.0),
            |row| Ok(JobId(row.get(0)?)),
        )
    }

    pub(crate) fn load_job(&self, id: JobId) -> Result<StoredJob, Error> {
        let found = self.row("SELECT grp, state FROM jobs WHERE id = ?1", [id.0], |row| {
            Ok((
                row.get::<_, Option<[u8; 16]>>(0)?,
                Zeroizing::new(row.get::<_, Vec<u8>>(1)?),
            ))
        })?;
        let (group, state) = found.ok_or(Error::Unknown("job"))?;
        let state = JobState::unpack(&state)?;
        Ok(StoredJob {
            id,
            group: group.map(GroupId),
            state,
        })
    }

    pub(crate) fn save_job(&self, id: JobId, state: &JobState) -> Result<(), Error> {
        self.execute(
            "UPDATE jobs SET state = ?2 WHERE id = ?1",
            (id.0, &*state.pack()?),
        )?;
        Ok(())
    }

    /// From here on the job keeps the order of a group.
    pub(crate) fn save_job_group(&self, id: JobId, group: &GroupId) -> Result<(), Error> {
        self.execute("UPDATE jobs SET grp = ?2 WHERE id = ?1", (id.0, group.0))?;
        Ok(())
    }

    pub(crate) fn drop_job(&self, id: JobId) -> Result<(), Error> {
        self.execute("DELETE FROM jobs WHERE id = ?1", [id.0])?;
        Ok(())
    }

    /// Jobs that are not done, oldest first.
    pub(crate) fn list_jobs(&self) -> Result<Vec<Job>, Error> {
        let rows = self.rows(
            "SELECT id, kind, grp FROM jobs ORDER BY id LIMIT ?1",
            [JOBS_MAX],
            |row| {
                let group: Option<[u8; 16]> = row.get(2)?;
                Ok((JobId(row.get(0)?), row.get(1)?, group.map(GroupId)))
            },
        )?;
        let jobs = rows.into_iter().map(|(id, kind, group)| {
            let kind = kind_of(kind).ok_or(Error::Corrupt("job"))?;
            Ok(Job { id, kind, group })
        });
        jobs.collect()
    }

    /// Upkeep failed for good: let it rest.
    pub(crate) fn rest(&self, state: &JobState) -> Result<(), Error> {
        let until = self.now.0.saturating_add(REST_SECONDS);
        self.execute(
            "INSERT OR REPLACE INTO resting (kind, subject, until) VALUES (?1, ?2, ?3)",
            (kind_number(state.kind()), state.subject(), until),
        )?;
        Ok(())
    }
}

/// Kinds by their numbers in the database, which are never reused.
const KINDS: [(u8, JobKind); 24] = [
    (1, JobKind::Register),
    (2, JobKind::FetchServerKeys),
    (3, JobKind::CreateQueue),
    (4, JobKind::TakeTickets),
    (5, JobKind::PublishKeyPackages),
    (6, JobKind::ClaimUsername),
    (7, JobKind::ReleaseUsername),
    (8, JobKind::PublishConnectionPackages),
    (9, JobKind::FetchConnectionRequests),
    (10, JobKind::Connect),
    (11, JobKind::AcceptConnection),
    (12, JobKind::CreateGroup),
    (13, JobKind::CommitGroup),
    (14, JobKind::SendMessage),
    (15, JobKind::JoinGroup),
    (16, JobKind::CommitProposals),
    (17, JobKind::SendToMember),
    (18, JobKind::LeaveGroup),
    (19, JobKind::DeleteGroup),
    (20, JobKind::UpdateTicket),
    (21, JobKind::Complain),
    (22, JobKind::Resync),
    (23, JobKind::OpenConnectionGroup),
    (24, JobKind::EnterConnectionGroup),
];

fn kind_number(kind: JobKind) -> u8 {
    let entry = KINDS.iter().find(|(_, known)| *known == kind);
    entry.map_or(0, |(number, _)| *number)
}

fn kind_of(number: u8) -> Option<JobKind> {
    let entry = KINDS.iter().find(|(known, _)| *known == number);
    entry.map(|(_, kind)| *kind)
}
