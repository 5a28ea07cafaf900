//! A QUIC client by hand, which sends what a correct one never would: any packet, any frame, any
//! packet number, from any address of this machine.
//!
//! Everything is blocking and meant for a thread of its own. Keys and TLS are those of rustls;
//! packets, frames and acknowledgements are ours.

pub mod client;
pub mod frame;
pub mod initial;
pub mod packet;
pub mod peer;
pub mod socket;
pub mod token;
pub mod wire;
