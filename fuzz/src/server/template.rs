//! A request of each operation that the prepared world would grant, as far as none needs MLS.

use std::time::Duration;

use protocol::auth::{
    ClaimUsername, ConnectionPackage, ConnectionPackageTbs, FetchChallenge,
    FetchConnectionRequests, FetchServerKeys, PublishConnectionPackages, RegisterAccount,
    ReleaseUsername, SealedConnectionRequest, SendConnectionRequest, TakeConnectionPackage,
};
use protocol::codec::{Opaque, decode_exact, encode};
use protocol::contact::{FriendshipToken, QualifiedTicket};
use protocol::crypto::credential::{ClientCredentialRequest, ClientCredentialTbs};
use protocol::crypto::hpke::{HpkeCiphertext, SealKey};
use protocol::crypto::identity::WrappedLinkKey;
use protocol::crypto::label;
use protocol::crypto::sealed::{SymmetricKey, hash};
use protocol::crypto::signature::PrivateKey;
use protocol::crypto::signed::{Binding, Signed};
use protocol::crypto::work::Work;
use protocol::delivery::{
    CommitGroup, Complain, Complaint, ComplaintTbs, CreateGroup, DeleteGroup, FetchExternalState,
    FetchWelcomeState, JoinGroup, Propose, RequestGroupId, SealedIdentityKey, SendMessage,
    SendToMember, UpdateTicket, WelcomeForAdded,
};
use protocol::id::{
    ClientId, ConnectionPackageId, Epoch, GroupId, LeafIndex, LinkId, QueueId, Seq, UserAddress,
    UserId, UsernameHash,
};
use protocol::queue::{
    CreateQueue, Listen, PostEntry, PublishKeyPackages, PublishedKeyPackage, TakeKeyPackage,
    TakeTickets, queue_id,
};
use protocol::receipt::ChainHash;
use protocol::request::{Operation, encode_signed};
use protocol::time::Lifetime;
use tls_codec::{DeserializeBytes, Serialize};

use crate::server::world::{NOW, World};

const CLIENT: u8 = 3;
const OWNER: u8 = 4;
const LEAF: u8 = 5;
const QUEUE: u8 = 6;

/// How many templates there are: one for each operation.
pub const TEMPLATES: u8 = 27;

/// A request before it is signed.
pub(super) struct Template {
    /// The body's encoding.
    pub(super) body: Vec<u8>,
    finish: Finish,
    seed: u8,
}

type Finish = fn(&[u8], &PrivateKey, &Binding) -> Option<Vec<u8>>;

impl Template {
    /// The payload with `body` in place of the template's own; none if it is signed and no body.
    pub(super) fn payload(&self, body: &[u8], binding: &Binding) -> Option<Vec<u8>> {
        (self.finish)(body, &private_key(self.seed), binding)
    }
}

fn unsigned<T: Operation + Serialize>(body: &T) -> Template {
    Template {
        body: encode(body),
        finish: |body, _, _| Some([T::CODE.to_be_bytes().as_slice(), body].concat()),
        seed: 0,
    }
}

fn signed<T: Operation + Serialize + DeserializeBytes>(body: &T, seed: u8) -> Template {
    Template {
        body: encode(body),
        finish: |body, key, binding| {
            let body: T = decode_exact(body).ok()?;
            Some(encode_signed(&Signed::new(body, key, binding)))
        },
        seed,
    }
}

/// All of them, in the order of their numbers.
pub(super) fn all(world: &World) -> Vec<Template> {
    vec![
        unsigned(&FetchServerKeys {}),
        fetch_challenge(world),
        register_account(world),
        claim_username(world),
        signed(
            &ReleaseUsername {
                username: username(),
            },
            OWNER,
        ),
        publish_connection_packages(),
        unsigned(&TakeConnectionPackage {
            username: username(),
        }),
        send_connection_request(),
        signed(
            &FetchConnectionRequests {
                username: username(),
                from: Seq(0),
            },
            OWNER,
        ),
        unsigned(&RequestGroupId {}),
        create_group(world),
        commit_group(),
        send_message(),
        fetch_welcome_state(),
        send_to_member(),
        propose(),
        unsigned(&FetchExternalState {
            group: group(),
            state_key: SymmetricKey([0x11; 32]),
            from: 0,
        }),
        join_group(world),
        update_ticket(world),
        delete_group(),
        complain(),
        create_queue(world),
        take_tickets(world),
        publish_key_packages(world),
        unsigned(&TakeKeyPackage {
            ticket: world.ticket,
            token: token(),
        }),
        signed(
            &Listen {
                queue: queue(),
                from: Seq(0),
            },
            QUEUE,
        ),
        post_entry(world),
    ]
}

