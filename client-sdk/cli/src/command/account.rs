//! `register`, `account`, `username`.

use hearth_sdk::{Error, Hearth, Home, OwnUsername, RegisterOptions, Trust};
use serde_json::json;

use super::Session;
use crate::arguments::{Register, Username};
use crate::failure::Failure;
use crate::output::Output;

pub(super) async fn register(
    home: &Home,
    options: &Register,
    output: Output,
) -> Result<(), Failure> {
    let options = RegisterOptions {
        server: options.server.parse()?,
        display_name: options.name.clone(),
        trust: options.ca.clone().map_or(Trust::Usual, Trust::Authorities),
    };
    let server = options.server.to_string();
    let registered = Hearth::register(home, options, output.progress()).await;
    let hearth = match registered {
        Ok(hearth) => hearth,
        Err(Error::Unreachable(why)) => return Err(Failure::NoServer(server, why)),
        Err(error) => return Err(error.into()),
    };
    let session = Session {
        hearth: hearth.clone(),
        output,
    };
    let shown = show(&session).await;
    hearth.close().await;
    shown?;
    output.note("`hearth username claim NAME` lets others find you")
}

pub(super) async fn show(session: &Session) -> Result<(), Failure> {
    let account = session.hearth.account().await?;
    let usernames = session.hearth.usernames().await?;
    let names: Vec<_> = usernames.iter().map(|own| own.username.as_str()).collect();
    let server = session.hearth.server().to_string();
    session.output.line(
        || {
            json!({
                "address": account.address,
                "client": account.client,
                "display_name": account.display_name,
                "server": server,
                "usernames": names,
            })
        },
        || {
            let known_as = if names.is_empty() {
                "no username".to_owned()
            } else {
                names.join(", ")
            };
            format!("{} at {server}: {known_as}", account.address)
        },
    )
}

pub(super) async fn username(session: &Session, action: Username) -> Result<(), Failure> {
    match action {
        Username::Claim { name } => claim(session, &name).await,
        Username::Release { name } => release(session, &name).await,
        Username::Show { name } => show_usernames(session, name.as_deref()).await,
    }
}

async fn claim(session: &Session, name: &str) -> Result<(), Failure> {
    let progress = session.output.progress();
    let username = session.hearth.claim_username(name, progress).await?;
    let username = username.to_string();
    let own = session.hearth.usernames().await?;
    let own = own.iter().find(|own| own.username == username);
    let expires = own.map(|own| own.expires);
    session.output.line(
        || json!({ "username": username, "claimed": true, "expires": expires }),
        || format!("you are {username}: `hearth connect {username}` finds you"),
    )
}

async fn release(session: &Session, name: &str) -> Result<(), Failure> {
    let username = session.hearth.release_username(name).await?.to_string();
    session.output.line(
        || json!({ "username": username, "claimed": false }),
        || format!("{username} is free for others"),
    )
}

async fn show_usernames(session: &Session, name: Option<&str>) -> Result<(), Failure> {
    let fits = |own: &OwnUsername| {
        let short = own.username.split_once('@').map(|(short, _)| short);
        name.is_none_or(|name| name == own.username || Some(name) == short)
    };
    let mut own = session.hearth.usernames().await?;
    own.retain(fits);
    if let (Some(name), true) = (name, own.is_empty()) {
        return Err(Failure::Unknown("username of yours", name.to_owned()));
    }
    if own.is_empty() {
        session
            .output
            .note("no username; `hearth username claim NAME` gets one")?;
    }
    for own in own {
        session.output.line(
            || json!({ "username": own.username, "claimed": own.claimed, "expires": own.expires }),
            || own.username.clone(),
        )?;
    }
    Ok(())
}
