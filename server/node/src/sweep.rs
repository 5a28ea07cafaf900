//! Has the engine drop, now and then, what is kept for longer than it should. Spec: delivery.md#state.

use std::sync::Arc;
use std::time::Duration;

use engine::{Outbox, Swept};
use protocol::request::Class;

use crate::clock;
use crate::identity::Identity;
use crate::node::Node;

/// What has expired goes this much later at the latest. [DS-STATE-5]
const SWEEP_EVERY: Duration = Duration::from_secs(3_600);

/// How long a round rests when the pool is full or the store fails.
const REST: Duration = Duration::from_secs(10);

/// After so many rests a round is over: the next one begins from the start.
const RESTS_MAX: u32 = 60;

/// Run until the task is ended from outside.
pub(crate) async fn run(node: Arc<Node>) {
    let mut next = tokio::time::interval(SWEEP_EVERY);
    loop {
        next.tick().await;
        let failed = go_round(REST, |after| {
            let (engine, pool) = (Arc::clone(&node.engine), Arc::clone(&node.pool));
            let sweep = move || engine.sweep(after, clock::now());
            async move {
                let server = Identity::server();
                let swept = pool.run(Class::Commit, &server, sweep).await;
                swept.ok()?.ok()
            }
        });
        node.meters.sweeps_failed.increment(failed.await);
    }
}

/// Have `sweep` go from group to group, and rest where it gives nothing; how many groups failed.
/// [DS-STATE-5]
async fn go_round<F: Future<Output = Option<Swept>>>(
    rest: Duration,
    mut sweep: impl FnMut(Option<Outbox>) -> F,
) -> u64 {
    let (mut after, mut failed, mut rests) = (None, 0, 0);
    while rests < RESTS_MAX {
        let Some(swept) = sweep(after).await else {
            rests += 1;
            tokio::time::sleep(rest).await;
            continue;
        };
        failed += swept.failed;
        if swept.last.is_none() {
            break;
        }
        after = swept.last;
    }
    failed
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [DS-STATE-5]
    #[tokio::test]
    async fn a_round_goes_on_after_it_has_found_no_thread() {
        let mut calls = 0;
        let failed = go_round(Duration::ZERO, |_| {
            calls += 1;
            std::future::ready((calls == 3).then_some(Swept {
                last: None,
                failed: 2,
            }))
        });
        assert_eq!(failed.await, 2);
        assert_eq!(calls, 3);
    }

    #[tokio::test]
    async fn a_round_that_finds_no_thread_ends() {
        let mut calls = 0;
        let failed = go_round(Duration::ZERO, |_| {
            calls += 1;
            std::future::ready(None)
        });
        assert_eq!(failed.await, 0);
        assert_eq!(calls, RESTS_MAX);
    }
}
