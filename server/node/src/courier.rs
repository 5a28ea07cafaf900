//! Ships what outboxes hold: at once after the request that filled them, later if a queue is full,
//! and after a restart whatever the last run left.
//!
//! ```text
//! request ──Effects::ship──► ship ──claimed?──► holder goes round once more
//!                             │
//!                             └─► engine.ship ──refilled──► again, at most ROUNDS_MAX times
//!                                      └────────retry────► wait, twice as long each time ──► ship
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::{Engine, Outbox, Shipped};
use protocol::error::ErrorReply;
use protocol::request::Class;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::clock;
use crate::hub::Hub;
use crate::identity::Identity;
use crate::worker::Pool;

/// Outboxes remembered at a time. Beyond it they are found again by looking at the store.
const OUTBOXES_MAX: usize = 1 << 16;
/// Calls of the engine for one outbox before others get their turn.
const ROUNDS_MAX: u32 = 16;
/// The first wait after a failure; each further one doubles it.
const BACKOFF_MIN: Duration = Duration::from_millis(250);
/// The longest wait.
const BACKOFF_MAX: Duration = Duration::from_secs(300);
/// How often the store is looked at again when outboxes were forgotten.
const RESCAN_EVERY: Duration = Duration::from_secs(10);
/// Outboxes in one look at the store.
const PAGE: usize = 256;
/// Outboxes shipped at a time after a restart.
const PARALLEL: usize = 8;

/// All outboxes that are being shipped or wait to be. [NODE-COURIER-1]
pub(crate) struct Courier {
    engine: Arc<Engine>,
    hub: Arc<Hub>,
    progress: Mutex<BTreeMap<Outbox, Progress>>,
    later: mpsc::Sender<(Outbox, Duration)>,
    has_forgotten: AtomicBool,
    is_stopped: AtomicBool,
}

/// What is known about an outbox.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// A thread is shipping it.
    is_held: bool,
    /// It got something since that thread last looked.
    is_refilled: bool,
    /// It will come up again by itself.
    is_waiting: bool,
    /// Failures in a row.
    failures: u32,
}

/// What to do with an outbox after a look at it.
enum Next {
    Again,
    Later(Duration),
    Done,
}

impl Courier {
    /// A courier, and what its [`Planner`] needs.
    pub(crate) fn new(engine: Arc<Engine>, hub: Arc<Hub>) -> (Arc<Self>, Planner) {
        let (later, postponed) = mpsc::channel(OUTBOXES_MAX);
        let courier = Arc::new(Self {
            engine,
            hub,
            progress: Mutex::default(),
            later,
            has_forgotten: AtomicBool::new(true),
            is_stopped: AtomicBool::new(false),
        });
        (
            Arc::clone(&courier),
            Planner {
                courier,
                postponed,
                plan: BTreeMap::new(),
                count: 0,
            },
        )
    }

    /// Ship an outbox, unless another thread is at it: then that one looks again. Blocks.
    pub(crate) fn ship(&self, outbox: Outbox) {
        if !self.claim(outbox) {
            return;
        }
        for _ in 0..ROUNDS_MAX {
            if self.is_stopped.load(Ordering::Relaxed) {
                break;
            }
            let shipped = self.engine.ship(outbox, clock::now());
            match self.settle(outbox, shipped) {
                Next::Again => {}
                Next::Later(wait) => return self.postpone(outbox, wait),
                Next::Done => return,
            }
        }
        if self.release(outbox) {
            self.postpone(outbox, Duration::ZERO);
        }
    }

    /// Ship nothing more.
    pub(crate) fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Outbox, Progress>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn claim(&self, outbox: Outbox) -> bool {
        let mut all = self.lock();
        if all.len() >= OUTBOXES_MAX && !all.contains_key(&outbox) {
            self.has_forgotten.store(true, Ordering::Relaxed);
            return false;
        }
        let progress = all.entry(outbox).or_default();
        if progress.is_held {
            progress.is_refilled = true;
            return false;
        }
        progress.is_held = true;
        true
    }

    fn settle(&self, outbox: Outbox, shipped: Result<Shipped, ErrorReply>) -> Next {
        let has_failed = match shipped {
            Ok(Shipped { wake, retry }) => {
                wake.iter().for_each(|queue| self.hub.wake(queue));
                retry
            }
            Err(_) => true,
        };
        let mut all = self.lock();
        let Some(progress) = all.get_mut(&outbox) else {
            return Next::Done;
        };
        if std::mem::take(&mut progress.is_refilled) {
            return Next::Again;
        }
        progress.is_held = false;
        if !has_failed {
            progress.failures = 0;
            if !progress.is_waiting {
                all.remove(&outbox);
            }
            return Next::Done;
        }
        progress.failures = progress.failures.saturating_add(1);
        if std::mem::replace(&mut progress.is_waiting, true) {
            return Next::Done;
        }
        Next::Later(backoff(progress.failures))
    }

