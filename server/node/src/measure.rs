//! What admission and fairness add to a request, for `examples/admission_cost.rs`.

use std::sync::Arc;
use std::time::Duration;

use protocol::request::{AccessMode, Class};

use crate::buffers::Account;
use crate::clock::{self, Stopwatch};
use crate::conduct::{Conduct, Quotas};
use crate::config::{Budget, Memory, Strangers};
use crate::cpu::Use;
use crate::fairness::{Fairness, Waiting};
use crate::identity::{self, Identity};
use crate::ledger::Ledger;
use crate::standing::Standing;

/// Networks that requests come from, so that no table stays in the processor's caches.
const NETWORKS: u32 = 5_000;

/// CPU time of everything that a request goes through besides being served, on average over
/// `requests` with `waiting` of others in the queue.
#[must_use]
pub fn admission_cost(requests: u32, waiting: u32) -> Duration {
    let budget = Budget {
        requests_per_second: 1_000_000_000,
        requests_burst: 1_000_000_000,
        ..Budget::default()
    };
    let (quotas, watch, used) = (Quotas::new(&budget), Stopwatch::start(), Use::new());
    let (conduct, standing) = (Conduct::default(), Standing::default());
    let frames = Arc::new(Account::new(usize::MAX));
    let ledger = Arc::new(Ledger::new(&Memory::default(), frames));
    let mut fairness = Fairness::new();
    let identity = |number: u32| {
        let stranger = Identity::stranger(number.wrapping_mul(0x0001_0101).to_be_bytes().into());
        stranger.known(identity::account(&number.to_be_bytes()))
    };
    let identities: Vec<Identity> = (0..NETWORKS).map(identity).collect();
    let push = |fairness: &mut Fairness<Box<u8>>, identity: Identity| {
        let since = watch.elapsed();
        let stale = since.saturating_sub(Duration::from_millis(250));
        drop(fairness.take_stale(Class::Send, &identity, stale));
        let waiting = Waiting {
            identity,
            since,
            job: Box::new(0),
        };
        fairness.push(Class::Send, waiting, usize::MAX).is_ok()
    };
    for identity in identities.iter().rev().take(waiting as usize) {
        push(&mut fairness, *identity);
    }
    standing.recognise(7);
    let before = clock::thread_cpu();
    let each = identities.iter().cycle().take(requests as usize);
    for identity in each {
        let admitted = standing.admit(&Strangers::default(), AccessMode::Pseudonymous, 512);
        let paid = conduct.admit_request(&quotas, 0);
        let held = ledger.hold(512);
        let pushed = push(&mut fairness, *identity);
        let Some(turn) = fairness.take(|_| true) else {
            continue;
        };
        let begun = clock::thread_cpu();
        let work = clock::thread_cpu().saturating_sub(begun) + Duration::from_micros(200);
        used.charge(&turn.waiting.identity, work, watch.elapsed());
        fairness.charge(&turn.waiting.identity, work);
        debug_assert!(admitted.is_ok() && paid.is_ok() && pushed);
        drop(held);
    }
    clock::thread_cpu().saturating_sub(before) / requests.max(1)
}
