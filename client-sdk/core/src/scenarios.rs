//! Stories with several clients and the real services.

mod acceptance;
mod connection_group;
mod conversation;
mod crash;
mod create_group;
mod damage;
mod delete_group;
mod distrust;
mod entrance;
mod full_queue;
mod garbler;
mod invitation;
mod order;
mod proof;
mod propose;
mod race;
mod repeat;
mod revert;
mod role;
mod send_to_member;
mod stranger;
mod update_ticket;
