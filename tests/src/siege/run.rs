//! One siege from beginning to end: calm, attack, calm.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{interval, sleep};

use super::figure::{Bound, Figure, Phases, at_least, at_most, count};
use super::ground::{Ground, Setting};
use super::honest::{Honest, PATIENCE, Samples};
use super::warm;
use crate::clock::now;
use crate::connection::Failure;
use crate::hostile::socket::Traffic;

/// How often the server's memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How many times as long as before newcomers may wait during an attack.
const NEWCOMERS_TIMES: f64 = 5.0;
/// The same of everybody once it has been over for some seconds.
const RECOVERED_TIMES: f64 = 1.5;
/// Programs that promise success to fewer newcomers than this promise nothing of how long it takes.
const MEASURED_PERCENT: usize = 95;

/// How much of an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Seconds: for the tests, on a machine that does other things as well.
    Small,
    /// What the attack is about, on a machine of its own.
    Full,
}

impl Size {
    /// One of two.
    pub fn pick<T>(self, small: T, full: T) -> T {
        match self {
            Self::Small => small,
            Self::Full => full,
        }
    }

    /// How long the honest are watched without an attack.
    fn calm(self) -> Duration {
        self.pick(Duration::from_millis(1_500), Duration::from_secs(5))
    }
}

/// What an attacker did and saw.
#[derive(Debug, Default)]
pub struct Attack {
    /// What it sent and got.
    pub traffic: Traffic,
    /// What has to hold of it.
    pub bounds: Vec<Bound>,
}

/// An attack.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Its number.
    pub id: &'static str,
    /// What it does.
    pub title: &'static str,
    /// What of the server's configuration is not as by default, and why it is not is said where
    /// the function is.
    pub settings: fn(Size) -> Vec<Setting>,
    /// The attacker, on a thread of its own.
    pub attack: fn(&Ground, Size) -> Result<Attack, Failure>,
    /// MiB by which the server may grow.
    pub resident_mib: f64,
    /// The same of a small run, if that is less.
    pub resident_small_mib: Option<f64>,
    /// MiB by which it may still be larger when the attack has been over for some seconds, if that
    /// is less.
    pub resident_after_mib: Option<f64>,
    /// How many times as long as before the existing may wait meanwhile.
    pub existing_times: f64,
    /// Percent of newcomers that succeed while the attack goes on.
    pub newcomers_percent: usize,
    /// Whether the attacker needs addresses that the machine has only in a namespace.
    pub needs_ipv6: bool,
    /// What is left off to see that it is what defends.
    pub defence: Option<Defence>,
    /// Further differences to the defaults.
    pub changes: fn() -> Vec<Setting>,
}

/// What an attack breaks on, which can be left off.
#[derive(Clone, Copy, Debug)]
pub struct Defence {
    /// The attack's title without it.
    pub title: &'static str,
    /// How it is left off.
    pub off: fn() -> Vec<Setting>,
    /// How the bound that breaks then is called; others may break as well.
    pub bound: &'static str,
}

impl Program {
    /// The same attack on a server without the defence, and the bound that has to break.
    #[must_use]
    pub fn undefended(self) -> Option<(Self, &'static str)> {
        let defence = self.defence?;
        let program = Self {
            title: defence.title,
            changes: defence.off,
            ..self
        };
        Some((program, defence.bound))
    }
}

/// An attack that does nothing to a server with its default limits, for others to begin from.
pub const PROGRAM: Program = Program {
    id: "",
    title: "",
    settings: |_| Vec::new(),
    attack: |_, _| Ok(Attack::default()),
    resident_mib: 32.0,
    resident_small_mib: None,
    resident_after_mib: None,
    existing_times: 3.0,
    newcomers_percent: NEARLY_ALL,
    needs_ipv6: false,
    defence: None,
    changes: Vec::new,
};

/// What every program has to promise newcomers, unless it says why it cannot.
pub const NEARLY_ALL: usize = 99;

