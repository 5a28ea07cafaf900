//! The pool of threads that run engine calls, which block on the store.
//!
//! ```text
//! submit ──class full?──► Busy
//!    └──► Listen │ Send │ Commit │ Fetch │ Issue │ Register ──► first non-empty ──► thread
//! ```

use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use protocol::request::Class;

use crate::clock;

const CLASSES: usize = 6;

/// What a thread runs. It must not panic because of a peer; if it does, the thread survives.
type Job = Box<dyn FnOnce() + Send>;

/// The class has as many jobs waiting as it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Busy;

/// Hears how long a job waited.
type WaitObserver = Box<dyn Fn(Duration) + Send + Sync>;

/// Threads and their waiting jobs. [NODE-WORK-1]
pub(crate) struct Pool {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared {
    state: Mutex<State>,
    ready: Condvar,
    waiting_max: usize,
    /// At most so many threads sign people up, which takes a memory-hard computation each.
    registering_max: usize,
    observe_wait: WaitObserver,
}

#[derive(Default)]
struct State {
    waiting: [VecDeque<(Instant, Job)>; CLASSES],
    registering: usize,
    is_closed: bool,
}

impl Pool {
    /// Start `threads` threads; each class may have `waiting_max` jobs waiting.
    pub(crate) fn start(
        threads: NonZeroUsize,
        waiting_max: usize,
        observe_wait: WaitObserver,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            ready: Condvar::new(),
            waiting_max,
            registering_max: (threads.get() / 4).max(1),
            observe_wait,
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

    /// Have a job run after all that wait in more urgent classes and before it in its own.
    pub(crate) fn submit(
        &self,
        class: Class,
        job: impl FnOnce() + Send + 'static,
    ) -> Result<(), Busy> {
        let mut state = self.shared.lock();
        let is_closed = state.is_closed;
        let queue = state.queue(class);
        if is_closed || queue.len() >= self.shared.waiting_max {
            return Err(Busy);
        }
        queue.push_back((clock::instant(), Box::new(job)));
        drop(state);
        self.shared.ready.notify_one();
        Ok(())
    }

    /// Run `call` and wait for its result; nothing runs if the caller has gone when its turn comes.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        class: Class,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        self.submit(class, move || {
            if !sender.is_closed() {
                // The caller may go while the call runs.
                drop(sender.send(call()));
            }
        })?;
        receiver.await.map_err(|_| Busy)
    }

    /// Jobs that wait, by class in the order of urgency.
    pub(crate) fn waiting(&self) -> [usize; CLASSES] {
        let state = self.shared.lock();
        state.waiting.each_ref().map(VecDeque::len)
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
        while let Some((class, since, job)) = self.next() {
            (self.observe_wait)(clock::instant().saturating_duration_since(since));
            if catch_unwind(AssertUnwindSafe(job)).is_err() {
                tracing::error!("a request panicked");
            }
            if class == Class::Register {
                self.lock().registering -= 1;
                self.ready.notify_one();
            }
        }
    }

    fn next(&self) -> Option<(Class, Instant, Job)> {
        let mut state = self.lock();
        loop {
            if let Some((class, (since, job))) = state.take(self.registering_max) {
                return Some((class, since, job));
            }
            if state.is_closed && state.waiting.iter().all(VecDeque::is_empty) {
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

/// All classes, the most urgent first.
const URGENCY: [Class; CLASSES] = [
    Class::Listen,
    Class::Send,
    Class::Commit,
    Class::Fetch,
    Class::Issue,
    Class::Register,
];

impl State {
    fn queue(&mut self, class: Class) -> &mut VecDeque<(Instant, Job)> {
        let [listen, send, commit, fetch, issue, register] = &mut self.waiting;
        match class {
            Class::Listen => listen,
            Class::Send => send,
            Class::Commit => commit,
            Class::Fetch => fetch,
            Class::Issue => issue,
            Class::Register => register,
        }
    }

    fn take(&mut self, registering_max: usize) -> Option<(Class, (Instant, Job))> {
        for class in URGENCY {
            if class == Class::Register && self.registering >= registering_max {
                continue;
            }
            if let Some(waiting) = self.queue(class).pop_front() {
                self.registering += usize::from(class == Class::Register);
                return Some((class, waiting));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn pool(threads: usize, waiting_max: usize) -> Pool {
        let threads = NonZeroUsize::new(threads).unwrap();
        Pool::start(threads, waiting_max, Box::new(|_| ())).unwrap()
    }

    /// Keeps the only thread of a pool busy until the sender is dropped.
    fn occupy(pool: &Pool) -> mpsc::Sender<()> {
        let (release, released) = mpsc::channel::<()>();
        let (begun, has_begun) = mpsc::channel();
        pool.submit(Class::Listen, move || {
            begun.send(()).unwrap();
            assert!(released.recv().is_err());
        })
        .unwrap();
        has_begun.recv().unwrap();
        release
    }

    #[test]
    fn a_full_class_is_busy_and_the_others_are_not() {
        let pool = pool(1, 2);
        let release = occupy(&pool);
        let submit = |class| pool.submit(class, || ());
        assert_eq!(
            [submit(Class::Register), submit(Class::Register)],
            [Ok(()), Ok(())]
        );
        assert_eq!(submit(Class::Register), Err(Busy));
        assert_eq!(submit(Class::Send), Ok(()));
        drop(release);
        pool.close();
    }

    #[test]
    fn the_most_urgent_class_goes_first() {
        let pool = pool(1, 10);
        let release = occupy(&pool);
        let (sender, order) = mpsc::channel();
        for class in URGENCY.into_iter().rev() {
            let sender = sender.clone();
            pool.submit(class, move || sender.send(class).unwrap())
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
            pool.submit(Class::Register, move || {
                begun.send("registration").unwrap();
                assert!(released.recv().is_err());
            })
            .unwrap();
            assert_eq!(order.recv(), Ok("registration"));
            pool.submit(Class::Register, || ()).unwrap();
            pool.submit(Class::Issue, move || sender.send("other").unwrap())
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
            pool.run(Class::Send, || panic!("on purpose")).await,
            Err::<(), _>(Busy)
        );
        assert_eq!(pool.run(Class::Send, || 7).await, Ok(7));
        pool.close();
    }

    #[test]
    fn a_closed_pool_runs_what_waits_and_takes_nothing_more() {
        let pool = pool(1, 10);
        let release = occupy(&pool);
        let (sender, receiver) = mpsc::channel();
        pool.submit(Class::Issue, move || sender.send(()).unwrap())
            .unwrap();
        drop(release);
        pool.close();
        assert!(receiver.recv().is_ok());
        assert_eq!(pool.submit(Class::Send, || ()), Err(Busy));
    }
}
