//! `hearth`: the terminal client, built on hearth-sdk and nothing else.

mod arguments;
mod command;
mod failure;
mod output;
mod trouble;

use std::io;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::arguments::Arguments;
use crate::output::Output;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_env("HEARTH_LOG").unwrap_or_else(|_| EnvFilter::new("off"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .init();
    let output = if arguments.common.json {
        Output::Json
    } else {
        Output::Text
    };
    let done = tokio::runtime::Runtime::new()
        .map_err(failure::Failure::from)
        .and_then(|runtime| {
            let done = runtime.block_on(command::run(arguments, output));
            // A thread may still be looking a name up, and nobody waits for the answer.
            runtime.shutdown_background();
            done
        });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.is_hang_up() => ExitCode::FAILURE,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::FAILURE
        }
    }
}