    /// Leave the rest of an outbox for later; says whether that is still to be arranged.
    fn release(&self, outbox: Outbox) -> bool {
        self.lock().get_mut(&outbox).is_some_and(|progress| {
            progress.is_held = false;
            !std::mem::replace(&mut progress.is_waiting, true)
        })
    }

    fn postpone(&self, outbox: Outbox, wait: Duration) {
        if self.later.try_send((outbox, wait)).is_err() {
            self.lock().remove(&outbox);
            self.has_forgotten.store(true, Ordering::Relaxed);
        }
    }

    /// An outbox that waited comes up.
    fn ship_due(&self, outbox: Outbox) {
        if let Some(progress) = self.lock().get_mut(&outbox) {
            progress.is_waiting = false;
        }
        self.ship(outbox);
    }
}

impl fmt::Debug for Courier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Courier")
    }
}

/// Doubles with each failure, up to a bound, less up to half by chance.
fn backoff(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let wait = BACKOFF_MIN.saturating_mul(1 << doublings).min(BACKOFF_MAX);
    wait - clock::jitter(wait / 2)
}

/// Knows when which outbox comes up again.
pub(crate) struct Planner {
    courier: Arc<Courier>,
    postponed: mpsc::Receiver<(Outbox, Duration)>,
    plan: BTreeMap<(Instant, u64), Outbox>,
    count: u64,
}

impl Planner {
    /// Run until the task is ended from outside. `pool` does the work.
    pub(crate) async fn run(mut self, pool: Arc<Pool>) {
        let mut rescan = tokio::time::interval(RESCAN_EVERY);
        loop {
            let due = self.plan.first_key_value().map(|((due, _), _)| *due);
            let wait = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some((outbox, wait)) = self.postponed.recv() => self.put(outbox, wait),
                () = wait => self.ship_first(&pool),
                _ = rescan.tick() => {
                    if self.courier.has_forgotten.swap(false, Ordering::Relaxed) {
                        self.rescan(&pool).await;
                    }
                }
            }
        }
    }

    fn put(&mut self, outbox: Outbox, wait: Duration) {
        self.count += 1;
        self.plan
            .insert((clock::deadline(wait), self.count), outbox);
    }

    fn ship_first(&mut self, pool: &Pool) {
        let Some((_, outbox)) = self.plan.pop_first() else {
            return;
        };
        let courier = Arc::clone(&self.courier);
        if pool
            .submit(Class::Send, &Identity::server(), move || {
                courier.ship_due(outbox);
            })
            .is_err()
        {
            self.put(outbox, BACKOFF_MIN);
        }
    }

    /// Ship everything that the store has. [NODE-COURIER-2]
    async fn rescan(&self, pool: &Arc<Pool>) {
        let mut after = None;
        loop {
            let engine = Arc::clone(&self.courier.engine);
            let page = pool
                .run(Class::Send, &Identity::server(), move || {
                    engine.pending(after, PAGE)
                })
                .await;
            let Ok(Ok(page)) = page else {
                self.courier.has_forgotten.store(true, Ordering::Relaxed);
                return;
            };
            let Some(last) = page.last().copied() else {
                return;
            };
            after = Some(last);
            let mut running = JoinSet::new();
            for outbox in page {
                while running.len() >= PARALLEL {
                    running.join_next().await;
                }
                let (courier, pool) = (Arc::clone(&self.courier), Arc::clone(pool));
                running.spawn(async move {
                    let at_work = Arc::clone(&courier);
                    let ran = pool
                        .run(Class::Send, &Identity::server(), move || {
                            at_work.ship(outbox);
                        })
                        .await;
                    if ran.is_err() {
                        courier.has_forgotten.store(true, Ordering::Relaxed);
                    }
                });
            }
            running.join_all().await;
        }
    }
}

impl fmt::Debug for Planner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Planner")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_bound() {
        for failures in 1..40 {
            let wait = backoff(failures);
            assert!(wait >= BACKOFF_MIN / 2 && wait <= BACKOFF_MAX, "{wait:?}");
        }
        assert!(backoff(8) > backoff(1));
        assert!(backoff(30) >= BACKOFF_MAX / 2);
    }
}
