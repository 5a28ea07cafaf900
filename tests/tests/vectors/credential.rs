//! Vectors of the credential chain, with each way to break it, and of sealed identities.

use protocol::codec::{decode_exact, encode};
use protocol::crypto::credential::{
    ClientCredential, ClientCredentialRequest, ClientCredentialTbs, IntermediateCredential,
    RootCredential, ServerKeys,
};
use protocol::crypto::delivery_credential::DeliveryCredential;
use protocol::crypto::identity::{Identity, SealedIdentity, WrappedLinkKey};
use protocol::crypto::signature::PublicKey;
use protocol::id::{ClientId, Fingerprint};
use protocol::time::Timestamp;

use crate::sample::{self, NOW, counting, days, domain, private_key, symmetric_key};
use crate::vector::{Case, Fields, Vector, name};

pub(crate) fn vectors() -> Vec<Vector> {
    vec![
        server_keys(),
        client_credential(),
        delivery_credential(),
        fingerprints(),
        sealed_identity(),
        wrapped_link_key(),
    ]
}

/// [CRYPTO-DELIVERY-1]
fn delivery_credential() -> Vector {
    let at = |name_of_case: &str, credential: &DeliveryCredential, now: Timestamp| {
        let fields = Fields::new()
            .encoded("server_keys", &sample::server_keys())
            .encoded("now", &now);
        Case::new(name_of_case, fields, encode(credential), move |bytes| {
            let credential: DeliveryCredential = decode_exact(bytes).map_err(name)?;
            credential
                .verify(&sample::verified_keys(), now)
                .map_err(name)?;
            Ok(encode(&credential))
        })
    };
    let good = sample::delivery_credential();
    let ServerKeys { intermediate, .. } = sample::server_keys();
    let forged = DeliveryCredential::new(&intermediate, &private_key(9), &private_key(6));
    let mut altered = good.clone();
    altered.tbs.public_key = private_key(7).public_key();
    let mut elsewhere = good.clone();
    elsewhere.tbs.domain = "b.example".parse().unwrap();
    let mut other_issuer = good.clone();
    other_issuer.tbs.issuer = Fingerprint([9; 32]);
    Vector::new(
        "crypto/delivery_credential",
        "crypto.md#delivery-credential",
        "Bytes are a DeliveryCredential. Intermediate key seed 02.., delivery key seed 06...",
        vec![
            at("as signed", &good, NOW),
            at("signed by another key", &forged, NOW).failing("Signature"),
            at("of another key", &altered, NOW).failing("Signature"),
            at("of another domain", &elsewhere, NOW).failing("Domain"),
            at("of another issuer", &other_issuer, NOW).failing("Issuer"),
            at("after it has expired", &good, days(301).not_after).failing("Lifetime"),
        ],
    )
}

