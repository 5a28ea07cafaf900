//! The attacks of `tests`, at full size: what the attacker sent and got, what it cost the server,
//! and what the honest noticed of it.

use std::path::Path;

use tests::attack::{program, programs};
use tests::connection::Failure;
use tests::siege::figure::{Bound, Figure};
use tests::siege::namespace;
use tests::siege::run::{Program, Size, besiege};

/// How figures are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A table of everything, and below each attack the bounds that it broke.
    People,
    /// One JSON object a line.
    Json,
    /// The table of README.md.
    Markdown,
}

/// Which server is attacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// One that defends itself.
    Defended,
    /// One without the defence that the attack breaks on.
    Undefended,
}

/// Run the attacks of these numbers, or all; fails if one of them succeeds, or if one that should
/// does not.
pub(crate) async fn run(
    ids: &[String],
    (size, target): (Size, Target),
    form: Form,
    (hearthd, scratch): (&Path, &Path),
) -> Result<(), Failure> {
    let attacks = selected(ids, target)?;
    let needs_ipv6 = attacks.iter().any(|(program, _)| program.needs_ipv6);
    if needs_ipv6 && !namespace::is_inside() {
        match namespace::run_inside(std::env::args_os().skip(1))? {
            Some(status) if status.success() => return Ok(()),
            Some(_) => return Err("not all of it went as it should".into()),
            None if !ids.is_empty() => {
                return Err(
                    "no network namespace can be made here, which an attack needs that \
                            was asked for: try as root, with unshare and ip"
                        .into(),
                );
            }
            None => tell(
                "no network namespace can be made here: attacks from many IPv6 networks are \
                 left out",
            ),
        }
    }
    let is_possible = |program: &Program| !program.needs_ipv6 || namespace::is_inside();
    let possible = attacks.iter().filter(|(program, _)| is_possible(program));
    let mut surprises = 0;
    for (place, (program, breaks)) in possible.enumerate() {
        tell(&format!("{}: {} ...", program.id, program.title));
        let figure = besiege(program, size, hearthd, scratch).await?;
        print(&figure, form, place == 0);
        let is_as_expected = breaks.map_or_else(
            || figure.passed(),
            |bound| figure.broken().iter().any(|it| it.starts_with(bound)),
        );
        surprises += usize::from(!is_as_expected);
    }
    match (surprises, target) {
        (0, _) => Ok(()),
        (_, Target::Defended) => Err(format!("{surprises} attacks did more than they may").into()),
        (_, Target::Undefended) => {
            Err(format!("{surprises} attacks fail without the defence as well").into())
        }
    }
}

/// Attacks, with the bound that each has to break if it has to break one.
fn selected(
    ids: &[String],
    target: Target,
) -> Result<Vec<(Program, Option<&'static str>)>, Failure> {
    let all = named(ids)?.into_iter();
    Ok(match target {
        Target::Defended => all.map(|program| (program, None)).collect(),
        Target::Undefended => all
            .filter_map(Program::undefended)
            .map(|(program, bound)| (program, Some(bound)))
            .collect(),
    })
}

fn named(ids: &[String]) -> Result<Vec<Program>, Failure> {
    if ids.is_empty() {
        return Ok(programs());
    }
    let one = |id: &String| {
        let known = || {
            programs()
                .iter()
                .map(|program| program.id)
                .collect::<Vec<_>>()
        };
        program(id).ok_or_else(|| format!("there is no attack {id}, only {:?}", known()).into())
    };
    ids.iter().map(one).collect()
}

/// Say on standard error what is going on: some attacks take minutes.
#[expect(clippy::print_stderr, reason = "the figures are on standard output")]
fn tell(what: &str) {
    eprintln!("{what}");
}

#[expect(clippy::print_stdout, reason = "the figures are this program's output")]
fn print(figure: &Figure, form: Form, is_first: bool) {
    match form {
        Form::Json => println!("{}", figure.json()),
        Form::Markdown => {
            if is_first {
                println!(
                    "| | attack | packets/s | server +MiB | server CPUs | existing p99 | newcomers p99 | bounds |"
                );
                println!("|---|---|--:|--:|--:|--:|--:|---|");
            }
            println!("{}", row(figure));
        }
        Form::People => {
            if is_first {
                println!(
                    "| | attack | s | packets out /s | MB out | MB in | server +MiB | server CPUs | existing p99 ms before, during, after | newcomers p99 ms before, during, after | holds |"
                );
                println!("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|---|");
            }
            println!("{}", long_row(figure));
            for bound in figure.bounds.iter().filter(|bound| !bound.holds()) {
                println!("  {} does not hold: {}", figure.id, Bound::describe(bound));
            }
        }
    }
}

/// What the honest noticed before, during and after.
fn noticed(figure: &Figure) -> [String; 2] {
    let phases = [
        &figure.phases.before,
        &figure.phases.during,
        &figure.phases.after,
    ];
    let existing = phases.map(|phase| format!("{:.1}", phase.existing.percentile_ms(99)));
    let newcomers = phases.map(|phase| format!("{:.0}", phase.newcomers.percentile_ms(99)));
    [existing.join(", "), newcomers.join(", ")]
}

/// A row of README.md.
fn row(figure: &Figure) -> String {
    let [existing, newcomers] = noticed(figure);
    let packets = match figure.traffic.packets_out {
        0 => "–".to_owned(),
        _ => format!("{:.0}", figure.packets_per_second()),
    };
    let bounds = match figure.broken().as_slice() {
        [] => "hold".to_owned(),
        broken => format!("**broken**: {}", broken.join("; ")),
    };
    format!(
        "| {} | {} | {packets} | {:.1} | {:.2} | {existing} | {newcomers} | {bounds} |",
        figure.id.to_uppercase(),
        figure.title,
        figure.resident_mib,
        figure.processors,
    )
}

fn long_row(figure: &Figure) -> String {
    let [existing, newcomers] = noticed(figure);
    let holds = if figure.passed() { "yes" } else { "NO" };
    format!(
        "| {} | {} | {:.0} | {:.0} | {:.1} | {:.1} | {:.1} | {:.2} | {existing} | {newcomers} | {holds} |",
        figure.id,
        figure.title,
        figure.seconds,
        figure.packets_per_second(),
        megabytes(figure.traffic.bytes_out),
        megabytes(figure.traffic.bytes_in),
        figure.resident_mib,
        figure.processors,
    )
}

#[expect(
    clippy::cast_precision_loss,
    reason = "figures for people, far below 2^52"
)]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1_000_000.0
}
