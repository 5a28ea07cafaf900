//! The command line.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use protocol::id::Domain;

/// A homeserver for end-to-end encrypted messaging.
#[derive(Debug, Parser)]
#[command(name = "hearthd", version, about, max_term_width = 100)]
#[command(after_help = "Examples:
  hearthd serve --dev                                try it: no files needed, localhost:4433
  hearthd serve --dev --data ./data                  the same, and keep everything in ./data
  hearthd init --dir /etc/hearth --domain example.org
  hearthd check --config /etc/hearth/hearthd.toml
  hearthd serve --config /etc/hearth/hearthd.toml
  kill -HUP PID                                      read the certificate again
  kill -TERM PID                                     finish what has begun, then stop")]
pub(crate) struct Cli {
    /// What to log: error, warn, info, debug or trace, or a filter as target=level,…
    #[arg(
        long,
        global = true,
        default_value = "info",
        env = "HEARTHD_LOG",
        value_name = "FILTER"
    )]
    pub(crate) log: String,
    /// Log one JSON object a line.
    #[arg(long, global = true)]
    pub(crate) log_json: bool,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server.
    #[command(after_help = "Examples:
  hearthd serve --dev
  hearthd serve --dev --listen 127.0.0.1:0 --json    any free port; printed as JSON
  hearthd serve --config hearthd.toml --log-json")]
    Serve(Serve),
    /// Write a commented configuration file and all keys. Overwrites nothing.
    #[command(after_help = "Examples:
  hearthd init --domain example.org
  hearthd init --dir /etc/hearth --domain example.org --certificate fullchain.pem --certificate-key privkey.pem")]
    Init(Init),
    /// Say whether a server can start with a configuration file, and if not, why.
    #[command(after_help = "Example:
  hearthd check --config /etc/hearth/hearthd.toml")]
    Check(Check),
}

/// Run the server.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("mode").required(true).args(["dev", "config"]))]
pub(crate) struct Serve {
    /// Run for trying and testing: makes its own keys and certificate, easy proof of work, hardly
    /// any limits on a connection.
    #[arg(long)]
    pub(crate) dev: bool,
    /// Run with a configuration file.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where to listen (UDP); may be repeated; port 0 takes any free one.
    /// [default: port 4433 of 127.0.0.1, and of ::1 if there is IPv6]
    #[arg(long, conflicts_with = "config", value_name = "ADDR", value_parser = addresses)]
    pub(crate) listen: Vec<Addresses>,
    /// Keep keys and database in this directory. [default: a temporary one]
    #[arg(long, conflicts_with = "config", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The domain to serve. [default: localhost]
    #[arg(long, conflicts_with = "config", value_name = "DOMAIN")]
    pub(crate) domain: Option<Domain>,
    /// Serve metrics and health over HTTP here. [default: nowhere]
    #[arg(long, conflicts_with = "config", value_name = "ADDR")]
    pub(crate) metrics: Option<SocketAddr>,
    /// Print one JSON object when ready: {"ready":true,"listen":"…","domain":"…"}
    #[arg(long)]
    pub(crate) json: bool,
}

/// Write a configuration file and all keys.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The directory to write into; made if it is not there.
    #[arg(long, default_value = ".", value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// The domain to serve.
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) domain: Domain,
    /// A certificate chain to use, PEM. [default: one signed by its own key]
    #[arg(long, value_name = "FILE", requires = "certificate_key")]
    pub(crate) certificate: Option<PathBuf>,
    /// The certificate's private key, PEM.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub(crate) certificate_key: Option<PathBuf>,
}

/// Check a configuration file.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The file.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
}

/// What one `--listen` stands for: a name may have several addresses.
#[derive(Clone, Debug)]
pub(crate) struct Addresses(pub(crate) Vec<SocketAddr>);

fn addresses(text: &str) -> Result<Addresses, String> {
    let found = text.to_socket_addrs().map_err(|error| {
        format!("{error}; write an address and a port, as 127.0.0.1:4433 or localhost:4433")
    })?;
    Ok(Addresses(found.collect()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_server_runs_either_for_development_or_by_a_file() {
        assert!(parse("hearthd serve --dev").is_ok());
        assert!(parse("hearthd serve --config hearthd.toml").is_ok());
        assert!(parse("hearthd serve").is_err());
        assert!(parse("hearthd serve --dev --config hearthd.toml").is_err());
        assert!(parse("hearthd serve --config hearthd.toml --data d").is_err());
    }

    #[test]
    fn a_certificate_comes_with_its_key() {
        assert!(parse("hearthd init --domain a.example --certificate c.pem").is_err());
        assert!(parse("hearthd init --domain A!").is_err());
    }
}
