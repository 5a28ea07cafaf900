//! claim_username — spec/auth.md#claim_username

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::codec::encode;
use crate::crypto::label;
use crate::crypto::sealed::hash;
use crate::crypto::signature::PublicKey;
use crate::crypto::work::Work;
use crate::id::UsernameHash;
use crate::time::Timestamp;

/// Claim a username under a key of its own, signed by that key; or refresh it.
/// The work's purpose is SHA-256 of `username || public_key` under the label of a fingerprint.
///
/// ```text
/// struct { Work work; UsernameHash username; opaque public_key[32]; } ClaimUsername;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ClaimUsername {
    /// The price.
    pub work: Work,
    /// The name, hashed.
    pub username: UsernameHash,
    /// The name's key; nothing links it to an account.
    pub public_key: PublicKey,
}

impl ClaimUsername {
    /// What the work is for: this name under this key and no other. [AUTH-WORK-3]
    #[must_use]
    pub fn work_purpose(&self) -> [u8; 32] {
        let content = [encode(&self.username), encode(&self.public_key)].concat();
        hash(label::FINGERPRINT, &content)
    }
}

/// The name is the key's.
///
/// ```text
/// struct { Timestamp expires; } ClaimUsernameReply;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ClaimUsernameReply {
    /// Until then, unless refreshed.
    pub expires: Timestamp,
}
