//! How much of what the transport says about its peers reaches the log: a peer decides how often it
//! says it, and must not fill the disk. [NODE-LOG-1]

use std::fmt;
use std::time::Duration;

use crate::clock::Stopwatch;
use crate::gcra::{Bucket, Quota};

/// Lines of the transport per second in the long run: enough to see that something is wrong.
const LINES_PER_SECOND: u64 = 2;
/// Lines at once.
const LINES_BURST: u64 = 20;
/// What the transport's own targets begin with.
const TRANSPORT: [&str; 2] = ["quinn", "rustls"];

/// A cap on the transport's lines in the log.
pub struct LogCap {
    bucket: Bucket,
    watch: Stopwatch,
}

impl LogCap {
    /// A cap that nothing was said under so far.
    #[must_use]
    pub fn new() -> Self {
        Self {
            bucket: Bucket::default(),
            watch: Stopwatch::start(),
        }
    }

    /// Whether a target's lines are capped at all.
    #[must_use]
    pub fn covers(target: &str) -> bool {
        TRANSPORT.iter().any(|prefix| target.starts_with(prefix))
    }

    /// Whether one more line of a target may be written.
    #[must_use]
    pub fn allows(&self, target: &str) -> bool {
        !Self::covers(target) || self.allows_at(self.watch.elapsed())
    }

    fn allows_at(&self, now: Duration) -> bool {
        let quota = Quota::new(LINES_PER_SECOND, Duration::from_secs(1), LINES_BURST);
        self.bucket.take(quota, 1, now).is_ok()
    }
}

impl Default for LogCap {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for LogCap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogCap")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [NODE-LOG-1]
    #[test]
    fn peers_cannot_fill_the_log() {
        let cap = LogCap::new();
        let second = Duration::from_secs(1);
        assert_eq!((0..1_000).filter(|_| cap.allows_at(second)).count(), 20);
        assert_eq!((0..1_000).filter(|_| cap.allows_at(second * 2)).count(), 2);
        assert!((0..1_000).all(|_| cap.allows("node::server")));
        assert!(LogCap::covers("quinn_proto::connection"));
    }
}
