//! Drives the core's jobs: what the user asked for, what a crash interrupted, and upkeep.
//!
//! ```text
//! step ─► Send ─► exchange ─► reply ─┐      every job has a task of its own; the core keeps the
//!   ▲     Solve ─► work ─► solved ───┤      order of jobs of one group (Wait)
//!   └── Retry, CatchUp, Wait ◄───────┴──► Done: whoever waits is told
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use client_core::{Core, JobId, Outcome, Step, WorkOrder};
use protocol::crypto::work::Work;
use protocol::id::{Epoch, GroupId};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{sleep, timeout};

use crate::client::Client;
use crate::clock::{jitter, now};
use crate::error::Error;
use crate::hearth::Progress;
use crate::transport::Backoff;

/// Jobs that are driven at a time, besides upkeep, which others may wait for.
const JOBS_MAX: usize = 16;
/// How often to look for upkeep that has come due.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(60);
/// How long a request is repeated before whoever waits is told; the job goes on.
const PATIENCE: Duration = Duration::from_secs(30);
/// The same while the server has not answered once: perhaps nobody is there.
const FIRST_PATIENCE: Duration = Duration::from_secs(10);
/// How long to read the queue for a group's epoch before whoever waits is told.
const CATCH_UP: Duration = Duration::from_secs(30);
/// How often a job may have to catch up with a busy group before whoever waits is told.
const CATCH_UPS_MAX: u32 = 50;
/// The longest pause before a commit that lost a race is tried again.
const RACE_PAUSE: Duration = Duration::from_millis(150);

/// Drive jobs until the client stops.
pub(crate) async fn drive_jobs(client: Arc<Client>) {
    let mut running = JoinSet::new();
    let mut begun = BTreeSet::new();
    while !client.is_stopping() {
        let mut pause = UPKEEP_INTERVAL;
        let due = client.core(|core| Ok((core.jobs(now())?, core.next_due(now())?)));
        match due.await {
            Ok((jobs, next)) => {
                pause = pause.min(next.map_or(pause, |next| next + Duration::from_secs(1)));
                for job in jobs {
                    let has_room = job.kind.is_upkeep() || begun.len() < JOBS_MAX;
                    if has_room && begun.insert(job.id) {
                        running.spawn(drive(Arc::clone(&client), job.id));
                    }
                }
            }
            Err(Error::Closed) => break,
            Err(error) => tracing::warn!(%error, "the home cannot be read"),
        }
        tokio::select! {
            () = client.stopped() => break,
            () = client.wake.notified() => {}
            () = sleep(pause) => {}
            Some(ended) = running.join_next() => {
                let Ok(job) = ended else { break };
                begun.remove(&job);
            }
        }
    }
    running.shutdown().await;
}

/// Drive one job until it is over.
async fn drive(client: Arc<Client>, job: JobId) -> JobId {
    let mut driver = Driver {
        client,
        job,
        catch_ups: 0,
    };
    let mut backoff = Backoff::new();
    loop {
        let ended = driver.attempt().await;
        driver.client.changed();
        driver.client.tell(job, &ended);
        match ended {
            Err(error) if !is_over(&error) => {
                tracing::debug!(%error, "a job waits");
                let pause = backoff.after_failure();
                tokio::select! {
                    () = sleep(pause) => {}
                    () = driver.client.hurry.notified() => {}
                }
            }
            Ok(_) | Err(_) => return job,
        }
    }
}

/// Whether the core has forgotten the job.
fn is_over(error: &Error) -> bool {
    if let Error::Core(error) = error {
        return error.ends_job();
    }
    matches!(error, Error::Closed)
}

/// Where the server is with a group.
#[derive(Clone, Copy)]
struct Target {
    group: GroupId,
    epoch: Epoch,
    number: u64,
}

impl Target {
    fn is_reached(self, core: &Core) -> Result<bool, client_core::Error> {
        core.has_reached(&self.group, self.epoch, self.number)
    }
}