/// [CRYPTO-CREDENTIAL-1]
fn server_keys() -> Vector {
    let at = |name_of_case: &str, keys: &ServerKeys, expected: &'static str, now: Timestamp| {
        let fields = Fields::new()
            .bytes("expected_domain", expected)
            .encoded("now", &now);
        Case::new(name_of_case, fields, encode(keys), move |bytes| {
            let keys: ServerKeys = decode_exact(bytes).map_err(name)?;
            keys.verify(&expected.parse().unwrap(), now).map_err(name)?;
            Ok(encode(&keys))
        })
    };
    let case = |name_of_case: &str, keys: &ServerKeys| at(name_of_case, keys, "a.example", NOW);
    let good = sample::server_keys();
    let (root_key, key) = (private_key(1), private_key(2));
    let under = |root: &RootCredential, lifetime| ServerKeys {
        root: root.clone(),
        intermediate: IntermediateCredential::new(root, &root_key, &key, lifetime),
    };
    let mut root_altered = good.clone();
    root_altered.root.tbs.lifetime.not_after = Timestamp(0);
    let mut self_signature_altered = good.clone();
    self_signature_altered.intermediate.self_signature.0[0] ^= 1;
    let mut root_signature_altered = good.clone();
    root_signature_altered.intermediate.signature.0[0] ^= 1;
    let other_root = RootCredential::new(domain(), &root_key, days(2_999));
    let mut other_issuer = good.clone();
    other_issuer.root = other_root;
    let foreign_root = RootCredential::new("b.example".parse().unwrap(), &root_key, days(3_000));
    let longer = under(&good.root, days(3_001));
    let expired = days(301).not_after;
    Vector::new(
        "crypto/server_keys",
        "crypto.md#credentials",
        "Bytes are ServerKeys. Root key seed 01.., intermediate key seed 02...",
        vec![
            case("chain", &good),
            case("root altered", &root_altered).failing("Signature"),
            case(
                "intermediate's self-signature altered",
                &self_signature_altered,
            )
            .failing("Signature"),
            case("root's signature altered", &root_signature_altered).failing("Signature"),
            case("another root of the same key", &other_issuer).failing("Issuer"),
            case("chain of another domain", &under(&foreign_root, days(300))).failing("Domain"),
            at("other domain expected", &good, "b.example", NOW).failing("Domain"),
            case("intermediate outlives the root", &longer).failing("Lifetime"),
            at("before it is valid", &good, "a.example", Timestamp(0)).failing("Lifetime"),
            at(
                "after the intermediate has expired",
                &good,
                "a.example",
                expired,
            )
            .failing("Lifetime"),
        ],
    )
}

/// [CRYPTO-CREDENTIAL-2] [CRYPTO-CREDENTIAL-3]
fn client_credential() -> Vector {
    let at = |name_of_case: &str, credential: ClientCredential, now: Timestamp| {
        let fields = Fields::new()
            .encoded("issuer", &sample::server_keys())
            .encoded("now", &now);
        Case::new(name_of_case, fields, encode(&credential), move |bytes| {
            let credential: ClientCredential = decode_exact(bytes).map_err(name)?;
            credential
                .verify(&sample::verified_keys(), now)
                .map_err(name)?;
            Ok(encode(&credential))
        })
    };
    let issue = |tbs| ClientCredentialRequest::new(tbs, &private_key(3)).sign(&private_key(2));
    let case = |name_of_case: &str, change: fn(&mut ClientCredentialTbs)| {
        let mut tbs = sample::client_tbs();
        change(&mut tbs);
        at(name_of_case, issue(tbs), NOW)
    };
    let mut altered = sample::client_credential();
    altered.request.tbs.client = ClientId([0; 16]);
    let by_other_issuer = sample::client_request().sign(&private_key(9));
    let by_other_self =
        ClientCredentialRequest::new(sample::client_tbs(), &private_key(9)).sign(&private_key(2));
    let expired = days(31).not_after;
    Vector::new(
        "crypto/client_credential",
        "crypto.md#credentials",
        "Bytes are a ClientCredential. Client key seed 03...",
        vec![
            case("credential", |_| ()),
            case("longest lifetime", |tbs| tbs.lifetime = days(90)),
            case("other domain", |tbs| {
                tbs.user.domain = "b.example".parse().unwrap();
            })
            .failing("Domain"),
            case("other issuer", |tbs| tbs.issuer = Fingerprint([0; 32])).failing("Issuer"),
            case("lifetime too long", |tbs| tbs.lifetime = days(91)).failing("Lifetime"),
            case("not valid yet", |tbs| {
                tbs.lifetime.not_before = Timestamp(NOW.0 + 1);
            })
            .failing("Lifetime"),
            case("ends before it begins", |tbs| {
                tbs.lifetime.not_after = Timestamp(0);
            })
            .failing("Lifetime"),
            at("expired", sample::client_credential(), expired).failing("Lifetime"),
            at("altered", altered, NOW).failing("Signature"),
            at("signed by another issuer's key", by_other_issuer, NOW).failing("Signature"),
            at("self-signed by another key", by_other_self, NOW).failing("Signature"),
        ],
    )
}