pub(super) fn fetch_challenge(_: &World) -> Template {
    unsigned(&FetchChallenge {})
}

fn register_account(world: &World) -> Template {
    let tbs = ClientCredentialTbs {
        user: UserAddress {
            id: UserId([0x10; 16]),
            domain: world.binding.domain.clone(),
        },
        client: ClientId([0x20; 16]),
        public_key: private_key(CLIENT).public_key(),
        lifetime: lifetime(),
        issuer: world.issuer,
    };
    let client = ClientCredentialRequest::new(tbs, &private_key(CLIENT));
    let purpose = hash(label::FINGERPRINT, &encode(&client));
    unsigned(&RegisterAccount {
        work: work(world, &purpose),
        client,
    })
}

pub(super) fn claim_username(world: &World) -> Template {
    let (username, public_key) = (username(), private_key(OWNER).public_key());
    let purpose = hash(label::FINGERPRINT, &[username.0, public_key.0].concat());
    let body = ClaimUsername {
        work: work(world, &purpose),
        username,
        public_key,
    };
    signed(&body, OWNER)
}

fn publish_connection_packages() -> Template {
    let package = |id| {
        let tbs = ConnectionPackageTbs {
            id: ConnectionPackageId([id; 16]),
            username: username(),
            seal_key: SealKey([id; 32]),
            lifetime: lifetime(),
        };
        ConnectionPackage::new(tbs, &private_key(OWNER))
    };
    let body = PublishConnectionPackages {
        username: username(),
        packages: vec![package(1), package(2)],
        last_resort: package(3),
    };
    signed(&body, OWNER)
}

fn send_connection_request() -> Template {
    unsigned(&SendConnectionRequest {
        username: username(),
        request: SealedConnectionRequest {
            package: ConnectionPackageId([1; 16]),
            sealed: HpkeCiphertext {
                encapsulated_key: [0x60; 32],
                ciphertext: opaque(48),
            },
        },
    })
}

fn create_group(world: &World) -> Template {
    let body = CreateGroup {
        group: group(),
        state_key: SymmetricKey([0x11; 32]),
        group_info: opaque(48),
        ratchet_tree: opaque(80),
        ticket: QualifiedTicket {
            domain: world.binding.domain.clone(),
            ticket: world.ticket,
        },
        link_key: WrappedLinkKey([0x70; 60]),
        identity_key: SealedIdentityKey { sealed: [0x90; 60] },
    };
    signed(&body, LEAF)
}

fn commit_group() -> Template {
    let body = CommitGroup {
        group: group(),
        sender: LeafIndex(0),
        state_key: SymmetricKey([0x11; 32]),
        next_state_key: SymmetricKey([0x12; 32]),
        commit: opaque(100),
        group_info: opaque(48),
        welcome: WelcomeForAdded { welcome: opaque(0) },
        added: Vec::new(),
        identity_key: SealedIdentityKey { sealed: [0x90; 60] },
    };
    signed(&body, LEAF)
}

fn send_message() -> Template {
    let body = SendMessage {
        group: group(),
        sender: LeafIndex(0),
        epoch: Epoch(0),
        state_key: SymmetricKey([0x11; 32]),
        message: opaque(90),
    };
    signed(&body, LEAF)
}

fn fetch_welcome_state() -> Template {
    unsigned(&FetchWelcomeState {
        group: group(),
        epoch: Epoch(0),
        state_key: SymmetricKey([0x11; 32]),
        from: 0,
    })
}

fn send_to_member() -> Template {
    let body = SendToMember {
        group: group(),
        sender: LeafIndex(0),
        epoch: Epoch(0),
        state_key: SymmetricKey([0x11; 32]),
        recipient: LeafIndex(1),
        message: opaque(90),
    };
    signed(&body, LEAF)
}