/// Run an attack and measure.
///
/// # Errors
/// The server or the attacker does not run; that the attack succeeds is no error.
pub async fn besiege(
    program: &Program,
    size: Size,
    hearthd: &Path,
    scratch: &Path,
) -> Result<Figure, Failure> {
    let settings = [(program.settings)(size), (program.changes)()].concat();
    let ground = Arc::new(Ground::new(hearthd, scratch, &settings)?);
    warm::warm_up(&ground.server).await?;
    let mut honest = Honest::begin(&ground.server).await?;
    // Caches fill and code is read from the disk once.
    sleep(size.calm() / 2).await;
    drop(honest.noticed());
    sleep(size.calm()).await;
    let before = honest.noticed();
    let usage_before = ground.server.usage()?;
    let begun = now();
    let attacker = {
        let (ground, attack) = (Arc::clone(&ground), program.attack);
        tokio::task::spawn_blocking(move || attack(&ground, size))
    };
    let (attack, peak) = watch(&ground, attacker).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let usage_after = ground.server.usage()?;
    // An attack that is over at once has its effects looked for all the same.
    sleep(size.calm().saturating_sub(begun.elapsed())).await;
    let during = honest.noticed();
    // Who came while newcomers had to wait is let in or gives up after that.
    let settled = match program.newcomers_percent {
        NEARLY_ALL => size.calm() / 2,
        _ => PATIENCE,
    };
    sleep(settled).await;
    drop(honest.noticed());
    sleep(size.calm()).await;
    let phases = Phases {
        before,
        during,
        after: honest.noticed(),
    };
    let resident_after = ground.server.usage()?.resident;
    let resident_mib = mib(peak.saturating_sub(usage_before.resident));
    let mut bounds = attack.bounds;
    bounds.push(at_most(
        "server grows, MiB",
        resident_mib,
        size.pick(
            program.resident_small_mib.unwrap_or(program.resident_mib),
            program.resident_mib,
        ),
    ));
    if let Some(limit) = program.resident_after_mib {
        let left = mib(resident_after.saturating_sub(usage_before.resident));
        bounds.push(at_most("server stays larger, MiB", left, limit));
    }
    bounds.extend(honest_bounds(program, &phases, size));
    Ok(Figure {
        id: program.id,
        title: program.title,
        traffic: attack.traffic,
        seconds,
        resident_mib,
        processors: (usage_after.cpu_ms - usage_before.cpu_ms) / 1_000.0 / seconds,
        phases,
        bounds,
    })
}

/// Wait for the attacker; gives what it did and the server's memory at its worst.
async fn watch(
    ground: &Ground,
    mut attacker: tokio::task::JoinHandle<Result<Attack, Failure>>,
) -> Result<(Attack, u64), Failure> {
    let mut look = interval(LOOK_EVERY);
    let mut peak = 0;
    loop {
        tokio::select! {
            attack = &mut attacker => return Ok((attack??, peak)),
            _ = look.tick() => peak = peak.max(ground.server.usage()?.resident),
        }
    }
}

fn mib(bytes: u64) -> f64 {
    super::figure::total(bytes >> 10) / 1_024.0
}

/// What holds for the honest whatever the attack: nearly all succeed, none waits much longer than
/// without, and soon after it none waits longer than before. On two processors that attackers,
/// honest and compilers share, the floors of a small run are generous, and there are too few
/// newcomers to say more than what 95 of 100 notice.
fn honest_bounds(program: &Program, phases: &Phases, size: Size) -> Vec<Bound> {
    let Phases {
        before,
        during,
        after,
    } = phases;
    let floors = size.pick((400.0, 2_500.0), (20.0, 250.0));
    let existing = |times: f64| (times * before.existing.percentile_ms(99)).max(floors.0);
    let newcomers = |times: f64| (times * before.newcomers.percentile_ms(99)).max(floors.1);
    let mut bounds = vec![at_most(
        "existing p99, ms",
        during.existing.percentile_ms(99),
        existing(program.existing_times),
    )];
    let percent = size.pick(95, 99).min(program.newcomers_percent);
    if percent >= MEASURED_PERCENT {
        let name = format!("newcomers p{percent}, ms");
        let waited = during.newcomers.percentile_ms(percent);
        bounds.push(at_most(name, waited, newcomers(NEWCOMERS_TIMES)));
    }
    let percent = size.pick(95, 99);
    bounds.extend([
        at_most(
            "existing p99 after, ms",
            after.existing.percentile_ms(99),
            existing(RECOVERED_TIMES),
        ),
        at_most(
            format!("newcomers p{percent} after, ms"),
            after.newcomers.percentile_ms(percent),
            newcomers(RECOVERED_TIMES),
        ),
        success("existing, during", &during.existing, NEARLY_ALL),
        success(
            "newcomers, during",
            &during.newcomers,
            program.newcomers_percent,
        ),
        success("existing, after", &after.existing, NEARLY_ALL),
        success("newcomers, after", &after.newcomers, NEARLY_ALL),
    ]);
    bounds
}

/// So many percent succeed; of few, all but one.
fn success(who: &str, samples: &Samples, percent: usize) -> Bound {
    let tolerated = (samples.count() * (100 - percent)).div_ceil(100).max(1);
    let wanted = samples.count().saturating_sub(tolerated);
    let succeeded = samples.count() - samples.failed();
    at_least(format!("{who}: succeed"), count(succeeded), count(wanted))
}
