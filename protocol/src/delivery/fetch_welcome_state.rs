//! fetch_welcome_state — spec/delivery.md#fetch_welcome_state

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::codec::Opaque;
use crate::crypto::sealed::{OVERHEAD_BYTES, SymmetricKey};
use crate::entry::LeafLinkKey;
use crate::id::{Epoch, GroupId};
use crate::limit::RATCHET_TREE_BYTES_MAX;

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

/// Fetch what a joiner needs beside its Welcome: the state of the epoch that the Welcome leads to,
/// even if the group has moved on. Who has the epoch's state key may have its state.
///
/// ```text
/// struct { GroupId group; Epoch epoch; opaque state_key[32]; } FetchWelcomeState;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct FetchWelcomeState {
    /// The group.
    pub group: GroupId,
    /// The epoch of the Welcome's GroupInfo.
    pub epoch: Epoch,
    /// The MLS exporter of that epoch.
    pub state_key: SymmetricKey,
}

/// The public state of the epoch.
///
/// ```text
/// struct {
///     opaque ratchet_tree<V>; LeafLinkKey link_keys<V>; SealedIdentityKey identity_key;
/// } FetchWelcomeStateReply;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct FetchWelcomeStateReply {
    /// `optional<Node> ratchet_tree<V>`.
    pub ratchet_tree: Opaque<RATCHET_TREE_BYTES_MAX>,
    /// Every member's link key under the identity key.
    pub link_keys: Vec<LeafLinkKey>,
    /// The identity key for this epoch's joiners.
    pub identity_key: SealedIdentityKey,
}
