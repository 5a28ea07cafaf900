//! Seeded simulation: several clients and a server in one process, without network and with a
//! virtual clock. Requests and replies are lost, doubled and late, processes die, disks fail, clocks
//! differ; the invariants of `tests::invariants` hold. [SDK-JOB-1] [SDK-STORE-1] [DS-COMMIT-1]
//! [DS-SEND-1] [DS-FANOUT-2] [DS-OUTBOX-3] [QS-LISTEN-3] [STORE-DURABLE-1]
//!
//! Another seed is another run. `HEARTH_SEED=7 cargo test --release --workspace --test
//! simulation` repeats one, `HEARTH_SIMULATION_SECONDS=3600` goes on for longer than a minute.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "what goes wrong in a simulated world fails the test"
)]

use std::env;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use protocol::time::Timestamp;
use rand::Rng;
use tests::invariants::{ALWAYS, AT_REST, check};

use crate::sabotage::{Break, Sabotage};
use crate::trace::Trace;
use crate::weather::Weather;
use crate::world::World;

#[path = "simulation/acceptance.rs"]
mod acceptance;
#[path = "simulation/disk.rs"]
mod disk;
#[path = "simulation/life.rs"]
mod life;
#[path = "simulation/person.rs"]
mod person;
#[path = "simulation/policies.rs"]
mod policies;
#[path = "simulation/sabotage.rs"]
mod sabotage;
#[path = "simulation/server.rs"]
mod server;
#[path = "simulation/trace.rs"]
mod trace;
#[path = "simulation/weather.rs"]
mod weather;
#[path = "simulation/world.rs"]
mod world;

/// How long to try seeds, unless the environment says otherwise.
const SECONDS: u64 = 60;
/// Steps of a run.
const STEPS: usize = 600;

/// A broken invariant: its name, what it found, and how to see it again.
type Broken = (&'static str, String, String);

/// Run one seed to its end; gives what happened.
fn run(seed: u64, sabotage: Sabotage) -> Result<Trace, Broken> {
    let mut world = World::new(seed, 3 + usize::try_from(seed % 3).unwrap(), real());
    world.sabotage = sabotage;
    let weather = Weather::of_the_day(&mut world.rng);
    if world.rng.random_bool(0.25) {
        world.weather = weather;
    }
    world.begin();
    world.weather = weather;
    for _ in 0..STEPS {
        world.step();
        verify(&world, ALWAYS)?;
    }
    world.calm();
    for who in world.everybody() {
        for group in world.people[who.0].groups() {
            world.say(who, &group);
        }
    }
    world.calm();
    for person in &world.people {
        person.conclude(&mut world.journal);
    }
    verify(&world, ALWAYS)?;
    verify(&world, AT_REST)?;
    Ok(world.trace)
}

fn verify(world: &World, invariants: &[tests::invariants::Invariant]) -> Result<(), Broken> {
    check(invariants, &world.journal).map_err(|(name, found)| (name, found, world.trace.told()))
}

/// What the system's clock shows: OpenMLS looks at it, too.
fn real() -> Timestamp {
    #[expect(
        clippy::disallowed_methods,
        reason = "so that runs live in the present"
    )]
    let now = SystemTime::now();
    Timestamp(now.duration_since(UNIX_EPOCH).unwrap().as_secs())
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}

#[test]
fn invariants_hold_whatever_is_lost_doubled_late_or_crashes() {
    if let Some(seed) = number("HEARTH_SEED") {
        match run(seed, Sabotage::default()) {
            Ok(trace) => println!("{}", trace.told()),
            Err((name, found, told)) => panic!("{told}\n{name}: {found}"),
        }
        return;
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "measures how long seeds are tried"
    )]
    let begun = Instant::now();
    let span = Duration::from_secs(number("HEARTH_SIMULATION_SECONDS").unwrap_or(SECONDS));
    // Other seeds every time, the same ones with the same second.
    let next = AtomicU64::new(real().0 << 16);
    let runs = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while begun.elapsed() < span {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if let Err((name, found, told)) = run(seed, Sabotage::default()) {
                        panic!("{told}\n{name}: {found}");
                    }
                    runs.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let runs = runs.into_inner();
    println!("{runs} runs of {STEPS} steps");
    assert!(runs > 0, "no run came to its end");
}

#[test]
fn a_seed_repeats_its_run() {
    let digest = |seed| run(seed, Sabotage::default()).unwrap().digest();
    assert_eq!(digest(1), digest(1));
    assert_ne!(digest(1), digest(2));
}

/// A layer that breaks its promise is found, by the invariant that is about it.
#[test]
fn broken_layers_are_found() {
    let breaks = [
        (Break::SwallowedEntry, "queues_deliver_without_gaps"),
        (Break::RepeatedEntry, "acknowledged_entries_do_not_return"),
        (Break::UntoldText, "every_member_heard_everything"),
        (Break::DoubledText, "texts_are_heard_once_and_in_order"),
    ];
    for (what, expected) in breaks {
        let mut found = (1..20).filter_map(|seed| run(seed, Sabotage::at(what, 4)).err());
        let (name, ..) = found.next().unwrap();
        assert_eq!(name, expected, "{what:?}");
    }
}

/// What a disk acknowledged and forgot is missed by somebody.
#[test]
fn a_disk_that_forgets_is_found() {
    let forgets = |seed| run(seed, Sabotage::at(Break::ForgottenCommit, 100)).is_err();
    assert!((1..20).any(forgets));
}
