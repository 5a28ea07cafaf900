//! Fixed values that vectors are made of.

use std::time::Duration;

use protocol::auth::{ConnectionPackage, ConnectionPackageTbs, SealedConnectionRequest};
use protocol::codec::Opaque;
use protocol::contact::{Contact, FriendshipToken, QualifiedTicket, Ticket};
use protocol::crypto::credential::{
    ClientCredential, ClientCredentialRequest, ClientCredentialTbs, IntermediateCredential,
    RootCredential, ServerKeys, VerifiedServerKeys,
};
use protocol::crypto::delivery_credential::DeliveryCredential;
use protocol::crypto::hpke::{HpkeCiphertext, SealKey};
use protocol::crypto::identity::WrappedLinkKey;
use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::signature::PrivateKey;
use protocol::crypto::signed::Binding;
use protocol::crypto::work::{Challenge, Difficulty, Work};
use protocol::delivery::{Complaint, ComplaintTbs, SealedIdentityKey};
use protocol::id::{
    ClientId, ConnectionPackageId, Domain, GroupId, LeafIndex, Seq, UserAddress, UserId,
    UsernameHash,
};
use protocol::queue::PublishedKeyPackage;
use protocol::receipt::{ChainHash, Receipt};
use protocol::time::{Lifetime, Timestamp};

/// The time at which all samples are valid.
pub(crate) const NOW: Timestamp = Timestamp(1_800_000_000);

/// `first`, `first + 1`, and so on: bytes whose order shows.
pub(crate) fn counting<const N: usize>(first: u8) -> [u8; N] {
    let mut next = first;
    [(); N].map(|()| {
        let byte = next;
        next = next.wrapping_add(1);
        byte
    })
}

pub(crate) fn opaque<const MAX: usize>(bytes: &[u8]) -> Opaque<MAX> {
    Opaque::new(bytes.to_vec()).unwrap()
}

/// The key of the seed that repeats `seed`.
pub(crate) fn private_key(seed: u8) -> PrivateKey {
    PrivateKey::from_seed(&[seed; 32])
}

pub(crate) fn symmetric_key(first: u8) -> SymmetricKey {
    SymmetricKey(counting(first))
}

pub(crate) fn domain() -> Domain {
    "a.example".parse().unwrap()
}

pub(crate) fn binding() -> Binding {
    Binding {
        domain: domain(),
        exporter: counting(0xe0),
    }
}

pub(crate) fn days(days: u64) -> Lifetime {
    Lifetime::starting(NOW, Duration::from_secs(days * 86_400))
}

/// Root key 1, intermediate key 2.
pub(crate) fn server_keys() -> ServerKeys {
    let root = RootCredential::new(domain(), &private_key(1), days(3_000));
    let intermediate =
        IntermediateCredential::new(&root, &private_key(1), &private_key(2), days(300));
    ServerKeys { root, intermediate }
}

pub(crate) fn verified_keys() -> VerifiedServerKeys {
    server_keys().verify(&domain(), NOW).unwrap()
}

/// Client key 3.
pub(crate) fn client_tbs() -> ClientCredentialTbs {
    ClientCredentialTbs {
        user: UserAddress {
            id: UserId(counting(0x10)),
            domain: domain(),
        },
        client: ClientId(counting(0x20)),
        public_key: private_key(3).public_key(),
        lifetime: days(30),
        issuer: verified_keys().issuer(),
    }
}

pub(crate) fn client_request() -> ClientCredentialRequest {
    ClientCredentialRequest::new(client_tbs(), &private_key(3))
}

pub(crate) fn client_credential() -> ClientCredential {
    client_request().sign(&private_key(2))
}

pub(crate) fn ticket() -> Ticket {
    Ticket(counting(0x80))
}

pub(crate) fn qualified_ticket() -> QualifiedTicket {
    QualifiedTicket {
        domain: domain(),
        ticket: ticket(),
    }
}

pub(crate) fn contact() -> Contact {
    Contact {
        credential: client_credential(),
        display_name: opaque(b"Aspen"),
        friendship_token: FriendshipToken(counting(0x30)),
        friendship_key: symmetric_key(0x40),
        ticket: qualified_ticket(),
    }
}

pub(crate) fn username() -> UsernameHash {
    UsernameHash(counting(0x50))
}

/// Signed by the username's key, 4.
pub(crate) fn connection_package(id: u8) -> ConnectionPackage {
    let tbs = ConnectionPackageTbs {
        id: ConnectionPackageId([id; 16]),
        username: username(),
        seal_key: SealKey(counting(id)),
        lifetime: days(30),
    };
    ConnectionPackage::new(tbs, &private_key(4))
}

/// A ciphertext that no key opens.
pub(crate) fn hpke_ciphertext<const MAX: usize>() -> HpkeCiphertext<MAX> {
    HpkeCiphertext {
        encapsulated_key: counting(0x60),
        ciphertext: opaque(&counting::<48>(0x61)),
    }
}

pub(crate) fn sealed_connection_request() -> SealedConnectionRequest {
    SealedConnectionRequest {
        package: ConnectionPackageId([1; 16]),
        sealed: hpke_ciphertext(),
    }
}

pub(crate) fn wrapped_link_key() -> WrappedLinkKey {
    WrappedLinkKey(counting(0x70))
}

pub(crate) fn sealed_identity_key() -> SealedIdentityKey {
    SealedIdentityKey {
        sealed: counting(0x90),
    }
}

pub(crate) fn key_package(byte: u8) -> PublishedKeyPackage {
    PublishedKeyPackage {
        key_package: opaque(&[byte; 40]),
        link_key: wrapped_link_key(),
        ticket: ticket(),
    }
}

/// What a test can afford.
pub(crate) const EASY: Difficulty = Difficulty {
    memory_kib: 8,
    target_bits: 3,
    stamp_bits: 4,
};

/// The key of the server that sets the puzzles.
pub(crate) fn challenge_key() -> SymmetricKey {
    symmetric_key(0xa0)
}

pub(crate) fn challenge() -> Challenge {
    let expires = NOW.after(Duration::from_secs(600));
    Challenge::new(counting(0xb0), expires, EASY, &challenge_key())
}

pub(crate) fn work(purpose: &[u8; 32]) -> Work {
    challenge().solve(purpose, |_| true).unwrap()
}

/// The seed of a member's leaf key.
pub(crate) const LEAF_KEY: u8 = 5;

/// The seed of the delivery service's key.
pub(crate) const DELIVERY_KEY: u8 = 6;

pub(crate) fn group() -> GroupId {
    GroupId(counting(0x01))
}

/// Of the server's intermediate, key 2.
pub(crate) fn delivery_credential() -> DeliveryCredential {
    let ServerKeys { intermediate, .. } = server_keys();
    DeliveryCredential::new(&intermediate, &private_key(2), &private_key(DELIVERY_KEY))
}

/// A receipt of the group's event of this number, for a chain that is none.
pub(crate) fn receipt(number: u8) -> Receipt {
    let chain = ChainHash(counting(number));
    Receipt::sign(
        &private_key(DELIVERY_KEY),
        group(),
        Seq(number.into()),
        chain,
    )
}

/// By leaf 1, about event 1.
pub(crate) fn complaint() -> Complaint {
    let tbs = ComplaintTbs {
        group: group(),
        leaf: LeafIndex(1),
        commit: Seq(1),
        chain: ChainHash(counting(1)),
    };
    Complaint::new(tbs, &private_key(LEAF_KEY))
}
