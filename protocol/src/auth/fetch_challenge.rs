//! fetch_challenge — spec/auth.md#fetch_challenge

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::crypto::work::Challenge;

/// Fetch a proof-of-work puzzle.
///
/// ```text
/// struct {} FetchChallenge;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct FetchChallenge {}

/// A puzzle as hard as the load demands.
///
/// ```text
/// struct { Challenge challenge; } FetchChallengeReply;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct FetchChallengeReply {
    /// The puzzle.
    pub challenge: Challenge,
}
