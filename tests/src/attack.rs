//! The attacks on connections, each a program that tests run at small size and the load generator
//! at full size. What each has to leave alone is part of the program.

mod accounts;
mod acknowledge;
mod dribble;
pub mod fairness;
mod first_packets;
mod floods;
mod frames;
mod handshakes;
mod illegal;
mod inside;
mod migration;
mod pinning;
mod resets;
pub mod soak;
pub mod spin;
mod tokens;

use crate::siege::run::Program;

/// All of them, in the order of their numbers.
#[must_use]
pub fn programs() -> Vec<Program> {
    [
        first_packets::PROGRAMS,
        handshakes::PROGRAMS,
        accounts::PROGRAMS,
        floods::PROGRAMS,
        pinning::PROGRAMS,
        dribble::PROGRAMS,
        resets::PROGRAMS,
        frames::PROGRAMS,
        migration::PROGRAMS,
        acknowledge::PROGRAMS,
        tokens::PROGRAMS,
        illegal::PROGRAMS,
    ]
    .concat()
}

/// One of them.
#[must_use]
pub fn program(id: &str) -> Option<Program> {
    programs().into_iter().find(|program| program.id == id)
}
