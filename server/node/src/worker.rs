//! The pool of threads that run engine calls, which block on the store.
//!
//! ```text
//! submit ──no room?──► Busy
//!    └──► Listen │ Send │ Commit │ Fetch │ Issue │ Register ──fairness──► thread ──► charged
//! ```

use std::fmt;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use protocol::request::Class;

use crate::clock::{self, Stopwatch};
use crate::config::Workers;
use crate::cpu::Use;
use crate::fairness::{CLASSES, Fairness, Turn, Waiting};
use crate::identity::Identity;
use crate::tally::WorkMeters;

/// What a thread runs. It must not panic because of a peer; if it does, the thread survives.
type Job = Box<dyn FnOnce() + Send>;

/// No more jobs may wait, in this class or of whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Busy;

/// Threads and their waiting jobs. [NODE-WORK-1]
pub(crate) struct Pool {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared {
    state: Mutex<State>,
    ready: Condvar,
    settings: Workers,
    /// At most so many threads sign people up, which takes a memory-hard computation each.
    registering_max: usize,
    /// A thread's part of the processors: holding it is charged like computing.
    part: f64,
    watch: Stopwatch,
    used: Arc<Use>,
    meters: WorkMeters,
}

struct State {
    waiting: Fairness<Job>,
    registering: usize,
    is_closed: bool,
}

/// What a thread has done for whom.
struct Finished {
    class: Class,
    identity: Identity,
    work: Duration,
}

impl Pool {
    /// Start the threads.
    pub(crate) fn start(
        settings: Workers,
        used: Arc<Use>,
        watch: Stopwatch,
        meters: WorkMeters,
    ) -> std::io::Result<Self> {
        let threads = settings.threads;
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                waiting: Fairness::new(),
                registering: 0,
                is_closed: false,
            }),
            ready: Condvar::new(),
            settings,
            registering_max: (threads.get() / 4).max(1),
            part: part(cores, threads),
            watch,
            used,
            meters,
        });
        let threads = (0..threads.get())
            .map(|_| {
                let shared = Arc::clone(&shared);
                let builder = std::thread::Builder::new().name("worker".to_owned());
                builder.spawn(move || shared.work())
            })
            .collect::<std::io::Result<_>>()?;
        Ok(Self {
            shared,
            threads: Mutex::new(threads),
        })
    }

    /// Have a job run when it is the turn of `identity`, before those in less urgent classes.
    pub(crate) fn submit(
        &self,
        class: Class,
        identity: &Identity,
        job: impl FnOnce() + Send + 'static,
    ) -> Result<(), Busy> {
        let shared = &self.shared;
        let since = shared.watch.elapsed();
        let identity = if shared.settings.fair {
            *identity
        } else {
            Identity::server()
        };
        let waiting = Waiting {
            identity,
            since,
            job: Box::new(job) as Job,
        };
        let mut state = shared.lock();
        if state.is_closed {
            return Err(Busy);
        }
        let patience = shared.settings.shed_patience();
        let stale = since.saturating_sub(patience);
        let stale = state.waiting.take_stale(class, &identity, stale);
        let pushed = state.waiting.push(class, waiting, shared.settings.waiting);
        drop(state);
        shared.ready.notify_one();
        if stale.is_some() {
            // Its owner hears that by the job's being dropped.
            shared.meters.shed.increment(1);
        }
        pushed.map_err(|_| Busy)
    }

    /// Run `call` and wait for its result; nothing runs if the caller has gone when its turn comes.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        class: Class,
        identity: &Identity,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        self.submit(class, identity, move || {
            if !sender.is_closed() {
                // The caller may go while the call runs.
                drop(sender.send(call()));
            }
        })?;
        receiver.await.map_err(|_| Busy)
    }

    /// Jobs that wait, by class in the order of urgency.
    pub(crate) fn waiting(&self) -> [usize; CLASSES] {
        self.shared.lock().waiting.waiting()
    }

    /// Run what waits, take nothing more, and return when all threads have ended.
    pub(crate) fn close(&self) {
        self.shared.lock().is_closed = true;
        self.shared.ready.notify_all();
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            // A worker's panics are caught, so there is nothing to hear of.
            drop(thread.join());
        }
    }
}

/// What one of `threads` is of `cores` processors.
#[expect(
    clippy::cast_precision_loss,
    reason = "nobody has 2^53 threads or processors"
)]
fn part(cores: usize, threads: NonZeroUsize) -> f64 {
    (cores as f64 / threads.get() as f64).min(1.0)
}

impl Drop for Pool {
    fn drop(&mut self) {
        // The last to hold a pool may be one of its threads, so nobody waits for them here.
        self.shared.lock().is_closed = true;
        self.shared.ready.notify_all();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pool")
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut finished = None;
        while let Some(turn) = self.next(finished.take()) {
            let now = self.watch.elapsed();
            let waited = now.saturating_sub(turn.waiting.since);
            self.meters.wait.record(waited.as_secs_f64());
            if turn.is_beyond && waited > self.settings.shed_patience() {
                self.meters.shed.increment(1);
                finished = Some(turn.finished(Duration::ZERO));
                continue;
            }
            finished = Some(self.run(turn, now));
        }
    }

    /// Run a job, and see what it took. [NODE-CPU-1]
    fn run(&self, turn: Turn<Job>, begun: Duration) -> Finished {
        let before = clock::thread_cpu();
        let (class, identity) = (turn.class, turn.waiting.identity);
        if catch_unwind(AssertUnwindSafe(turn.waiting.job)).is_err() {
            tracing::error!("a request panicked");
        }
        let computed = clock::thread_cpu().saturating_sub(before);
        let now = self.watch.elapsed();
        let held = now.saturating_sub(begun).mul_f64(self.part);
        self.used.charge(&identity, computed, now);
        let nanos = u64::try_from(computed.as_nanos()).unwrap_or(u64::MAX);
        self.meters.cpu_nanos.increment(nanos);
        Finished {
            class,
            identity,
            work: computed.max(held),
        }
    }

