//! fetch_welcome_state — spec/delivery.md#fetch_welcome_state

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::codec::Opaque;
use crate::crypto::sealed::{OVERHEAD_BYTES, SymmetricKey};
use crate::entry::LeafLinkKey;
use crate::id::{Epoch, GroupId};
use crate::limit::{PROPOSAL_BYTES_MAX, RATCHET_TREE_BYTES_MAX, STATE_WINDOW_BYTES};

/// A group's identity key, sealed under the MLS exporter of the epoch that joiners enter (label
/// `IDENTITY_KEY_WRAP`), with the group id as associated data.
///
/// ```text
/// opaque SealedIdentityKey[60];
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct SealedIdentityKey {
    /// Nonce, ciphertext, tag.
    pub sealed: [u8; 32 + OVERHEAD_BYTES],
}

/// What a joiner needs of a group.
///
/// ```text
/// struct {
///     opaque ratchet_tree<V>; LeafLinkKey link_keys<V>; SealedIdentityKey identity_key;
///     opaque proposals<V><V>;                  // MLSMessages with a PublicMessage: SelfRemove
/// } GroupState;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct GroupState {
    /// `optional<Node> ratchet_tree<V>`.
    pub ratchet_tree: Opaque<RATCHET_TREE_BYTES_MAX>,
    /// Every member's link key under the identity key.
    pub link_keys: Vec<LeafLinkKey>,
    /// The identity key for this epoch's joiners.
    pub identity_key: SealedIdentityKey,
    /// Wishes to leave that wait, as they were sent: an external commit refers to them, and whoever
    /// makes it may not have heard of them. Empty for those who join by a Welcome.
    pub proposals: Vec<Opaque<PROPOSAL_BYTES_MAX>>,
}

/// A piece of an encoded [`GroupState`], which may be longer than a frame.
///
/// ```text
/// struct { uint32 total; opaque bytes<0..STATE_WINDOW_BYTES>; } StateWindow;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct StateWindow {
    /// Bytes of the whole.
    pub total: u32,
    /// From where the request said, empty beyond the end.
    pub bytes: Opaque<STATE_WINDOW_BYTES>,
}

/// Fetch what a joiner needs beside its Welcome: the state of the epoch that the Welcome leads to,
/// even if the group has moved on. Who has the epoch's state key may have its state.
///
/// ```text
/// struct { GroupId group; Epoch epoch; opaque state_key[32]; uint32 from; } FetchWelcomeState;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct FetchWelcomeState {
    /// The group.
    pub group: GroupId,
    /// The epoch of the Welcome's GroupInfo.
    pub epoch: Epoch,
    /// The MLS exporter of that epoch.
    pub state_key: SymmetricKey,
    /// Where the window begins.
    pub from: u32,
}

/// A window into the state of the epoch.
///
/// ```text
/// struct { StateWindow window; } FetchWelcomeStateReply;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct FetchWelcomeStateReply {
    /// Of the encoded `GroupState`.
    pub window: StateWindow,
}
