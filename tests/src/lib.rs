//! What end-to-end tests and the load generator speak in: a `hearthd` in a process of its own,
//! bare connections to it, and people on them; and what must hold in a world of them.

pub mod attack;
pub mod clock;
pub mod configuration;
pub mod connection;
pub mod group;
pub mod hostile;
pub mod invariants;
pub mod journal;
pub mod people;
pub mod person;
pub mod process;
pub mod siege;
pub mod stock;
