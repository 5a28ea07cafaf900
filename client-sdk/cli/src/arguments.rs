//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Talk to people through a Hearth server, end-to-end encrypted.
#[derive(Debug, Parser)]
#[command(name = "hearth", version, about, propagate_version = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// The directory that keeps everything, encrypted
    #[arg(
        long,
        global = true,
        env = "HEARTH_HOME",
        value_name = "DIR",
        default_value = "hearth-home"
    )]
    pub(crate) home: PathBuf,
    /// Print one JSON object a line; the fields are described in JSON.md
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// A file with the home's passphrase, in place of the home's key file; the environment
    /// variable HEARTH_PASSPHRASE does the same
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Sign up with a server
    Register(Register),
    /// Show the account
    Account,
    /// The names that others find you by
    #[command(subcommand)]
    Username(Username),
    /// Ask somebody to become a contact
    Connect {
        /// Their username, as in aspen@localhost
        #[arg(value_name = "USER@DOMAIN")]
        username: String,
    },
    /// List, accept and reject those who want to become contacts
    Connections {
        #[command(subcommand)]
        action: Option<Connections>,
    },
    /// List everybody who can be invited
    Contacts,
    /// Make and change groups
    #[command(subcommand)]
    Group(Group),
    /// What servers were caught at, to show others
    #[command(subcommand)]
    Evidence(Evidence),
    /// Send a message; without a text, every line of the standard input is one
    Send {
        /// The group's name
        group: String,
        /// The message
        text: Option<String>,
        /// To this member alone
        #[arg(long, value_name = "MEMBER")]
        to: Option<String>,
    },
    /// Print what has happened since the last time
    Receive(Receive),
    /// Read and write in a group until the input ends
    Chat {
        /// The group's name
        group: String,
    },
    /// Print the messages of a group
    History {
        /// The group's name
        group: String,
        /// At most this many, the last ones
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Register {
    /// The server, as in localhost:4433
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) server: String,
    /// How contacts see you; no server does
    #[arg(long, value_name = "DISPLAY", default_value = "")]
    pub(crate) name: String,
    /// Certificates (PEM) of authorities to trust besides the platform's
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Username {
    /// Claim a name, or refresh it; costs a proof of work
    Claim {
        /// The name, without @domain
        name: String,
    },
    /// Give a name up
    Release {
        /// The name
        name: String,
    },
    /// Show your names
    Show {
        /// Only this one
        name: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Connections {
    /// List who waits for an answer
    List,
    /// Accept: you are contacts from then on
    Accept(Choice),
    /// Reject: nobody is told
    Reject(Choice),
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Choice {
    /// The request's number as listed, or a unique beginning of the number or of the name
    pub(crate) request: Option<String>,
    /// All that wait
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Group {
    /// Make a group
    Create {
        /// Its name
        name: String,
    },
    /// Open a group for a contact and you alone; it is called after the contact
    Open {
        /// With whom
        contact: String,
    },
    /// List your groups
    List,
    /// List who is in a group
    Members {
        /// The group's name
        group: String,
    },
    /// Bring contacts in; they read what comes after
    Invite {
        /// The group's name
        group: String,
        /// Who
        #[arg(required = true, value_name = "CONTACT")]
        contacts: Vec<String>,
    },
    /// Remove members; they read nothing that comes after
    Remove {
        /// The group's name
        group: String,
        /// Who
        #[arg(required = true, value_name = "MEMBER")]
        members: Vec<String>,
    },
    /// Make members admins, who invite, remove, change roles and delete
    Promote {
        /// The group's name
        group: String,
        /// Who
        #[arg(required = true, value_name = "MEMBER")]
        members: Vec<String>,
    },
    /// Make admins members like others; yourself, too (`me`), while another admin stays
    Demote {
        /// The group's name
        group: String,
        /// Who
        #[arg(required = true, value_name = "MEMBER")]
        members: Vec<String>,
    },
    /// Ask to leave: whoever changes the group next lets you go
    Leave {
        /// The group's name
        group: String,
    },
    /// End a group for everybody
    Delete {
        /// The group's name
        group: String,
    },
    /// Give a group another way into your queue; nobody notices
    Ticket {
        /// The group's name
        group: String,
    },
    /// Renew your keys, and with them the group's
    Update {
        /// The group's name
        group: String,
    },
    /// Call a group by another name, in this home alone
    Rename {
        /// The group's name
        group: String,
        /// The other name
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Evidence {
    /// List all of it
    List,
    /// Print one piece, for others to check
    Show {
        /// Its number
        number: i64,
    },
    /// Check what somebody else was shown
    Check {
        /// A file with what `show` printed
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Receive {
    /// Go on as more happens
    #[arg(long)]
    pub(crate) follow: bool,
    /// Wait for this many messages, then stop
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
    /// Stop after so long; fails if fewer messages came than were to be waited for
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<u64>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn what_a_newcomer_is_told_to_type_is_understood() {
        for line in [
            "hearth --home a register --server localhost:4433",
            "hearth --home a username claim aspen",
            "hearth --home b connect aspen@localhost",
            "hearth --home a connections",
            "hearth --home a connections accept 1",
            "hearth --home a connections accept --all",
            "hearth --home a group create walk",
            "hearth --home a group invite walk birch@localhost",
            "hearth --home a group open birch@localhost",
            "hearth --home a send walk hello",
            "hearth --home a send walk",
            "hearth --home b receive",
            "hearth --home b receive --follow",
            "hearth --home b chat walk",
            "hearth --home a send walk --to birch@localhost hello",
            "hearth --home a group promote walk birch@localhost",
            "hearth --home b group leave walk",
            "hearth --home a group delete walk",
        ] {
            assert!(parse(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn common_options_may_come_last() {
        let arguments = parse("hearth receive --json --count 3 --home b").unwrap();
        assert!(arguments.common.json);
        assert_eq!(arguments.common.home, PathBuf::from("b"));
    }

    #[test]
    fn accepting_needs_one_request_or_all() {
        assert!(parse("hearth connections accept").is_err());
        assert!(parse("hearth connections accept 1 --all").is_err());
    }

    #[test]
    fn inviting_needs_somebody() {
        assert!(parse("hearth group invite walk").is_err());
    }
}
