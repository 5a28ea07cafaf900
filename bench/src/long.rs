//! Runs that take hours: the soak and the random frames. They say how far they are.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tests::attack::soak::{Look, Soak, slope, soak};
use tests::attack::spin::{self, Spun};
use tests::clock::Progress;
use tests::connection::Failure;
use tests::siege::ground::Ground;

/// Memory that random frames may make the server take, in MiB.
const SPIN_RESIDENT_MIB: u64 = 512;
/// MiB per hour by which a soaked server may grow.
const SLOPE_MIB: f64 = 1.0;
/// Looks without which a slope means nothing.
const LOOKS_MIN: usize = 20;
/// How often a long run says something.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// T28; fails if the server grows.
pub(crate) async fn soaking(
    hours: f64,
    connections: usize,
    (hearthd, scratch): (&Path, &Path),
) -> Result<(), Failure> {
    let ground = Arc::new(Ground::new(hearthd, scratch, &spin::settings())?);
    let time = Duration::from_secs_f64(hours * 3_600.0);
    let size = Soak {
        connections,
        time,
        look_every: (time / 1_000).max(Duration::from_secs(2)),
    };
    let mut progress = Progress::new(TELL_EVERY);
    let looks = soak(&ground, size, |look| {
        if progress.is_due() {
            tell_look(&look);
        }
    });
    let looks = looks.await?;
    let slope = slope(&looks);
    let Some(last) = looks.last() else {
        return Err("the soak was too short to look once".into());
    };
    tell_look(last);
    tell(&format!(
        "{slope:.2} MiB per hour over the second half, {} looks",
        looks.len()
    ));
    if looks.len() < LOOKS_MIN {
        return Err("too few looks to judge: soak longer".into());
    }
    if slope > SLOPE_MIB {
        return Err(format!("the server grows by {slope:.2} MiB per hour").into());
    }
    Ok(())
}

/// T30; fails if the server ends, refuses newcomers afterwards, or grows.
pub(crate) fn spinning(
    packets: u64,
    seed: Option<u64>,
    (hearthd, scratch): (&Path, &Path),
) -> Result<(), Failure> {
    let ground = Ground::new(hearthd, scratch, &spin::settings())?;
    let seed = seed.unwrap_or_else(spin::fresh_seed);
    tell(&format!("again with: --seed {seed}"));
    let mut progress = Progress::new(TELL_EVERY);
    let mut worst = 0;
    let spun = spin::spin(&ground, packets, seed, |spun| {
        worst = worst.max(spun.resident);
        if progress.is_due() {
            tell_spun(&spun);
        }
    })?;
    tell_spun(&spun);
    if worst >> 20 > SPIN_RESIDENT_MIB {
        return Err(format!("the server took {} MiB", worst >> 20).into());
    }
    let log = ground.server.log()?;
    if log.contains("panicked") {
        return Err(format!("something in the server panicked:\n{log}").into());
    }
    Ok(())
}

fn tell_look(look: &Look) {
    let Look {
        hours,
        resident_mib,
        failed,
    } = look;
    tell(&format!(
        "{hours:.3} h: {resident_mib:.1} MiB, {failed} connections failed"
    ));
}

fn tell_spun(spun: &Spun) {
    tell(&format!(
        "{} packets on {} connections, server {} MiB",
        spun.packets,
        spun.connections,
        spun.resident >> 20
    ));
}

#[expect(clippy::print_stdout, reason = "the figures are this program's output")]
fn tell(line: &str) {
    println!("{line}");
}
