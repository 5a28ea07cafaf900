//! Hearth's load generator: real MLS groups over real QUIC on loopback, against a `hearthd` of its
//! own with every sync to disk on. It measures the server's process from outside.

mod attack;
mod clock;
mod drain;
mod long;
mod report;
mod send;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use tests::connection::Failure;
use tests::process::Server;
use tests::siege::run::Size;

use crate::attack::{Form, Target};
use crate::report::{Run, print};
use crate::send::Load;

/// Measure a Hearth server on this machine.
///
/// Latencies and rates are as good as the machine is idle; CPU per operation is what to compare.
#[derive(Debug, Parser)]
#[command(name = "load")]
struct Arguments {
    /// The server to run; by default the `hearthd` beside this program.
    #[arg(long, global = true)]
    hearthd: Option<PathBuf>,
    /// Where the database goes: a directory on the disk to be measured.
    #[arg(long, global = true, default_value = ".")]
    scratch: PathBuf,
    /// One JSON object a line instead of a table.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    scenario: Option<Scenario>,
}

/// Without a scenario, all of them at the sizes of the README.
#[derive(Debug, Subcommand)]
enum Scenario {
    /// Durable sends in groups of one size.
    Send {
        /// Members of each group, the sender included.
        #[arg(long, default_value_t = 2)]
        members: usize,
        /// Groups, each with a sender of its own.
        #[arg(long, default_value_t = 64)]
        groups: usize,
        /// Messages of each sender.
        #[arg(long, default_value_t = 1_000)]
        messages: usize,
        /// Let the last member of each group listen and acknowledge meanwhile.
        #[arg(long)]
        listening: bool,
    },
    /// Read and acknowledge one long queue.
    Drain {
        /// Items in the queue.
        #[arg(long, default_value_t = 200_000)]
        items: usize,
    },
    /// Many clients that listen and hear nothing.
    Idle {
        /// Clients.
        #[arg(long, default_value_t = 10_000)]
        clients: usize,
    },
    /// Attacks on connections, and what the honest notice of them.
    Attack {
        /// Which: t01, t02 and so on; all if none is named.
        ids: Vec<String>,
        /// At the size that the attack is about, on a machine of its own.
        #[arg(long)]
        full: bool,
        /// The same on a server without the defence that the attack breaks on, for those attacks
        /// where one setting leaves it off.
        #[arg(long)]
        undefended: bool,
        /// The table of README.md, to put in its place.
        #[arg(long, conflicts_with = "json")]
        markdown: bool,
    },
    /// Hours of idle connections that come and go, with floods now and then: memory must not grow.
    Soak {
        /// How long.
        #[arg(long, default_value_t = 24.0)]
        hours: f64,
        /// Idle connections.
        #[arg(long, default_value_t = 20_000)]
        connections: usize,
    },
    /// Random frames behind valid keys: the server must go on.
    Spin {
        /// Packets.
        #[arg(long, default_value_t = 10_000_000)]
        packets: u64,
        /// To send the same again.
        #[arg(long)]
        seed: Option<u64>,
    },
}

fn all() -> Vec<Scenario> {
    let send = |members, groups, messages, listening| Scenario::Send {
        members,
        groups,
        messages,
        listening,
    };
    vec![
        send(2, 64, 1_000, false),
        send(2, 64, 1_000, true),
        send(10, 64, 300, false),
        send(100, 16, 200, false),
        send(1_000, 2, 300, false),
        Scenario::Drain { items: 200_000 },
        Scenario::Idle { clients: 10_000 },
    ]
}

async fn measure(server: &Server, scenario: &Scenario) -> Result<Run, Failure> {
    match *scenario {
        Scenario::Send {
            members,
            groups,
            messages,
            listening,
        } => {
            if members < 2 {
                return Err("a group needs at least 2 members".into());
            }
            send::run(
                server,
                &Load {
                    members,
                    groups,
                    messages,
                    listening,
                },
            )
            .await
        }
        Scenario::Drain { items } => drain::drain(server, items).await,
        Scenario::Idle { clients } => drain::idle(server, clients).await,
        Scenario::Attack { .. } | Scenario::Soak { .. } | Scenario::Spin { .. } => {
            Err("an attack has a server of its own".into())
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let hearthd = match arguments.hearthd {
        Some(program) => program,
        None => std::env::current_exe()?.with_file_name("hearthd"),
    };
    let places = (hearthd.as_path(), arguments.scratch.as_path());
    match &arguments.scenario {
        Some(Scenario::Attack {
            ids,
            full,
            undefended,
            markdown,
        }) => {
            let size = if *full { Size::Full } else { Size::Small };
            let target = if *undefended {
                Target::Undefended
            } else {
                Target::Defended
            };
            let form = match (arguments.json, markdown) {
                (true, _) => Form::Json,
                (false, true) => Form::Markdown,
                (false, false) => Form::People,
            };
            return attack::run(ids, (size, target), form, places).await;
        }
        Some(Scenario::Soak { hours, connections }) => {
            return long::soaking(*hours, *connections, places).await;
        }
        Some(Scenario::Spin { packets, seed }) => {
            return tokio::task::block_in_place(|| long::spinning(*packets, *seed, places));
        }
        _ => {}
    }
    let scenarios = arguments
        .scenario
        .map_or_else(all, |scenario| vec![scenario]);
    for (place, scenario) in scenarios.iter().enumerate() {
        // A fresh server each: memory and files of one scenario must not count for the next.
        let server = Server::start(&hearthd, &arguments.scratch)?;
        let figure = measure(&server, scenario).await?.figure();
        print(&figure, arguments.json, place == 0)?;
    }
    Ok(())
}
