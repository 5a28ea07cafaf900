//! What a connection has shown of whose it is, and what it may do until then.
//!
//! ```text
//! stranger ──a request under a pseudonym's key succeeds──► known (for good)
//!     └── time, requests or bytes used up ──► closed
//! ```

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use protocol::request::AccessMode;

use crate::config::Strangers;

/// The allowance of a stranger is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpentUp;

/// The standing of one connection. [NODE-ADMIT-5]
#[derive(Debug, Default)]
pub(crate) struct Standing {
    account: OnceLock<u64>,
    requests: AtomicU32,
    bytes_in: AtomicUsize,
    bytes_out: AtomicUsize,
}

impl Standing {
    /// The account that the connection has shown to be of.
    pub(crate) fn account(&self) -> Option<u64> {
        self.account.get().copied()
    }

    /// The connection has shown whose it is; true if that was not known.
    pub(crate) fn recognise(&self, account: u64) -> bool {
        self.account.set(account).is_ok()
    }

    /// Count a request before it is served. A request that may show whose the connection is can be
    /// as long as any; it counts once it has failed. [NODE-STRANGER-1]
    pub(crate) fn admit(
        &self,
        limits: &Strangers,
        mode: AccessMode,
        bytes: usize,
    ) -> Result<(), SpentUp> {
        if self.account.get().is_some() {
            return Ok(());
        }
        let requests = self.requests.fetch_add(1, Ordering::Relaxed);
        let before = match mode {
            AccessMode::Pseudonymous => self.bytes_in.load(Ordering::Relaxed),
            AccessMode::Open | AccessMode::Work | AccessMode::Anonymous => {
                self.bytes_in.fetch_add(bytes, Ordering::Relaxed) + bytes
            }
        };
        let sent = self.bytes_out.load(Ordering::Relaxed);
        if requests >= limits.requests || before > limits.bytes_in || sent > limits.bytes_out {
            return Err(SpentUp);
        }
        Ok(())
    }

    /// A request that could have shown whose the connection is has not.
    pub(crate) fn failed(&self, bytes: usize) {
        self.bytes_in.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Count a reply. What has begun is finished: it is the next request that is not served.
    pub(crate) fn sent(&self, bytes: usize) {
        self.bytes_out.fetch_add(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Strangers = Strangers {
        requests: 3,
        bytes_in: 10_000,
        bytes_out: 10_000,
    };

    /// [NODE-STRANGER-1]
    #[test]
    fn a_stranger_has_few_requests_and_bytes() {
        let by_requests = Standing::default();
        let admit = |standing: &Standing, mode, bytes| standing.admit(&LIMITS, mode, bytes);
        assert!((0..3).all(|_| admit(&by_requests, AccessMode::Open, 10).is_ok()));
        assert_eq!(admit(&by_requests, AccessMode::Open, 10), Err(SpentUp));
        let by_bytes = Standing::default();
        assert_eq!(admit(&by_bytes, AccessMode::Open, 10_001), Err(SpentUp));
        let by_replies = Standing::default();
        by_replies.sent(10_001);
        assert_eq!(admit(&by_replies, AccessMode::Open, 10), Err(SpentUp));
    }

    #[test]
    fn a_request_under_a_key_may_be_long_once() {
        let standing = Standing::default();
        let admit = || standing.admit(&LIMITS, AccessMode::Pseudonymous, 1_000_000);
        assert_eq!(admit(), Ok(()));
        standing.failed(1_000_000);
        assert_eq!(admit(), Err(SpentUp));
    }

    #[test]
    fn nothing_is_counted_of_those_who_are_known() {
        let standing = Standing::default();
        assert!(standing.recognise(7));
        assert!(!standing.recognise(8));
        assert_eq!(standing.account(), Some(7));
        assert!((0..100).all(|_| standing.admit(&LIMITS, AccessMode::Open, 1_000_000).is_ok()));
    }
}
