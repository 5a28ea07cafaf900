//! A domain's credentials with one of a client behind them.

use protocol::codec::encode;
use protocol::crypto::credential::{ClientCredential, RootCredential, ServerKeys};
use protocol::crypto::identity::Identity;
use tls_codec::DeserializeBytes;

use crate::canonical;

/// Server keys, then a client credential, verified as if it were their time and domain: only a
/// chain in which everything fits passes. [CRYPTO-CREDENTIAL-1] [CRYPTO-CREDENTIAL-2]
pub fn credential(bytes: &[u8]) {
    canonical::<RootCredential>(bytes);
    canonical::<Identity>(bytes);
    let Ok((keys, rest)) = ServerKeys::tls_deserialize_bytes(bytes) else {
        return;
    };
    let (head, _) = bytes.split_at(bytes.len() - rest.len());
    assert_eq!(encode(&keys), head, "server keys have two encodings");
    let domain = keys.root.tbs.domain.clone();
    let now = keys.intermediate.tbs.lifetime.not_after;
    let Ok(issuer) = keys.verify(&domain, now) else {
        return;
    };
    assert_eq!(issuer.root_fingerprint(), keys.root.fingerprint());
    assert!(issuer.lifetime().is_inside(&keys.root.tbs.lifetime));
    let Some(client) = canonical::<ClientCredential>(rest) else {
        return;
    };
    let now = client.request.tbs.lifetime.not_after;
    if let Ok(verified) = client.verify(&issuer, now) {
        assert_eq!(verified.user().domain, domain, "a client of another domain");
        assert!(
            issuer.lifetime().contains(now),
            "a client outlives its issuer"
        );
    }
}
