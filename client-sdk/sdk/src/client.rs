//! What all tasks of one client share: the core, the transport, and who waits for which job.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use client_core::{Core, JobId, Outcome, Outgoing};
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::spawn_blocking;

use crate::error::Error;
use crate::hearth::Progress;
use crate::transport::{Judge, Transport};

/// The setting that holds the server's address.
pub(crate) const SETTING_SERVER: &str = "server";
/// The setting that holds the SHA-256 of the pinned certificate.
pub(crate) const SETTING_PIN: &str = "certificate";
/// The setting that holds extra authorities, as PEM.
pub(crate) const SETTING_AUTHORITIES: &str = "authorities";

/// How a job ended for whoever waits for it.
pub(crate) type Ended = Result<Outcome, Error>;

/// What the listen stream has come to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listening {
    /// Whether somebody wants it.
    pub(crate) wanted: bool,
    /// How often somebody has asked to be caught up with the queue as it is at that moment.
    pub(crate) asked: u64,
    /// The last of these that a stream opened after it has answered.
    pub(crate) reached: u64,
    /// Why it is down.
    pub(crate) failure: Option<Error>,
}

/// One client's shared state.
#[derive(Debug)]
pub(crate) struct Client {
    core: Mutex<Option<Core>>,
    pub(crate) transport: Transport,
    pin_stored: AtomicBool,
    answered: AtomicBool,
    waiting: Mutex<BTreeMap<JobId, Vec<oneshot::Sender<Ended>>>>,
    /// Wakes the task that drives jobs.
    pub(crate) wake: Notify,
    /// Cuts short the pause of jobs that failed: somebody waits.
    pub(crate) hurry: Notify,
    /// Counts changes of the stored state: jobs that ended, entries that were received.
    changes: watch::Sender<u64>,
    /// The job whose puzzle is being solved, and how far it is.
    pub(crate) work: watch::Sender<Option<(JobId, Progress)>>,
    pub(crate) listening: watch::Sender<Listening>,
    stopping: watch::Sender<bool>,
}

impl Client {
    pub(crate) fn new(core: Core, transport: Transport) -> Self {
        Self {
            core: Mutex::new(Some(core)),
            transport,
            pin_stored: AtomicBool::new(false),
            answered: AtomicBool::new(false),
            waiting: Mutex::new(BTreeMap::new()),
            wake: Notify::new(),
            hurry: Notify::new(),
            changes: watch::Sender::new(0),
            work: watch::Sender::new(None),
            listening: watch::Sender::new(Listening::default()),
            stopping: watch::Sender::new(false),
        }
    }

