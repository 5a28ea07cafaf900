//! Who listens to which queue. A wake carries no data; an empty hub after a restart does no harm.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use protocol::id::QueueId;
use tokio::sync::Notify;

/// Listeners of one queue: the old and the new connection of a client, with room to spare.
const LISTENERS_PER_QUEUE_MAX: usize = 4;

/// All listeners of this process.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    queues: DashMap<QueueId, Vec<Arc<Signal>>>,
}

/// What a listener waits on. A wake before the wait is remembered, so a listener that subscribes
/// first and reads then misses nothing. [NODE-LISTEN-1]
#[derive(Debug, Default)]
pub(crate) struct Signal {
    notify: Notify,
    is_stock_low: AtomicBool,
}

/// The queue has as many listeners as it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManyListeners;

/// A listener's place in the hub; left when dropped.
#[derive(Debug)]
pub(crate) struct Subscription {
    hub: Arc<Hub>,
    queue: QueueId,
    signal: Arc<Signal>,
}

impl Hub {
    /// Listen to a queue from now on.
    pub(crate) fn subscribe(
        self: &Arc<Self>,
        queue: QueueId,
    ) -> Result<Subscription, TooManyListeners> {
        let mut signals = self.queues.entry(queue).or_default();
        if signals.len() >= LISTENERS_PER_QUEUE_MAX {
            return Err(TooManyListeners);
        }
        let signal = Arc::new(Signal::default());
        signals.push(Arc::clone(&signal));
        Ok(Subscription {
            hub: Arc::clone(self),
            queue,
            signal,
        })
    }

    /// Something may have been appended.
    pub(crate) fn wake(&self, queue: &QueueId) {
        if let Some(signals) = self.queues.get(queue) {
            signals.iter().for_each(|signal| signal.notify.notify_one());
        }
    }

    /// Something has happened that is about no queue in particular: the server stops.
    pub(crate) fn wake_all(&self) {
        for signals in &self.queues {
            signals.iter().for_each(|signal| signal.notify.notify_one());
        }
    }

    /// Few KeyPackages are left.
    pub(crate) fn stock_low(&self, queue: &QueueId) {
        if let Some(signals) = self.queues.get(queue) {
            for signal in signals.iter() {
                signal.is_stock_low.store(true, Ordering::Release);
                signal.notify.notify_one();
            }
        }
    }

    /// Queues with listeners.
    pub(crate) fn queues(&self) -> usize {
        self.queues.len()
    }
}

impl Subscription {
    /// Wait for a wake, or return at once if there was one since the last wait.
    pub(crate) async fn woken(&self) {
        self.signal.notify.notified().await;
    }

    /// Whether few KeyPackages are left; asked once, answered once.
    pub(crate) fn take_stock_low(&self) -> bool {
        self.signal.is_stock_low.swap(false, Ordering::Acquire)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Entry::Occupied(mut signals) = self.hub.queues.entry(self.queue) {
            signals
                .get_mut()
                .retain(|signal| !Arc::ptr_eq(signal, &self.signal));
            if signals.get().is_empty() {
                signals.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    const QUEUE: QueueId = QueueId([1; 16]);

    #[tokio::test]
    async fn a_wake_before_the_wait_is_remembered_once() {
        let hub = Arc::new(Hub::default());
        let subscription = hub.subscribe(QUEUE).unwrap();
        hub.wake(&QUEUE);
        hub.wake(&QUEUE);
        subscription.woken().await;
        let mut again = std::pin::pin!(subscription.woken());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(again.as_mut().poll(&mut context).is_pending());
        hub.wake(&QUEUE);
        assert!(again.as_mut().poll(&mut context).is_ready());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_wake_up_is_lost_between_reading_and_waiting() {
        const APPENDS: u64 = 20_000;
        let hub = Arc::new(Hub::default());
        let appended = Arc::new(AtomicU64::new(0));
        let subscription = hub.subscribe(QUEUE).unwrap();
        let reader = tokio::spawn({
            let appended = Arc::clone(&appended);
            async move {
                let mut seen = 0;
                while seen < APPENDS {
                    let now = appended.load(Ordering::Acquire);
                    if now == seen {
                        subscription.woken().await;
                    }
                    seen = now;
                }
            }
        });
        for count in 1..=APPENDS {
            appended.store(count, Ordering::Release);
            hub.wake(&QUEUE);
            if count % 7 == 0 {
                tokio::task::yield_now().await;
            }
        }
        reader.await.unwrap();
    }

    #[tokio::test]
    async fn every_listener_of_a_queue_is_woken_and_no_other() {
        let hub = Arc::new(Hub::default());
        let [one, two] = [(); 2].map(|()| hub.subscribe(QUEUE).unwrap());
        let other = hub.subscribe(QueueId([2; 16])).unwrap();
        hub.stock_low(&QUEUE);
        one.woken().await;
        two.woken().await;
        assert!(one.take_stock_low() && two.take_stock_low());
        assert!(!one.take_stock_low() && !other.take_stock_low());
    }

    #[test]
    fn a_queue_has_a_bounded_number_of_listeners_and_none_is_left_behind() {
        let hub = Arc::new(Hub::default());
        let full = [(); LISTENERS_PER_QUEUE_MAX].map(|()| hub.subscribe(QUEUE).unwrap());
        assert_eq!(hub.subscribe(QUEUE).unwrap_err(), TooManyListeners);
        drop(full);
        assert_eq!(hub.queues(), 0);
        assert!(hub.subscribe(QUEUE).is_ok());
    }
}