    fn next(&self, finished: Option<Finished>) -> Option<Turn<Job>> {
        let mut state = self.lock();
        if let Some(finished) = finished {
            state.waiting.charge(&finished.identity, finished.work);
            if finished.class == Class::Register {
                state.registering -= 1;
                self.ready.notify_one();
            }
        }
        loop {
            if let Some(turn) = state.take(self.registering_max) {
                return Some(turn);
            }
            if state.is_closed && state.waiting.is_empty() {
                // Others may wait for a job that this thread was the last to run.
                self.ready.notify_all();
                return None;
            }
            state = self
                .ready
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl State {
    fn take(&mut self, registering_max: usize) -> Option<Turn<Job>> {
        let may_register = self.registering < registering_max;
        let turn = self
            .waiting
            .take(|class| class != Class::Register || may_register)?;
        self.registering += usize::from(turn.class == Class::Register);
        Some(turn)
    }
}

impl Turn<Job> {
    /// The job was not run, or took `work`.
    fn finished(self, work: Duration) -> Finished {
        Finished {
            class: self.class,
            identity: self.waiting.identity,
            work,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::fairness::URGENCY;

    fn pool(threads: usize, waiting: usize) -> Pool {
        let settings = Workers {
            threads: NonZeroUsize::new(threads).unwrap(),
            waiting,
            ..Workers::default()
        };
        let used = Arc::new(Use::new());
        Pool::start(settings, used, Stopwatch::start(), WorkMeters::register()).unwrap()
    }

    fn someone() -> Identity {
        Identity::for_test(1, 2, 3)
    }

    /// Keeps the only thread of a pool busy until the sender is dropped.
    fn occupy(pool: &Pool) -> mpsc::Sender<()> {
        let (release, released) = mpsc::channel::<()>();
        let (begun, has_begun) = mpsc::channel();
        pool.submit(Class::Listen, &someone(), move || {
            begun.send(()).unwrap();
            assert!(released.recv().is_err());
        })
        .unwrap();
        has_begun.recv().unwrap();
        release
    }

    /// [NODE-WORK-1]
    #[test]
    fn a_full_class_is_busy_and_the_others_are_not() {
        let pool = pool(1, 2);
        let release = occupy(&pool);
        let submit = |class| pool.submit(class, &Identity::server(), || ());
        assert_eq!(
            [submit(Class::Register), submit(Class::Register)],
            [Ok(()), Ok(())]
        );
        assert_eq!(submit(Class::Register), Err(Busy));
        assert_eq!(submit(Class::Send), Ok(()));
        drop(release);
        pool.close();
    }

    /// [NODE-WORK-1]
    #[test]
    fn the_most_urgent_class_goes_first() {
        let pool = pool(1, 10);
        let release = occupy(&pool);
        let (sender, order) = mpsc::channel();
        for class in URGENCY.into_iter().rev() {
            let sender = sender.clone();
            pool.submit(class, &someone(), move || sender.send(class).unwrap())
                .unwrap();
        }
        drop((release, sender));
        assert_eq!(order.iter().collect::<Vec<_>>(), URGENCY);
        pool.close();
    }

    #[test]
    fn registrations_leave_threads_to_the_others() {
        for _ in 0..100 {
            let pool = pool(4, 10);
            let (release, released) = mpsc::channel::<()>();
            let (sender, order) = mpsc::channel();
            let begun = sender.clone();
            pool.submit(Class::Register, &someone(), move || {
                begun.send("registration").unwrap();
                assert!(released.recv().is_err());
            })
            .unwrap();
            assert_eq!(order.recv(), Ok("registration"));
            pool.submit(Class::Register, &someone(), || ()).unwrap();
            pool.submit(Class::Issue, &someone(), move || {
                sender.send("other").unwrap();
            })
            .unwrap();
            assert_eq!(order.recv(), Ok("other"));
            assert_eq!(pool.waiting(), [0, 0, 0, 0, 0, 1]);
            drop(release);
            pool.close();
        }
    }

    #[tokio::test]
    async fn a_job_that_panics_takes_no_thread_with_it() {
        let pool = pool(1, 10);
        assert_eq!(
            pool.run(Class::Send, &someone(), || panic!("on purpose"))
                .await,
            Err::<(), _>(Busy)
        );
        assert_eq!(pool.run(Class::Send, &someone(), || 7).await, Ok(7));
        pool.close();
    }

    #[test]
    fn a_closed_pool_runs_what_waits_and_takes_nothing_more() {
        let pool = pool(1, 10);
        let release = occupy(&pool);
        let (sender, receiver) = mpsc::channel();
        pool.submit(Class::Issue, &someone(), move || sender.send(()).unwrap())
            .unwrap();
        drop(release);
        pool.close();
        assert!(receiver.recv().is_ok());
        assert_eq!(pool.submit(Class::Send, &someone(), || ()), Err(Busy));
    }

    #[test]
    fn whoever_is_served_is_charged() {
        let pool = pool(1, 10);
        let (sender, receiver) = mpsc::channel();
        pool.submit(Class::Send, &someone(), move || {
            let before = clock::thread_cpu();
            while clock::thread_cpu().saturating_sub(before) < Duration::from_millis(2) {}
            sender.send(()).unwrap();
        })
        .unwrap();
        receiver.recv().unwrap();
        let used = Arc::clone(&pool.shared.used);
        let now = pool.shared.watch.elapsed();
        pool.close();
        for key in someone().keys() {
            assert!(used.recent(key, now) >= Duration::from_millis(2));
        }
    }
}
