//! `hearthd`, the homeserver: everything that touches sockets, files, clocks and signals.
//!
//! ```text
//! UDP ─ endpoint ─ admission ─► client ─► stream ─ frames ─► worker ─► engine
//!          │ tls                   │         └─ listen ◄─ hub ◄──┤ wake
//!       shutdown                conduct              courier ◄───┘ ship
//! ```
//!
//! The engine knows nothing of all this; nothing here knows what a request means.

mod admission;
mod buffers;
mod client;
mod clock;
pub mod close;
mod conduct;
pub mod config;
mod courier;
mod endpoint;
mod error;
mod frames;
mod gcra;
mod hub;
pub mod init;
mod keys;
mod listen;
mod metrics;
mod node;
mod server;
mod shutdown;
mod stream;
mod tls;
mod worker;

pub use clock::SystemEntropy;
pub use config::Config;
pub use error::Error;
pub use server::{Options, Server};
pub use shutdown::{Signals, Wish};
pub use tls::ALPN;