    /// Use the core on a thread that may block. What was begun is finished even if the future is
    /// dropped. [SDK-CANCEL-1]
    pub(crate) async fn core<T: Send + 'static>(
        self: &Arc<Self>,
        body: impl FnOnce(&mut Core) -> Result<T, client_core::Error> + Send + 'static,
    ) -> Result<T, Error> {
        let client = Arc::clone(self);
        let used = spawn_blocking(move || {
            let mut core = client.core.lock().unwrap_or_else(PoisonError::into_inner);
            let core = core.as_mut().ok_or(Error::Closed)?;
            body(core).map_err(Error::from)
        });
        used.await.unwrap_or(Err(Error::Closed))
    }

    /// Start a job and wait for its end. The job goes on if the future is dropped.
    ///
    /// # Errors
    /// As the job fails; `Unreachable` while it goes on being tried.
    pub(crate) async fn run(
        self: &Arc<Self>,
        start: impl FnOnce(&mut Core) -> Result<JobId, client_core::Error> + Send + 'static,
    ) -> Ended {
        self.run_with_progress(start, &mut |_| {}).await
    }

    /// Like [`Self::run`], for a job with a puzzle.
    pub(crate) async fn run_with_progress(
        self: &Arc<Self>,
        start: impl FnOnce(&mut Core) -> Result<JobId, client_core::Error> + Send + 'static,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Ended {
        let mut work = self.work.subscribe();
        let (tell, mut told) = oneshot::channel();
        let client = Arc::clone(self);
        let started = self.core(move |core| {
            let job = start(core)?;
            client.expect(job, tell);
            Ok(job)
        });
        let job = started.await?;
        self.wake.notify_one();
        loop {
            tokio::select! {
                ended = &mut told => return ended.unwrap_or(Err(Error::Closed)),
                () = self.stopped() => return Err(Error::Closed),
                Ok(()) = work.changed() => {
                    let news = *work.borrow_and_update();
                    if let Some((_, step)) = news.filter(|(of, _)| *of == job) {
                        progress(step);
                    }
                }
            }
        }
    }

    /// Wait for every job that is not done, upkeep included.
    ///
    /// # Errors
    /// The first failure of a job that goes on being tried.
    pub(crate) async fn settle(self: &Arc<Self>) -> Result<(), Error> {
        for _ in 0..SETTLE_ROUNDS_MAX {
            let jobs = self.core(|core| core.jobs(crate::clock::now())).await?;
            if jobs.is_empty() {
                return Ok(());
            }
            for job in jobs {
                match self.ended(job.id).await {
                    Err(error) if error.is_transient() => return Err(error),
                    Err(error) => tracing::debug!(%error, "a job ended without success"),
                    Ok(()) => {}
                }
            }
        }
        Ok(())
    }

    /// Wait until a job has ended, if it has not yet.
    ///
    /// # Errors
    /// As the job fails, for good or for now.
    pub(crate) async fn ended(self: &Arc<Self>, job: JobId) -> Result<(), Error> {
        let (tell, told) = oneshot::channel();
        let client = Arc::clone(self);
        let waits = self.core(move |core| {
            let jobs = core.jobs(crate::clock::now())?;
            let waits = jobs.iter().any(|listed| listed.id == job);
            if waits {
                client.expect(job, tell);
            }
            Ok(waits)
        });
        if !waits.await? {
            return Ok(());
        }
        self.wake.notify_one();
        self.hurry.notify_waiters();
        tokio::select! {
            ended = told => ended.unwrap_or(Err(Error::Closed)).map(|_| ()),
            () = self.stopped() => Err(Error::Closed),
        }
    }

    /// Send a request, and store the certificate that was seen before the reply counts.
    pub(crate) async fn exchange(
        self: &Arc<Self>,
        request: &Outgoing,
        patience: std::time::Duration,
    ) -> Result<Vec<u8>, Error> {
        let reply = self.transport.exchange(request, patience).await?;
        self.answered.store(true, Ordering::Relaxed);
        self.store_pin().await?;
        Ok(reply)
    }

    /// Whether the server has answered since the home was opened.
    pub(crate) fn has_answer(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// Store which certificate was seen first, once. [SDK-TRUST-1]
    pub(crate) async fn store_pin(self: &Arc<Self>) -> Result<(), Error> {
        let Judge::Pinned(pin) = self.transport.judge() else {
            return Ok(());
        };
        let Some(hash) = pin
            .hash()
            .filter(|_| !self.pin_stored.load(Ordering::Relaxed))
        else {
            return Ok(());
        };
        self.core(move |core| core.set_setting(SETTING_PIN, &hash))
            .await?;
        self.pin_stored.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Note that the stored state has changed.
    pub(crate) fn changed(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Hears of changes of the stored state.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Ask for the listen stream.
    pub(crate) fn listen(&self) {
        self.listening.send_if_modified(|listening| {
            let news = !listening.wanted;
            listening.wanted = true;
            news
        });
    }

    /// Tell whoever waits for a job how it ended, or that it does not get on.
    pub(crate) fn tell(&self, job: JobId, ended: &Ended) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for waiter in waiting.remove(&job).unwrap_or_default() {
            // Nobody is left to hear it if the caller has given up.
            drop(waiter.send(ended.clone()));
        }
    }

    fn expect(&self, job: JobId, tell: oneshot::Sender<Ended>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let waiters = waiting.entry(job).or_default();
        waiters.retain(|waiter| !waiter.is_closed());
        waiters.push(tell);
    }

    /// Tell every task to stop.
    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Whether tasks should stop.
    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Completes when tasks should stop.
    pub(crate) async fn stopped(&self) {
        let mut stopping = self.stopping.subscribe();
        // An error means that the client is gone, which is a stop as well.
        drop(stopping.wait_for(|stopping| *stopping).await);
    }

    /// Close the database.
    pub(crate) async fn close_core(self: &Arc<Self>) {
        let client = Arc::clone(self);
        let closed = spawn_blocking(move || {
            let mut core = client.core.lock().unwrap_or_else(PoisonError::into_inner);
            drop(core.take());
        });
        drop(closed.await);
    }
}

/// How often jobs may make further jobs before waiting for all of them ends.
const SETTLE_ROUNDS_MAX: usize = 100;
