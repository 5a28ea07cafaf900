//! From what was typed to what is done.

mod account;
mod contact;
mod evidence;
mod group;
mod talk;

use std::{env, fs};

use hearth_sdk::{GroupEntry, Hearth, Home};

use crate::arguments::{Arguments, Command, Common};
use crate::failure::Failure;
use crate::output::Output;

/// An open home and where results go.
struct Session {
    hearth: Hearth,
    output: Output,
}

/// Run one command.
pub(crate) async fn run(arguments: Arguments, output: Output) -> Result<(), Failure> {
    let home = home(&arguments.common)?;
    let command = arguments.command;
    if let Command::Register(options) = &command {
        return account::register(&home, options, output).await;
    }
    let hearth = Hearth::open(&home).await?;
    let session = Session {
        hearth: hearth.clone(),
        output,
    };
    let done = dispatch(&session, command).await;
    hearth.close().await;
    done
}

async fn dispatch(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        // Signing up has no open home and was done above.
        Command::Register(_) | Command::Account => account::show(session).await,
        Command::Username(action) => account::username(session, action).await,
        Command::Connect { username } => contact::connect(session, &username).await,
        Command::Connections { action } => contact::connections(session, action).await,
        Command::Contacts => contact::list(session).await,
        Command::Group(action) => group::run(session, action).await,
        Command::Evidence(action) => evidence::run(session, action).await,
        Command::Send { group, text, to } => talk::send(session, &group, text, to).await,
        Command::Receive(options) => talk::receive(session, &options).await,
        Command::Chat { group } => talk::chat(session, &group).await,
        Command::History { group, limit } => talk::history(session, &group, limit).await,
    }
}

/// The home, with the passphrase where there is one.
fn home(common: &Common) -> Result<Home, Failure> {
    let home = Home::new(&common.home);
    if let Some(file) = &common.passphrase_file {
        let passphrase = fs::read_to_string(file).map_err(Failure::Passphrase)?;
        return Ok(home.with_passphrase(passphrase.trim_end_matches(['\r', '\n'])));
    }
    Ok(match env::var("HEARTH_PASSPHRASE") {
        Ok(passphrase) if !passphrase.is_empty() => home.with_passphrase(passphrase),
        _ => home,
    })
}

impl Session {
    /// The group of a name. If it is not known, an invitation may be waiting in the queue.
    async fn group(&self, name: &str) -> Result<GroupEntry, Failure> {
        if let Ok(group) = self.known_group(name).await {
            return Ok(group);
        }
        self.hearth.sync().await?;
        self.known_group(name).await
    }

    async fn known_group(&self, name: &str) -> Result<GroupEntry, Failure> {
        let unknown = || Failure::Unknown("group", name.to_owned());
        let id = self.hearth.find_group(name).await.map_err(|_| unknown())?;
        let groups = self.hearth.groups().await?;
        let group = groups.into_iter().find(|group| group.id == id);
        group.ok_or_else(unknown)
    }
}
