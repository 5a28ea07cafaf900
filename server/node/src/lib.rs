//! `hearthd`, the homeserver: everything that touches sockets, files, clocks and signals.
//!
//! ```text
//!          ┌─ front_door ─┐ first packets
//! UDP ─ socket ────────── endpoint ─ admission ─► client ─► stream ─ frames ─► worker ─► engine
//!         steer        quic, tls     budget         │         └─ listen ◄─ hub ◄──┤ wake
//!                       shutdown                 conduct, standing     courier ◄──┘ ship
//!
//!       supervisor ─► behaviour of clients, ledger of memory       worker ─ fairness ─ cpu
//! ```
//!
//! The engine knows nothing of all this; nothing here knows what a request means.

mod accounts;
mod admission;
mod behaviour;
mod budget;
mod buffers;
mod client;
mod clock;
pub mod close;
mod conduct;
pub mod config;
mod courier;
mod cpu;
mod endpoint;
mod error;
mod fairness;
mod frames;
mod front_door;
mod gate;
mod gcra;
mod headcount;
mod hub;
mod identity;
pub mod init;
mod keys;
mod lag;
mod lane;
mod ledger;
mod listen;
mod listener;
mod log_cap;
mod machine;
pub mod measure;
mod metrics;
mod node;
mod places;
mod prefix;
mod quic;
mod server;
mod share;
mod shutdown;
mod sketch;
mod socket;
mod standing;
mod stream;
mod supervisor;
mod sweep;
mod tally;
mod tls;
mod validation;
mod worker;

pub use clock::SystemEntropy;
pub use config::Config;
pub use error::Error;
pub use log_cap::LogCap;
pub use server::{Options, Server};
pub use shutdown::{Signals, Wish};
pub use tls::ALPN;
