//! Hearth's load generator: real MLS groups over real QUIC on loopback, against a `hearthd` of its
//! own with every sync to disk on. It measures the server's process from outside.

mod clock;
mod drain;
mod report;
mod send;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use tests::connection::Failure;
use tests::process::Server;

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
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let hearthd = match arguments.hearthd {
        Some(program) => program,
        None => std::env::current_exe()?.with_file_name("hearthd"),
    };
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