fn propose() -> Template {
    let body = Propose {
        group: group(),
        sender: LeafIndex(0),
        epoch: Epoch(0),
        state_key: SymmetricKey([0x11; 32]),
        proposal: opaque(80),
    };
    signed(&body, LEAF)
}

fn join_group(world: &World) -> Template {
    let body = JoinGroup {
        group: group(),
        epoch: Epoch(0),
        state_key: SymmetricKey([0x11; 32]),
        next_state_key: SymmetricKey([0x12; 32]),
        commit: opaque(100),
        group_info: opaque(48),
        ticket: QualifiedTicket {
            domain: world.binding.domain.clone(),
            ticket: world.ticket,
        },
        link_key: WrappedLinkKey([0x70; 60]),
        identity_key: SealedIdentityKey { sealed: [0x90; 60] },
        proof: None,
    };
    signed(&body, LEAF)
}

fn update_ticket(world: &World) -> Template {
    let body = UpdateTicket {
        group: group(),
        sender: LeafIndex(0),
        epoch: Epoch(0),
        state_key: SymmetricKey([0x11; 32]),
        ticket: QualifiedTicket {
            domain: world.binding.domain.clone(),
            ticket: world.ticket,
        },
    };
    signed(&body, LEAF)
}

fn delete_group() -> Template {
    let body = DeleteGroup {
        group: group(),
        sender: LeafIndex(0),
        epoch: Epoch(0),
        state_key: SymmetricKey([0x11; 32]),
        message: opaque(90),
    };
    signed(&body, LEAF)
}

fn complain() -> Template {
    let tbs = ComplaintTbs {
        group: group(),
        leaf: LeafIndex(0),
        commit: Seq(1),
        chain: ChainHash([0x44; 32]),
    };
    let body = Complain {
        group: group(),
        epoch: Epoch(0),
        state_key: SymmetricKey([0x11; 32]),
        complaint: Complaint::new(tbs, &private_key(LEAF)),
    };
    signed(&body, LEAF)
}

pub(super) fn create_queue(_: &World) -> Template {
    let body = CreateQueue {
        public_key: private_key(QUEUE).public_key(),
        seal_key: SealKey([9; 32]),
        ratchet_seed: SymmetricKey([0x22; 32]),
        friendship_token_hash: token().hash(),
    };
    signed(&body, QUEUE)
}

pub(super) fn take_tickets(_: &World) -> Template {
    signed(
        &TakeTickets {
            queue: queue(),
            count: 2,
        },
        QUEUE,
    )
}

fn publish_key_packages(world: &World) -> Template {
    let package = || PublishedKeyPackage {
        key_package: opaque(40),
        link_key: WrappedLinkKey([0x70; 60]),
        ticket: world.ticket,
    };
    let body = PublishKeyPackages {
        queue: queue(),
        packages: vec![package()],
        last_resort: package(),
    };
    signed(&body, QUEUE)
}

fn post_entry(world: &World) -> Template {
    unsigned(&PostEntry {
        ticket: world.ticket,
        link: LinkId([0x24; 16]),
        seq: Seq(1),
        payload: opaque(50),
    })
}

fn private_key(seed: u8) -> PrivateKey {
    PrivateKey::from_seed(&[seed; 32])
}

fn username() -> UsernameHash {
    UsernameHash([0x50; 32])
}

fn token() -> FriendshipToken {
    FriendshipToken([0x30; 32])
}

fn queue() -> QueueId {
    queue_id(&private_key(QUEUE).public_key())
}

fn group() -> GroupId {
    GroupId([1; 16])
}

fn lifetime() -> Lifetime {
    Lifetime::starting(NOW, Duration::from_secs(30 * 86_400))
}

fn opaque<const MAX: usize>(length: usize) -> Opaque<MAX> {
    Opaque::new(vec![0x61; length.min(MAX)]).unwrap_or_default()
}

/// Work for the world's challenge.
fn work(world: &World, purpose: &[u8; 32]) -> Work {
    #[expect(clippy::expect_used, reason = "the world's puzzles are easy")]
    world
        .challenge
        .solve(purpose, |_| true)
        .expect("easy work is solved")
}