struct Driver {
    client: Arc<Client>,
    job: JobId,
    catch_ups: u32,
}

impl Driver {
    /// Go on until the job is done or does not get on.
    async fn attempt(&mut self) -> Result<Outcome, Error> {
        let job = self.job;
        let mut step = self.step().await?;
        loop {
            step = match step {
                Step::Done(outcome) => return Ok(outcome),
                Step::Send(request) => {
                    tracing::debug!(operation = request.operation(), "request");
                    let patience = match self.client.has_answer() {
                        true => PATIENCE,
                        false => FIRST_PATIENCE,
                    };
                    let reply = self.client.exchange(&request, patience).await?;
                    let taken = self.client.core(move |core| core.reply(job, &reply, now()));
                    taken.await?
                }
                Step::Solve(order) => {
                    let work = self.solve(order).await?;
                    let taken = self.client.core(move |core| core.solved(job, work, now()));
                    taken.await?
                }
                Step::Retry(pause) => {
                    sleep(pause + jitter(pause / 4)).await;
                    self.step().await?
                }
                Step::CatchUp {
                    group,
                    epoch,
                    number,
                    patience,
                } => {
                    let target = Target {
                        group,
                        epoch,
                        number,
                    };
                    self.catch_up(target, patience).await?;
                    self.step().await?
                }
                Step::Wait(other) => {
                    self.wait_for(other).await?;
                    self.step().await?
                }
            }
        }
    }

    async fn step(&self) -> Result<Step, Error> {
        let job = self.job;
        self.client.core(move |core| core.step(job, now())).await
    }

    /// Solve a puzzle on a thread of its own; stops early when the client does.
    async fn solve(&self, order: WorkOrder) -> Result<Work, Error> {
        let (client, job) = (Arc::clone(&self.client), self.job);
        let attempts_expected = order.attempts_expected();
        let solved = spawn_blocking(move || {
            order.solve(|attempts| {
                let progress = Progress {
                    attempts,
                    attempts_expected,
                };
                client.work.send_replace(Some((job, progress)));
                !client.is_stopping()
            })
        });
        match solved.await {
            Ok(Ok(work)) => Ok(work),
            Ok(Err(_)) if self.client.is_stopping() => Err(Error::Closed),
            Ok(Err(error)) => Err(Error::Protocol(error.to_string())),
            Err(_) => Err(Error::Closed),
        }
    }

    /// Read the queue until it has brought the group to where the server is. A little randomness,
    /// growing with each lost race, lets one of several committers win. [SDK-RACE-1]
    async fn catch_up(&mut self, target: Target, patience: Option<Duration>) -> Result<(), Error> {
        self.catch_ups += 1;
        if self.catch_ups > CATCH_UPS_MAX {
            self.catch_ups = 0;
            return Err(Error::Unreachable("the group changes too fast".to_owned()));
        }
        let mut changes = self.client.changes();
        self.client.listen();
        let reached = async {
            loop {
                changes.mark_unchanged();
                let has_reached = self.client.core(move |core| target.is_reached(core));
                if has_reached.await? {
                    return Ok::<(), Error>(());
                }
                changes.changed().await.map_err(|_| Error::Closed)?;
            }
        };
        match timeout(patience.unwrap_or(CATCH_UP), reached).await {
            Ok(reached) => reached?,
            Err(_) if patience.is_some() => return Ok(()),
            Err(_) => {
                let why = "the group's last change has not arrived";
                return Err(Error::Unreachable(why.to_owned()));
            }
        }
        sleep(jitter(RACE_PAUSE * self.catch_ups.min(8))).await;
        Ok(())
    }

    /// Wait for another job. Its failure is ours while it goes on being tried.
    async fn wait_for(&self, other: JobId) -> Result<(), Error> {
        match self.client.ended(other).await {
            Err(error) if !is_over(&error) => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}