fn fingerprints() -> Vector {
    let keys = sample::server_keys;
    let root_fields = Fields::new().encoded("credential", &keys().root);
    let intermediate_fields = Fields::new().encoded("credential", &keys().intermediate);
    Vector::new(
        "crypto/fingerprint",
        "crypto.md#credentials",
        "Bytes are the credential's fingerprint.",
        vec![
            Case::computed("root", root_fields, move || {
                encode(&keys().root.fingerprint())
            }),
            Case::computed("intermediate", intermediate_fields, move || {
                encode(&keys().intermediate.fingerprint())
            }),
        ],
    )
}

fn leaf() -> PublicKey {
    private_key(5).public_key()
}

/// [CRYPTO-IDENTITY-1]
fn sealed_identity() -> Vector {
    let link_key = || symmetric_key(0x06);
    let nonce = counting(0x40);
    let credential = sample::client_credential();
    let identity = Identity::new(credential.clone(), &private_key(3), &leaf());
    let forged = Identity::new(credential, &private_key(9), &leaf());
    let case = |name_of_case: &str, identity: &Identity, sealed_for: PublicKey, leaf: PublicKey| {
        let fields = Fields::new()
            .encoded("link_key", &link_key())
            .bytes("nonce", nonce)
            .encoded("leaf_signature_key", &leaf)
            .encoded("identity", identity)
            .encoded("issuer", &sample::server_keys())
            .encoded("now", &NOW);
        let sealed = identity.seal(&link_key(), nonce, &sealed_for).unwrap();
        Case::new(name_of_case, fields, encode(&sealed), move |bytes| {
            let sealed: SealedIdentity = decode_exact(bytes).map_err(name)?;
            let identity = Identity::open(&sealed, &link_key(), &leaf).map_err(name)?;
            identity
                .verify(&leaf, &sample::verified_keys(), NOW)
                .map_err(name)?;
            Ok(encode(&identity.seal(&link_key(), nonce, &leaf).unwrap()))
        })
    };
    let other = private_key(8).public_key();
    let refused = "BadIdentity";
    Vector::new(
        "crypto/sealed_identity",
        "crypto.md#identities",
        "Bytes are a SealedIdentity, as the leaf extension 0xF4E1 holds it.",
        vec![
            case("of the leaf", &identity, leaf(), leaf()),
            case("sealed for another leaf", &identity, leaf(), other).failing(refused),
            case("resealed for another leaf", &identity, other, other).failing(refused),
            case("leaf signed by another key", &forged, leaf(), leaf()).failing(refused),
        ],
    )
}

fn wrapped_link_key() -> Vector {
    let nonce = counting(0x40);
    let under = || symmetric_key(0x07);
    let link_key = || symmetric_key(0x06);
    let case = |name_of_case: &str, leaf_at_hand: PublicKey| {
        let fields = Fields::new()
            .encoded("wrapping_key", &under())
            .bytes("nonce", nonce)
            .encoded("leaf_signature_key", &leaf_at_hand)
            .encoded("link_key", &link_key());
        let wrapped = WrappedLinkKey::seal(&link_key(), &under(), nonce, &leaf());
        Case::new(name_of_case, fields, encode(&wrapped), move |bytes| {
            let wrapped: WrappedLinkKey = decode_exact(bytes).map_err(name)?;
            let link_key = wrapped.open(&under(), &leaf_at_hand).map_err(name)?;
            let again = WrappedLinkKey::seal(&link_key, &under(), nonce, &leaf_at_hand);
            Ok(encode(&again))
        })
    };
    Vector::new(
        "crypto/wrapped_link_key",
        "crypto.md#identities",
        "Bytes are a WrappedLinkKey.",
        vec![
            case("of the leaf", leaf()),
            case("of another leaf", private_key(8).public_key()).failing("BadIdentity"),
        ],
    )
}
