//! Operations of the authentication service. Spec: auth.md.

use argon2::{Algorithm, Argon2, Params, Version};
use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::crypto::label;
use crate::crypto::sealed::hash;
use crate::crypto::signed::Signed;
use crate::id::{Username, UsernameHash};

mod claim_username;
mod fetch_challenge;
mod fetch_connection_requests;
mod fetch_server_keys;
mod publish_connection_packages;
mod register_account;
mod release_username;
mod send_connection_request;
mod take_connection_package;

pub use claim_username::{ClaimUsername, ClaimUsernameReply};
pub use fetch_challenge::{FetchChallenge, FetchChallengeReply};
pub use fetch_connection_requests::{
    FetchConnectionRequests, FetchConnectionRequestsReply, NumberedConnectionRequest,
};
pub use fetch_server_keys::{FetchServerKeys, FetchServerKeysReply};
pub use publish_connection_packages::{
    ConnectionPackage, ConnectionPackageTbs, PublishConnectionPackages,
    PublishConnectionPackagesReply,
};
pub use register_account::{RegisterAccount, RegisterAccountReply};
pub use release_username::{ReleaseUsername, ReleaseUsernameReply};
pub use send_connection_request::{
    SealedConnectionRequest, SendConnectionRequest, SendConnectionRequestReply,
};
pub use take_connection_package::{TakeConnectionPackage, TakeConnectionPackageReply};

/// What the server is told of a username: Argon2id (RFC 9106), 4 MiB, 1 pass, 1 lane, of the name
/// with the domain as salt. Slow, so that a list of hashes is no list of names. [AUTH-USERNAME-1]
///
/// # Errors
/// There is no memory for it.
pub fn username_hash(username: &Username) -> Result<UsernameHash, argon2::Error> {
    let salt = hash(label::USERNAME_HASH, username.domain().as_str().as_bytes());
    let params = Params::new(4 * 1_024, 1, 1, Some(32))?;
    let mut digest = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(
        username.name().as_bytes(),
        &salt,
        &mut digest,
    )?;
    Ok(UsernameHash(digest))
}

/// Every request to the service.
#[derive(Debug, TlsSize, TlsSerialize, TlsDeserializeBytes)]
#[repr(u16)]
pub enum Request {
    /// Fetch the domain's credentials.
    #[tls_codec(discriminant = 0x0101)]
    FetchServerKeys(FetchServerKeys),
    /// Fetch a proof-of-work puzzle.
    #[tls_codec(discriminant = 0x0102)]
    FetchChallenge(FetchChallenge),
    /// Register a user with its first client.
    #[tls_codec(discriminant = 0x0103)]
    RegisterAccount(RegisterAccount),
    /// Claim or refresh a username.
    #[tls_codec(discriminant = 0x0104)]
    ClaimUsername(Signed<ClaimUsername>),
    /// Give a username up.
    #[tls_codec(discriminant = 0x0105)]
    ReleaseUsername(Signed<ReleaseUsername>),
    /// Replace a username's connection packages.
    #[tls_codec(discriminant = 0x0106)]
    PublishConnectionPackages(Signed<PublishConnectionPackages>),
    /// Take one connection package of a username.
    #[tls_codec(discriminant = 0x0107)]
    TakeConnectionPackage(TakeConnectionPackage),
    /// Leave a sealed request at a username.
    #[tls_codec(discriminant = 0x0108)]
    SendConnectionRequest(SendConnectionRequest),
    /// Fetch the requests left at a username.
    #[tls_codec(discriminant = 0x0109)]
    FetchConnectionRequests(Signed<FetchConnectionRequests>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_username_hash_depends_on_name_and_domain() {
        let hash = |text: &str| username_hash(&text.parse().unwrap()).unwrap();
        assert_eq!(hash("aspen@a.example"), hash("aspen@a.example"));
        assert_ne!(hash("aspen@a.example"), hash("aspen@b.example"));
        assert_ne!(hash("aspen@a.example"), hash("birch@a.example"));
    }
}
