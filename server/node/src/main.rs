//! `hearthd`: reads the command line, runs the server, stops it.

mod cli;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::process::ExitCode;

use clap::Parser;
use node::init::{Certificate, check, init};
use node::{Config, Error, LogCap, Options, Server, Signals, Wish};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing_subscriber::filter::{DynFilterFn, FilterExt};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use crate::cli::{Cli, Command, Init, Serve};

/// Gives memory back after many connections have gone.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The default port (UDP).
const PORT: u16 = 4_433;
/// The transport logs what peers send; only its own faults are of interest.
const QUIET: &str = "quinn=error,quinn_proto=error,quinn_udp=error,rustls=error";

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(error) = start_log(&cli) {
        return fail(&error);
    }
    let done = match cli.command {
        Command::Serve(options) => serve(options),
        Command::Init(options) => make(options),
        Command::Check(options) => check(&options.config).map(|config| {
            say(&format!(
                "{} is good: serves {}",
                options.config.display(),
                config.domain
            ));
        }),
    };
    done.map_or_else(|error| fail(&error.to_string()), |()| ExitCode::SUCCESS)
}

#[expect(clippy::print_stderr, reason = "this is a command-line program")]
fn fail(what: &str) -> ExitCode {
    eprintln!("hearthd: {what}");
    ExitCode::FAILURE
}

#[expect(clippy::print_stdout, reason = "this is a command-line program")]
fn say(what: &str) {
    println!("{what}");
}

fn start_log(cli: &Cli) -> Result<(), String> {
    let filter = EnvFilter::try_new(format!("{QUIET},{}", cli.log))
        .map_err(|error| format!("--log: {error}"))?;
    // Whatever --log says, no peer decides how much is written. [NODE-LOG-1]
    let cap = LogCap::new();
    let cap = DynFilterFn::new(move |line, _: &Context<'_, Registry>| cap.allows(line.target()))
        .with_callsite_filter(|line| match LogCap::covers(line.target()) {
            true => Interest::sometimes(),
            false => Interest::always(),
        })
        .with_max_level_hint(LevelFilter::TRACE);
    let filter = filter.and(cap);
    let log = fmt::layer().with_writer(std::io::stderr);
    let log = if cli.log_json {
        log.json().with_filter(filter).boxed()
    } else {
        log.with_filter(filter).boxed()
    };
    let started = Registry::default().with(log).try_init();
    started.map_err(|error| error.to_string())
}

fn make(options: Init) -> Result<(), Error> {
    let given = options.certificate.zip(options.certificate_key);
    let certificate = given.map(|(chain, key)| Certificate { chain, key });
    let path = init(&options.dir, &options.domain, certificate)?;
    say(&format!(
        "Wrote {0} and the keys beside it. Keep copies of storage.key and root.key elsewhere: \
         without the first the database is lost, without the second the domain.\n\
         Next: hearthd check --config {0}, then hearthd serve --config {0}",
        path.display()
    ));
    Ok(())
}

fn serve(options: Serve) -> Result<(), Error> {
    let is_json = options.json;
    let options = match &options.config {
        Some(path) => Options::new(Config::load(path)?),
        None => development(options)?,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(Box::pin(run(options, is_json)))
}

fn development(options: Serve) -> Result<Options, Error> {
    let domain = match options.domain {
        Some(domain) => domain,
        None => "localhost".parse().map_err(|_| Error::Value {
            key: "domain",
            what: "localhost is no domain".to_owned(),
        })?,
    };
    let mut listen: Vec<SocketAddr> = options
        .listen
        .into_iter()
        .flat_map(|addresses| addresses.0)
        .collect();
    if listen.is_empty() {
        listen.push((Ipv4Addr::LOCALHOST, PORT).into());
        if UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
            listen.push((Ipv6Addr::LOCALHOST, PORT).into());
        }
    }
    let mut made = Options::dev(domain, listen, options.data.as_deref())?;
    made.config.metrics = options.metrics;
    Ok(made)
}

async fn run(options: Options, is_json: bool) -> Result<(), Error> {
    let mut signals = Signals::watch()?;
    let server = Server::start(options).await?;
    let (address, domain) = (server.local_addr()?, server.domain());
    if is_json {
        say(&format!(
            r#"{{"ready":true,"listen":"{address}","domain":"{domain}"}}"#
        ));
    } else {
        let all: Vec<String> = server.addresses().iter().map(ToString::to_string).collect();
        say(&format!(
            "hearthd serves {domain} on {} (UDP)",
            all.join(", ")
        ));
    }
    tracing::info!("ready");
    loop {
        match signals.next().await {
            Wish::Stop => break,
            Wish::Reload => match server.reload_certificate() {
                Ok(()) => tracing::info!("the certificate was read again"),
                Err(error) => tracing::error!(%error, "the certificate stays as it was"),
            },
        }
    }
    tracing::info!("stopping");
    server.shutdown().await;
    tracing::info!("stopped");
    Ok(())
}
