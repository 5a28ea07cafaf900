//! What is on the wire between Hearth's clients and servers. No I/O, no clock, no async.
//!
//! | module | holds |
//! |---|---|
//! | [`frame`] | length-bounded frames, padded to size buckets |
//! | [`request`] | the request and reply envelopes, access modes, the dispatch enum |
//! | [`auth`] | authentication service: accounts, usernames, connection requests |
//! | [`delivery`] | delivery service: groups |
//! | [`queue`] | queueing service: queues, tickets, KeyPackages |
//! | [`entry`] | what arrives in a queue |
//! | [`receipt`] | the numbered, chained, signed order of a group's events |
//! | [`evidence`] | what shows third parties that a service lied about that order |
//! | [`group_policy`] | roles in a group |
//! | [`path`] | whom a commit's path is for, and whether it is right |
//! | [`contact`] | what two people exchange to become contacts |
//! | [`crypto`] | which construction is for what |
//! | [`id`], [`time`], [`error`], [`limit`], [`codec`] | the vocabulary |
//!
//! The normative text is in `spec/`; every structure shows its presentation-language block.

pub mod auth;
pub mod codec;
pub mod contact;
pub mod crypto;
pub mod delivery;
pub mod entry;
pub mod error;
pub mod evidence;
pub mod frame;
pub mod group_policy;
pub mod id;
pub mod limit;
pub mod path;
pub mod pseudonym;
pub mod queue;
pub mod receipt;
pub mod request;
pub mod time;
