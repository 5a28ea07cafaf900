//! Shares of the work over any ten seconds, with simulated threads and clock.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::share::ADVANCE_NANOS;

const SECOND: Duration = Duration::from_secs(1);
const WINDOW: Duration = Duration::from_secs(10);
const SPAN: Duration = Duration::from_secs(25);

/// Somebody who always has work waiting.
#[derive(Clone, Debug)]
struct Actor {
    /// Accounts and networks that it goes through, one after the other.
    accounts: u64,
    networks: u64,
    class: Class,
    /// Milliseconds of its jobs, one after the other.
    costs: Vec<u64>,
    depth: usize,
    pushed: u64,
}

impl Actor {
    fn honest(class: Class, costs: Vec<u64>) -> Self {
        Self {
            accounts: 1,
            networks: 1,
            class,
            costs,
            depth: 6,
            pushed: 0,
        }
    }

    fn next(&mut self, number: u64, now: Duration) -> Waiting<(usize, Duration)> {
        let place = usize::try_from(self.pushed).unwrap();
        let cost = Duration::from_millis(self.costs[place % self.costs.len()]);
        let own = (number + 1) * 1_000_000;
        let identity = Identity::for_test(
            own + self.pushed % self.accounts,
            0,
            own + self.pushed % self.networks,
        );
        self.pushed += 1;
        Waiting {
            identity,
            since: now,
            job: (usize::try_from(number).unwrap(), cost),
        }
    }
}

/// Work that ended: when, whose, how long it took.
type Done = (Duration, usize, Duration);

/// Let `threads` work for [`SPAN`] while every actor has work waiting.
fn simulate(actors: &mut [Actor], threads: usize) -> Vec<Done> {
    let mut fairness = Fairness::new();
    for (number, actor) in actors.iter_mut().enumerate() {
        for _ in 0..actor.depth {
            let waiting = actor.next(number as u64, Duration::ZERO);
            fairness.push(actor.class, waiting, 10_000).unwrap();
        }
    }
    let mut running = BTreeMap::new();
    let mut done = Vec::new();
    let mut now = Duration::ZERO;
    let mut started = 0;
    while now < SPAN {
        while running.len() < threads {
            let turn = fairness.take(|_| true).unwrap();
            let (number, cost) = turn.waiting.job;
            running.insert((now + cost, started), (turn.waiting.identity, number, cost));
            started += 1;
            let again = actors[number].next(number as u64, now);
            fairness.push(actors[number].class, again, 10_000).unwrap();
        }
        let ((ended, _), (identity, number, cost)) = running.pop_first().unwrap();
        now = ended;
        fairness.charge(&identity, cost);
        done.push((now, number, cost));
    }
    done
}

/// The most that an actor got in any window beyond `1 / parts` of all.
fn excess(done: &[Done], actor: usize, parts: u32) -> Duration {
    let mut most = Duration::ZERO;
    let (mut own, mut all, mut first) = (Duration::ZERO, Duration::ZERO, 0);
    for (ended, number, cost) in done {
        all += *cost;
        own += if *number == actor {
            *cost
        } else {
            Duration::ZERO
        };
        while done[first].0 + WINDOW < *ended {
            let (_, number, cost) = done[first];
            all -= cost;
            own -= if number == actor {
                cost
            } else {
                Duration::ZERO
            };
            first += 1;
        }
        most = most.max(own.saturating_sub(all / parts));
    }
    most
}

/// What the bound leaves: the advance, and the longest job on each thread at both ends.
fn slack(threads: usize, longest: u64) -> Duration {
    let threads = u32::try_from(threads).unwrap();
    Duration::from_nanos(ADVANCE_NANOS) + 2 * (threads + 1) * Duration::from_millis(longest)
}

fn class() -> impl Strategy<Value = Class> {
    prop::sample::select(URGENCY.to_vec())
}

