//! A server under attack and the honest people inside: what they notice of it, and what it costs
//! the server.

pub mod figure;
pub mod ground;
pub mod honest;
pub mod metrics;
pub mod namespace;
pub mod run;
mod warm;
