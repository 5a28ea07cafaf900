//! Every maximum of the protocol, with its reason. Spec: wire.md#limits.
//!
//! Operators may lower them in the configuration; nobody may exceed them.

/// Payload bytes of one frame. Fits the commit that adds a few hundred members with its Welcome.
pub const FRAME_BYTES_MAX: usize = 2 * 1024 * 1024;
/// The smallest frame on the wire, so that short requests look alike.
pub const FRAME_BYTES_MIN: usize = 256;
/// An application message (MLS `PrivateMessage`).
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// A commit (MLS `PublicMessage`).
pub const COMMIT_BYTES_MAX: usize = 1024 * 1024;
/// A Welcome.
pub const WELCOME_BYTES_MAX: usize = 512 * 1024;
/// A GroupInfo without its ratchet tree.
pub const GROUP_INFO_BYTES_MAX: usize = 16 * 1024;
/// A ratchet tree: [`GROUP_MEMBERS_MAX`] leaves of about 900 bytes with their parents.
pub const RATCHET_TREE_BYTES_MAX: usize = 6 * 1024 * 1024;
/// What a joiner fetches of a group: its tree and its link keys.
pub const GROUP_STATE_BYTES_MAX: usize = 7 * 1024 * 1024;
/// The piece of it that one reply carries.
pub const STATE_WINDOW_BYTES: usize = 1024 * 1024;
/// A proposal (MLS `PublicMessage`): nothing longer than a KeyPackage is proposed.
pub const PROPOSAL_BYTES_MAX: usize = 4 * 1024;
/// Proposals that wait for the next commit: each member may leave, the rest waits for its turn.
pub const PENDING_PROPOSALS_MAX: usize = 128;
/// Admins of a group. Their list stays below [`EXTENSIONS_BYTES_MAX`].
pub const GROUP_ADMINS_MAX: usize = 128;
/// A KeyPackage. Ours are about 900 bytes, most of it the sealed identity.
pub const KEY_PACKAGE_BYTES_MAX: usize = 8 * 1024;
/// The extensions of one object together.
pub const EXTENSIONS_BYTES_MAX: usize = 4 * 1024;
/// KeyPackages in one publication, last resort not counted.
pub const KEY_PACKAGES_MAX: usize = 100;
/// Connection packages in one publication, last resort not counted.
pub const CONNECTION_PACKAGES_MAX: usize = 32;
/// Members of a group. Above it a change of the key that seals the state would no longer fit one
/// transaction of the store.
pub const GROUP_MEMBERS_MAX: usize = 5_000;
/// Members added by one commit: their KeyPackages and the Welcome fit a frame.
pub const COMMIT_ADDS_MAX: usize = 1_000;
/// Tickets handed out by one request.
pub const TICKETS_MAX: u16 = 64;
/// The sealed part of a connection request, padded.
pub const CONNECTION_REQUEST_BYTES_MAX: usize = 4 * 1024;
/// Connection requests waiting at one username.
pub const CONNECTION_REQUESTS_PENDING_MAX: usize = 256;
/// Connection requests in one answer.
pub const CONNECTION_REQUESTS_FETCH_MAX: usize = 16;
/// What a ticket's holder may put into one entry: the longest is a commit with its link keys.
pub const PAYLOAD_BYTES_MAX: usize = FRAME_BYTES_MAX - 512 * 1024;
/// A payload that a client puts into a queue itself.
pub const POSTED_PAYLOAD_BYTES_MAX: usize = 8 * 1024;
/// Stored bytes of one entry: a payload with what the queue's ratchet adds.
pub const ENTRY_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + 128 * 1024;
/// Bytes of entries in one frame of a listen stream, unless a single entry is longer.
pub const LISTEN_BATCH_BYTES: usize = 256 * 1024;
/// Entries in one frame of a listen stream.
pub const LISTEN_BATCH_ENTRIES: usize = 1_024;
/// A domain name (RFC 1035 section 2.3.4).
pub const DOMAIN_BYTES_MAX: usize = 253;
/// A username, in bytes of ASCII.
pub const USERNAME_BYTES_MAX: usize = 32;
/// The shortest username.
pub const USERNAME_BYTES_MIN: usize = 3;
/// A display name, in bytes of UTF-8.
pub const DISPLAY_NAME_BYTES_MAX: usize = 128;
/// Days that a client credential may be valid.
pub const CLIENT_CREDENTIAL_DAYS_MAX: u64 = 90;
/// Days that a KeyPackage or a connection package may be valid.
pub const PACKAGE_DAYS_MAX: u64 = 90;
/// Days after which an unrefreshed username is free again.
pub const USERNAME_DAYS: u64 = 90;
/// Clocks may differ by this many seconds.
pub const CLOCK_SKEW_SECONDS: u64 = 3_600;
/// An entry's ratchet is refreshed after this many entries (spec/crypto.md#queue-ratchet).
pub const RATCHET_REFRESH_ENTRIES: u64 = 256;