fn costs() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(1_u64..30, 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// [NODE-FAIR-1]
    #[test]
    fn over_any_ten_seconds_nobody_gets_more_than_a_quarter_while_others_wait(
        greedy in (class(), costs(), 1_usize..200),
        others in prop::collection::vec((class(), costs()), 1..9),
        threads in 1_usize..5,
        // One account from one network; many pseudonyms in one network; one from many networks.
        (accounts, networks) in prop::sample::select(vec![(1, 1), (500, 1), (1, 8)]),
    ) {
        let (class, costs, depth) = greedy;
        // Whoever goes through many pseudonyms or networks is many until four compete.
        let least = if (accounts, networks) == (1, 1) { 1 } else { 3 };
        let count = others.len().max(least);
        let others = others.into_iter().cycle().take(count);
        let mut actors = vec![Actor { accounts, networks, class, costs, depth, pushed: 0 }];
        actors.extend(others.map(|(class, costs)| Actor::honest(class, costs)));
        let parts = u32::try_from(actors.len()).unwrap().min(4);
        let done = simulate(&mut actors, threads);
        let excess = excess(&done, 0, parts);
        prop_assert!(excess <= slack(threads, 30), "{:?} beyond a part of {}", excess, parts);
    }

    /// Whoever asks for less than its share is not held up by who asks for more.
    #[test]
    fn nobody_who_waits_gets_nothing(
        classes in prop::collection::vec(class(), 4),
        threads in 1_usize..4,
    ) {
        let mut actors: Vec<_> = classes.into_iter().map(|class| Actor::honest(class, vec![10])).collect();
        actors[0].depth = 500;
        let done = simulate(&mut actors, threads);
        for number in 0..4 {
            let work: Duration = done.iter().filter(|(_, whose, _)| *whose == number).map(|(.., cost)| *cost).sum();
            let fair = SPAN * u32::try_from(threads).unwrap() / 4;
            prop_assert!(work + slack(threads, 10) * 2 >= fair, "{:?} of {:?}", work, fair);
        }
    }
}

fn waiting(account: u64, network: u64, since: Duration) -> Waiting<u64> {
    Waiting {
        identity: Identity::for_test(account, 0, network),
        since,
        job: account,
    }
}

/// [NODE-FAIR-2]
#[test]
fn a_crowd_of_one_account_leaves_places_to_the_others() {
    let mut fairness = Fairness::new();
    let mut push =
        |account, network| fairness.push(Class::Send, waiting(account, network, SECOND), 100);
    assert_eq!((0..100).filter(|_| push(1, 1).is_ok()).count(), 50);
    assert_eq!((0..100).filter(|_| push(2, 2).is_ok()).count(), 25);
    assert_eq!((0..100).filter(|n| push(100 + n, 3).is_ok()).count(), 13);
    assert_eq!(push(4, 4), Ok(()));
}

#[test]
fn the_most_urgent_goes_first_among_those_within_their_share() {
    let mut fairness = Fairness::new();
    for (place, class) in URGENCY.into_iter().rev().enumerate() {
        let number = place as u64;
        fairness
            .push(class, waiting(number, number, SECOND), 10)
            .unwrap();
    }
    let order = std::iter::from_fn(|| fairness.take(|_| true)).map(|turn| turn.class);
    assert_eq!(order.collect::<Vec<_>>(), URGENCY);
    assert!(fairness.is_empty());
}

#[test]
fn stale_jobs_of_who_is_ahead_are_handed_back_and_no_others() {
    let mut fairness = Fairness::new();
    let [greedy, modest] = [1, 2].map(|number| Identity::for_test(number, 0, number));
    for number in [1, 2] {
        fairness
            .push(Class::Send, waiting(number, number, SECOND), 10)
            .unwrap();
    }
    fairness.charge(&greedy, SECOND);
    let mut stale = |identity, since| fairness.take_stale(Class::Send, identity, since).is_some();
    assert!(!stale(&greedy, SECOND));
    assert!(!stale(&modest, SECOND * 2));
    assert!(stale(&greedy, SECOND * 2));
    assert!(!stale(&greedy, SECOND * 2));
    let turn = fairness.take(|_| true).unwrap();
    assert_eq!((turn.waiting.job, turn.is_beyond), (2, false));
}

#[test]
fn the_servers_own_work_is_nobodys() {
    let mut fairness = Fairness::new();
    let server = Waiting {
        identity: Identity::server(),
        since: SECOND,
        job: 0,
    };
    fairness.charge(&Identity::server(), SECOND * 100);
    fairness.push(Class::Send, server, 10).unwrap();
    fairness
        .push(Class::Send, waiting(1, 1, SECOND), 10)
        .unwrap();
    assert!(fairness.take(|_| true).is_some_and(|turn| !turn.is_beyond));
}
