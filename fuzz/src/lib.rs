//! What is thrown at every place where bytes come in: one function per target, which panics if
//! what it claims does not hold.
//!
//! | target | bytes | claims besides "no panic" |
//! |---|---|---|
//! | [`client_frame()`] | what a client sends on a stream | frames and requests have one encoding |
//! | [`reply()`](reply()) | what a server answers | replies have one encoding |
//! | [`entry()`] | what arrives in a queue, layer by layer | its structures have one encoding |
//! | [`contact()`] | what contacts send each other | its structures have one encoding |
//! | [`credential()`] | server keys, then a client credential | what verifies has the names it was asked for |
//! | [`roundtrip()`] | any structure of the protocol | every structure has one encoding |
//! | [`engine()`](engine()) | payloads, or requests made and changed | a failure changes no row |
//! | [`group()`](group()) | handshakes of a living group, changed and signed again | a failure changes no row and silences nobody |
//!
//! `cargo test --release -p fuzz` replays the corpora in `tests/__fuzz__`, mutations of them, and
//! a bounded number of random inputs. `cargo bolero test client_frame --package fuzz` goes on with
//! libFuzzer. `HEARTH_WRITE_CORPUS=1` on the former adds what `spec/vectors` holds to the corpora.
//!
//! Decoding has no target for its allocations: a counting allocator needs `unsafe`.

mod client_frame;
mod contact;
mod credential;
mod entry;
mod group;
mod reply;
mod roundtrip;
mod server;

pub use client_frame::client_frame;
pub use contact::contact;
pub use credential::credential;
pub use entry::entry;
pub use group::hostile;
pub use group::{group, group_templates, unchanged};
pub use reply::{ANSWERED, reply};
pub use roundtrip::roundtrip;
pub use server::{TEMPLATES, engine, is_granted, script};

use protocol::codec::{decode_exact, encode};
use tls_codec::{DeserializeBytes, Serialize};

/// A target: its name, which is that of its corpus, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("client_frame", client_frame),
    ("reply", reply),
    ("entry", entry),
    ("contact", contact),
    ("credential", credential),
    ("roundtrip", roundtrip),
    ("engine", engine),
    ("group", group),
];

/// Decode all of `bytes`. What decodes is encoded to the same bytes: no structure has two
/// encodings. [WIRE-ENCODING-1] [WIRE-ENCODING-2]
fn canonical<T: DeserializeBytes + Serialize>(bytes: &[u8]) -> Option<T> {
    let value: T = decode_exact(bytes).ok()?;
    assert_eq!(
        encode(&value),
        bytes,
        "{} has two encodings",
        std::any::type_name::<T>()
    );
    Some(value)
}
