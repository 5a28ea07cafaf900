//! Datagrams that the front door has let in, on their way to a worker.

use std::collections::VecDeque;
use std::io::IoSliceMut;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Waker};

use quinn::udp::RecvMeta;

/// One datagram, and what the system said about it.
#[derive(Debug)]
pub(crate) struct Datagram {
    pub(crate) bytes: Vec<u8>,
    pub(crate) meta: RecvMeta,
}

/// The inbox was full; the datagram is lost, as on a busy network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// A bounded queue with one reader. [NODE-DOOR-2]
#[derive(Debug)]
pub(crate) struct Inbox {
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Datagram>,
    reader: Option<Waker>,
}

impl Inbox {
    /// For at most so many datagrams.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            state: Mutex::default(),
        }
    }

    /// Hand a datagram over.
    pub(crate) fn put(&self, datagram: Datagram) -> Result<(), Full> {
        let reader = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.waiting.len() >= self.most {
                return Err(Full);
            }
            state.waiting.push_back(datagram);
            state.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
        Ok(())
    }

    /// Copy what waits into the buffers; the number of them that were filled. If it is none, the
    /// reader is woken by the next datagram.
    pub(crate) fn take(
        &self,
        cx: &Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> usize {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = 0;
        for (buffer, meta) in buffers.iter_mut().zip(metas) {
            let Some(datagram) = state.waiting.pop_front() else {
                break;
            };
            // A datagram longer than any that is announced to be taken does not fit and is cut,
            // as the system does it; nobody can open it then.
            let length = datagram.bytes.len().min(buffer.len());
            if let (Some(place), Some(bytes)) =
                (buffer.get_mut(..length), datagram.bytes.get(..length))
            {
                place.copy_from_slice(bytes);
            }
            *meta = datagram.meta;
            meta.len = length;
            meta.stride = length;
            taken += 1;
        }
        if taken == 0 {
            state.reader = Some(cx.waker().clone());
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn datagram(byte: u8) -> Datagram {
        Datagram {
            bytes: vec![byte; 3],
            meta: RecvMeta::default(),
        }
    }

    fn take(inbox: &Inbox, wakes: &Arc<Wakes>, room: usize) -> Vec<Vec<u8>> {
        let waker = Waker::from(Arc::clone(wakes));
        let mut bytes = vec![[0; 8]; room];
        let mut buffers: Vec<_> = bytes.iter_mut().map(|b| IoSliceMut::new(b)).collect();
        let mut metas = vec![RecvMeta::default(); room];
        let taken = inbox.take(&Context::from_waker(&waker), &mut buffers, &mut metas);
        let taken = buffers.iter().zip(&metas).take(taken);
        taken
            .map(|(bytes, meta)| bytes[..meta.len].to_vec())
            .collect()
    }

    /// [NODE-DOOR-2]
    #[test]
    fn what_exceeds_the_bound_is_refused_and_the_rest_arrives_in_order() {
        let (inbox, wakes) = (Inbox::new(3), Arc::new(Wakes::default()));
        for byte in 1..=3 {
            assert_eq!(inbox.put(datagram(byte)), Ok(()));
        }
        assert_eq!(inbox.put(datagram(4)), Err(Full));
        assert_eq!(take(&inbox, &wakes, 2), [[1; 3], [2; 3]]);
        assert_eq!(take(&inbox, &wakes, 2), [[3; 3]]);
        assert!(take(&inbox, &wakes, 2).is_empty());
    }

    #[test]
    fn a_reader_that_found_nothing_is_woken_once() {
        let (inbox, wakes) = (Inbox::new(3), Arc::new(Wakes::default()));
        inbox.put(datagram(1)).unwrap();
        take(&inbox, &wakes, 2);
        inbox.put(datagram(2)).unwrap();
        assert_eq!(wakes.0.load(Ordering::Relaxed), 0, "it found something");
        take(&inbox, &wakes, 2);
        assert!(take(&inbox, &wakes, 2).is_empty());
        inbox.put(datagram(3)).unwrap();
        inbox.put(datagram(4)).unwrap();
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    }
}
