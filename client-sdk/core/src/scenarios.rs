//! Stories with several clients and the real services.

mod conversation;
mod crash;
mod distrust;
mod full_queue;
mod race;
