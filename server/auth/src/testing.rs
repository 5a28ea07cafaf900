//! What the tests of all operations share: a world with one service, and people with usernames.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use protocol::auth::{
    ClaimUsername, ClaimUsernameReply, ConnectionPackage, ConnectionPackageTbs,
    FetchConnectionRequests, FetchConnectionRequestsReply, PublishConnectionPackages,
    PublishConnectionPackagesReply, RegisterAccount, SealedConnectionRequest,
    SendConnectionRequest, SendConnectionRequestReply,
};
use protocol::codec::Opaque;
use protocol::crypto::credential::{
    ClientCredentialRequest, ClientCredentialTbs, IntermediateCredential, RootCredential,
    ServerKeys, VerifiedServerKeys,
};
use protocol::crypto::hpke::{HpkeCiphertext, SealKey};
use protocol::crypto::sealed::{SymmetricKey, hash};
use protocol::crypto::signature::PrivateKey;
use protocol::crypto::signed::{Binding, Signed};
use protocol::crypto::work::{Difficulty, Work};
use protocol::id::{ClientId, ConnectionPackageId, Domain, Seq, UserAddress, UserId, UsernameHash};
use protocol::time::{Lifetime, Timestamp};
use store::{Entropy, MemoryBackend, Row, StorageKey, Store};

use crate::{Auth, Error, Keys, Policy};

pub(crate) const NOW: Timestamp = Timestamp(1_800_000_000);

/// Entropy that counts: each draw another one, each run the same.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Entropy for Counter {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(32) {
            let count = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            chunk.copy_from_slice(&hash("test entropy", &count)[..chunk.len()]);
        }
    }
}

pub(crate) fn domain() -> Domain {
    "a.example".parse().unwrap()
}

/// One connection; others have another exporter value.
pub(crate) fn binding(exporter: u8) -> Binding {
    Binding {
        domain: domain(),
        exporter: [exporter; 32],
    }
}

fn days(days: u64) -> Lifetime {
    Lifetime::starting(NOW, Duration::from_secs(days * 86_400))
}

pub(crate) struct World {
    pub(crate) auth: Auth,
    pub(crate) entropy: Counter,
    backend: Arc<MemoryBackend>,
}

impl World {
    pub(crate) fn new() -> Self {
        let backend = Arc::new(MemoryBackend::new());
        let storage_key = StorageKey::from_bytes([7; 32]);
        let entropy = Arc::new(Counter::default());
        let store = Store::new(Arc::<MemoryBackend>::clone(&backend), &storage_key, entropy);
        let key = |byte| PrivateKey::from_seed(&[byte; 32]);
        let root = RootCredential::new(domain(), &key(101), days(3_000));
        let intermediate = IntermediateCredential::new(&root, &key(101), &key(102), days(300));
        let keys = Keys {
            server_keys: ServerKeys { root, intermediate },
            intermediate_key: key(102),
            challenge_key: SymmetricKey([9; 32]),
        };
        let policy = Policy {
            registration: Difficulty {
                memory_kib: 8,
                target_bits: 2,
                stamp_bits: 1,
            },
            username: Difficulty {
                memory_kib: 8,
                target_bits: 1,
                stamp_bits: 3,
            },
            challenge_seconds: 600,
            registration_open: true,
        };
        let auth = Auth::new(store, domain(), policy, keys);
        Self {
            auth,
            entropy: Counter::default(),
            backend,
        }
    }

    /// Everything that is stored.
    pub(crate) fn rows(&self) -> Vec<Row> {
        self.backend.rows()
    }

    /// Whether these bytes are anywhere in what is stored.
    pub(crate) fn stores(&self, needle: &[u8]) -> bool {
        let rows = self.rows();
        let mut stored = rows
            .iter()
            .map(|row| [row.key.as_ref(), &row.value].concat());
        stored.any(|row| row.windows(needle.len()).any(|window| window == needle))
    }

    pub(crate) fn issuer(&self) -> VerifiedServerKeys {
        self.auth
            .fetch_server_keys()
            .keys
            .verify(&domain(), NOW)
            .unwrap()
    }

    pub(crate) fn client_request(&self, applicant: &Applicant) -> ClientCredentialRequest {
        let tbs = ClientCredentialTbs {
            user: UserAddress {
                id: applicant.user,
                domain: domain(),
            },
            client: applicant.client,
            public_key: applicant.key.public_key(),
            lifetime: days(applicant.days),
            issuer: self.issuer().issuer(),
        };
        ClientCredentialRequest::new(tbs, &applicant.key)
    }

