//! listen — spec/queue.md#listen

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::entry::NumberedEntry;
use crate::id::{QueueId, Seq};

/// Read a queue from `from` on and go on as items arrive; signed by the queue's key. The stream stays
/// open: frames with [`ListenEvent`]s come, frames with [`Ack`]s go.
///
/// ```text
/// struct { QueueId queue; Seq from; } Listen;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Listen {
    /// The queue.
    pub queue: QueueId,
    /// The first entry wanted; all before are acknowledged.
    pub from: Seq,
}

/// The first frame of the answer.
///
/// ```text
/// struct { Seq next; uint32 key_packages_left; } ListenReply;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ListenReply {
    /// The place that the next item will get.
    pub next: Seq,
    /// KeyPackages left besides the last resort.
    pub key_packages_left: u32,
}

/// Entries in order, without gaps.
///
/// ```text
/// struct { NumberedEntry entries<V>; } Entries;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Entries {
    /// The entries.
    pub entries: Vec<NumberedEntry>,
}

/// Any later frame from the server.
///
/// ```text
/// enum { entries(1), caught_up(2), key_packages_low(3), go_away(4) } ListenEventKind;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
#[repr(u8)]
pub enum ListenEvent {
    /// Entries.
    #[tls_codec(discriminant = 1)]
    Entries(Entries),
    /// Everything before this place has been sent; what follows arrives later.
    #[tls_codec(discriminant = 2)]
    CaughtUp(Seq),
    /// So many KeyPackages are left besides the last resort: publish more.
    #[tls_codec(discriminant = 3)]
    KeyPackagesLow(u32),
    /// The server stops; come back after so many milliseconds.
    #[tls_codec(discriminant = 4)]
    GoAway(u32),
}

/// A frame from the client on a listen stream: all before `next` may be deleted.
///
/// ```text
/// struct { Seq next; } Ack;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Ack {
    /// The first entry that is still needed.
    pub next: Seq,
}
