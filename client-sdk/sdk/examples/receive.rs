//! Print what happens until interrupted: `receive HOME`, for instance
//! `cargo run --release --example receive -- /tmp/birch`.

use std::env;
use std::error::Error;

use hearth_sdk::{Event, Hearth, Home};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let home = env::args().nth(1).ok_or("usage: receive HOME")?;
    let hearth = Hearth::open(&Home::new(home)).await?;
    let mut events = hearth.events();
    loop {
        let event = tokio::select! {
            event = events.next() => event?,
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                break;
            }
        };
        match event.map(|event| event.event) {
            Some(Event::MessageReceived {
                group_name,
                sender,
                body,
                ..
            }) => {
                let sender = sender.username.or(sender.display_name);
                report(&format!(
                    "[{group_name}] {}: {body}",
                    sender.unwrap_or_default()
                ));
            }
            Some(other) => report(&format!("{other:?}")),
            None => break,
        }
    }
    events.finish().await?;
    hearth.close().await;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "an example talks to a terminal")]
fn report(line: &str) {
    println!("{line}");
}
