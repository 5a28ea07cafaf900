//! Send a message to a group, inviting a contact first if it is not there yet:
//! `send HOME GROUP CONTACT TEXT`, for instance
//! `cargo run --release --example send -- /tmp/aspen walk birch@localhost "see you at nine"`.

use std::env;
use std::error::Error;

use hearth_sdk::{Hearth, Home};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [home, name, contact, text] = arguments.as_slice() else {
        return Err("usage: send HOME GROUP CONTACT TEXT".into());
    };
    let hearth = Hearth::open(&Home::new(home)).await?;
    hearth.sync().await?;
    let group = match hearth.find_group(name).await {
        Ok(group) => group,
        Err(_) => hearth.create_group(name).await?,
    };
    let members = hearth.members(group).await?;
    let is_there = |username: &str| username == contact;
    let usernames = members
        .iter()
        .filter_map(|member| member.person.username.as_deref());
    if !usernames.into_iter().any(is_there) {
        let contact = hearth.find_contact(contact).await?;
        hearth.invite(group, &[contact]).await?;
    }
    // When this returns, the message is on the server's disk.
    let number = hearth.send(group, text).await?;
    report(&format!("message {number} of {name}"));
    hearth.close().await;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "an example talks to a terminal")]
fn report(line: &str) {
    println!("{line}");
}
