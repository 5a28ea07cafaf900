//! Sign up and claim a username: `register HOME SERVER NAME`, for instance
//! `cargo run --release --example register -- /tmp/aspen localhost:4433 aspen`.

use std::env;
use std::error::Error;

use hearth_sdk::{Hearth, Home, Progress, RegisterOptions, Trust};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [home, server, name] = arguments.as_slice() else {
        return Err("usage: register HOME SERVER NAME".into());
    };
    let options = RegisterOptions {
        server: server.parse()?,
        display_name: name.clone(),
        trust: Trust::Usual,
    };
    let hearth = Hearth::register(&Home::new(home), options, show).await?;
    let username = hearth.claim_username(name, show).await?;
    report(&format!(
        "{username} is {}",
        hearth.account().await?.address
    ));
    hearth.close().await;
    Ok(())
}

fn show(progress: Progress) {
    let Progress {
        attempts,
        attempts_expected,
    } = progress;
    report(&format!(
        "proof of work: {attempts} of about {attempts_expected}"
    ));
}

#[expect(clippy::print_stdout, reason = "an example talks to a terminal")]
fn report(line: &str) {
    println!("{line}");
}
