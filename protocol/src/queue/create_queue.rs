//! create_queue — spec/queue.md#create_queue

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::crypto::hpke::SealKey;
use crate::crypto::label;
use crate::crypto::sealed::{SymmetricKey, hash};
use crate::crypto::signature::PublicKey;
use crate::id::QueueId;

/// Create a queue under a fresh key, signed by that key. Sent again, it is answered the same.
///
/// ```text
/// struct {
///     opaque public_key[32]; opaque seal_key[32]; opaque ratchet_seed[32];
///     opaque friendship_token_hash[32];
/// } CreateQueue;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct CreateQueue {
    /// The queue's key; it signs every request of the owner.
    pub public_key: PublicKey,
    /// Ratchet refreshes are sealed to it.
    pub seal_key: SealKey,
    /// Where the ratchet starts.
    pub ratchet_seed: SymmetricKey,
    /// Who knows the token may take KeyPackages.
    pub friendship_token_hash: [u8; 32],
}

/// The queue exists.
///
/// ```text
/// struct { QueueId queue; } CreateQueueReply;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct CreateQueueReply {
    /// Its id: the first 16 bytes of the public key's hash.
    pub queue: QueueId,
}

/// The id of the queue of a key. [QS-CREATE-1]
#[must_use]
pub fn queue_id(public_key: &PublicKey) -> QueueId {
    let digest = hash(label::QUEUE_ID, &public_key.0);
    let mut id = [0; 16];
    id.copy_from_slice(digest.split_at(16).0);
    QueueId(id)
}
