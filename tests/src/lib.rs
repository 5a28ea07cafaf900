//! What end-to-end tests and the load generator speak in: a `hearthd` in a process of its own,
//! bare connections to it, and people on them.

pub mod configuration;
pub mod connection;
pub mod group;
pub mod people;
pub mod person;
pub mod process;