    pub(crate) fn work_for(&self, client: ClientCredentialRequest) -> RegisterAccount {
        RegisterAccount {
            work: self.solve(&client.work_purpose(), NOW),
            client,
        }
    }

    pub(crate) fn registration(&self, applicant: &Applicant) -> RegisterAccount {
        self.work_for(self.client_request(applicant))
    }

    fn solve(&self, purpose: &[u8; 32], now: Timestamp) -> Work {
        let challenge = self.auth.fetch_challenge(now, &self.entropy).challenge;
        challenge.solve(purpose, |_| true).unwrap()
    }

    /// A claim with its work done.
    pub(crate) fn claim_content(&self, person: &Person, now: Timestamp) -> ClaimUsername {
        let work = self.solve(&[0; 32], now);
        let claim = ClaimUsername {
            work,
            username: person.username,
            public_key: person.key.public_key(),
        };
        ClaimUsername {
            work: self.solve(&claim.work_purpose(), now),
            ..claim
        }
    }

    pub(crate) fn claim(
        &self,
        person: &Person,
        now: Timestamp,
    ) -> Result<ClaimUsernameReply, Error> {
        let request = Signed::new(self.claim_content(person, now), &person.key, &binding(1));
        self.auth
            .claim_username(request, &binding(1), now, &self.entropy)
    }

    /// Publish so many packages, with ids from 0 on, for so many days.
    pub(crate) fn publish(
        &self,
        person: &Person,
        count: u8,
        days: u64,
    ) -> Result<PublishConnectionPackagesReply, Error> {
        let packages = (0..count).map(|id| person.package(id, days)).collect();
        let request = person.publication_for(packages, days);
        self.auth
            .publish_connection_packages(request, &binding(1), NOW, &self.entropy)
    }

    /// Leave the request of this number.
    pub(crate) fn send(
        &self,
        person: &Person,
        number: u16,
    ) -> Result<SendConnectionRequestReply, Error> {
        let sealed = HpkeCiphertext {
            encapsulated_key: [1; 32],
            ciphertext: Opaque::new(number.to_be_bytes().repeat(1_000)).unwrap(),
        };
        let package = ConnectionPackageId([1; 16]);
        let request = SealedConnectionRequest { package, sealed };
        let request = SendConnectionRequest {
            username: person.username,
            request,
        };
        self.auth
            .send_connection_request(request, NOW, &self.entropy)
    }

    pub(crate) fn fetch(
        &self,
        person: &Person,
        from: u64,
        now: Timestamp,
    ) -> Result<FetchConnectionRequestsReply, Error> {
        let request = FetchConnectionRequests {
            username: person.username,
            from: Seq(from),
        };
        let request = Signed::new(request, &person.key, &binding(1));
        self.auth
            .fetch_connection_requests(request, &binding(1), now, &self.entropy)
    }
}

/// Who wants an account.
pub(crate) struct Applicant {
    pub(crate) key: PrivateKey,
    pub(crate) user: UserId,
    pub(crate) client: ClientId,
    pub(crate) days: u64,
}

impl Applicant {
    pub(crate) fn new(number: u8) -> Self {
        Self {
            key: PrivateKey::from_seed(&[number; 32]),
            user: UserId([number; 16]),
            client: ClientId([number; 16]),
            days: 30,
        }
    }
}

/// Who has, or wants, a username.
pub(crate) struct Person {
    pub(crate) key: PrivateKey,
    pub(crate) username: UsernameHash,
}

impl Person {
    pub(crate) fn new(key: u8, username: u8) -> Self {
        let key = PrivateKey::from_seed(&[key; 32]);
        Self {
            key,
            username: UsernameHash([username; 32]),
        }
    }

    pub(crate) fn package(&self, id: u8, lifetime_days: u64) -> ConnectionPackage {
        let tbs = ConnectionPackageTbs {
            id: ConnectionPackageId([id; 16]),
            username: self.username,
            seal_key: SealKey([2; 32]),
            lifetime: days(lifetime_days),
        };
        ConnectionPackage::new(tbs, &self.key)
    }

    /// Signed, with a last resort of the longest life.
    pub(crate) fn publication(
        &self,
        packages: Vec<ConnectionPackage>,
    ) -> Signed<PublishConnectionPackages> {
        self.publication_for(packages, 90)
    }

    fn publication_for(
        &self,
        packages: Vec<ConnectionPackage>,
        days: u64,
    ) -> Signed<PublishConnectionPackages> {
        let last_resort = self.package(255, days);
        let request = PublishConnectionPackages {
            username: self.username,
            packages,
            last_resort,
        };
        Signed::new(request, &self.key, &binding(1))
    }
}
