//! What a connection may do before and after it has shown whose it is, over loopback QUIC.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod raw;

use std::time::Duration;

use node::{Server, close};
use protocol::auth::{FetchServerKeys, FetchServerKeysReply};
use protocol::crypto::hpke::OpenKey;
use protocol::crypto::label;
use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::signature::PrivateKey;
use protocol::crypto::signed::{Binding, Signed};
use protocol::frame;
use protocol::queue::{CreateQueue, CreateQueueReply};
use protocol::request::{encode_request, encode_signed};
use tokio::time::timeout;

use crate::raw::{Raw, application_code, options, request, round_trip};

/// Longer than anything takes that is expected to happen.
const LONG: Duration = Duration::from_secs(20);
/// Long enough to believe that something does not happen.
const SHORT: Duration = Duration::from_millis(300);

async fn start(change: impl FnOnce(&mut node::Config)) -> (Server, Raw) {
    let mut options = options();
    change(&mut options.config);
    let server = Server::start(options).await.unwrap();
    let raw = Raw::connect(&server).await;
    (server, raw)
}

fn fetch_server_keys() -> Vec<u8> {
    frame::encode(&encode_request(&FetchServerKeys {})).unwrap()
}

/// Create a queue under a key that follows from `seed`, and so show whose the connection is.
async fn create_queue(raw: &Raw, seed: u8) {
    let mut exporter = [0; 32];
    raw.connection
        .export_keying_material(&mut exporter, label::EXPORTER.as_bytes(), b"")
        .unwrap();
    let binding = Binding {
        domain: "localhost".parse().unwrap(),
        exporter,
    };
    let key = PrivateKey::from_seed(&[seed; 32]);
    let create = CreateQueue {
        public_key: key.public_key(),
        seal_key: OpenKey::from_seed([seed; 32]).seal_key().unwrap(),
        ratchet_seed: SymmetricKey([seed; 32]),
        friendship_token_hash: [seed; 32],
    };
    let framed = frame::encode(&encode_signed(&Signed::new(create, &key, &binding))).unwrap();
    request::<CreateQueueReply>(raw, &framed).await.unwrap();
}

/// [NODE-DEADLINE-3]
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_does_not_show_whose_it_is_is_closed() {
    let (server, raw) = start(|config| config.streams.first_request_millis = 500).await;
    assert!(
        request::<FetchServerKeysReply>(&raw, &fetch_server_keys())
            .await
            .is_ok()
    );
    let closed = timeout(LONG, raw.connection.closed()).await.unwrap();
    assert_eq!(application_code(&closed), Some(close::IDLE_STRANGER));
    let raw = Raw::connect(&server).await;
    create_queue(&raw, 1).await;
    let stays = timeout(4 * SHORT, raw.connection.closed()).await;
    assert!(stays.is_err(), "one that has shown its key stays");
    server.shutdown().await;
}

/// [NODE-STRANGER-1]
#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_has_few_requests() {
    let (server, raw) = start(|config| config.strangers.requests = 3).await;
    for _ in 0..3 {
        assert!(round_trip(&raw, &fetch_server_keys()).await.is_some());
    }
    assert!(round_trip(&raw, &fetch_server_keys()).await.is_none());
    let closed = timeout(LONG, raw.connection.closed()).await.unwrap();
    assert_eq!(application_code(&closed), Some(close::SPENT_STRANGER));
    let raw = Raw::connect(&server).await;
    create_queue(&raw, 1).await;
    for _ in 0..10 {
        assert!(round_trip(&raw, &fetch_server_keys()).await.is_some());
    }
    server.shutdown().await;
}

/// [NODE-ADMIT-6]
#[tokio::test(flavor = "multi_thread")]
async fn a_pseudonym_has_a_few_connections_and_the_oldest_goes() {
    let (server, oldest) = start(|config| config.connections.per_identity = 2).await;
    let other = Raw::connect(&server).await;
    create_queue(&other, 9).await;
    create_queue(&oldest, 1).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let raw = Raw::connect(&server).await;
        create_queue(&raw, 1).await;
        held.push(raw);
    }
    let closed = timeout(LONG, oldest.connection.closed()).await.unwrap();
    assert_eq!(application_code(&closed), Some(close::DISPLACED));
    for raw in held.iter().chain([&other]) {
        assert!(round_trip(raw, &fetch_server_keys()).await.is_some());
    }
    server.shutdown().await;
}

/// [NODE-ADMIT-5]
#[tokio::test(flavor = "multi_thread")]
async fn those_who_have_shown_whose_they_are_leave_room_at_their_address() {
    let (server, raw) = start(|config| config.connections.per_address = 1).await;
    create_queue(&raw, 1).await;
    let mut held = vec![raw];
    for seed in 2..6 {
        let raw = Raw::connect(&server).await;
        create_queue(&raw, seed).await;
        held.push(raw);
    }
    let _stranger = Raw::connect(&server).await;
    assert!(Raw::try_connect(&server, node::ALPN).await.is_err());
    server.shutdown().await;
}

/// [NODE-MEMORY-2] [NODE-MEMORY-3]
#[tokio::test(flavor = "multi_thread")]
async fn strangers_make_room_when_memory_is_short() {
    const CONNECTION: usize = 36 * 1_024;
    let (server, raw) = start(|config| {
        // The fourth connection brings memory to red, and none comes in before.
        config.memory.bytes = 4 * CONNECTION;
        config.memory.yellow_percent = 99;
        config.memory.red_percent = 99;
    })
    .await;
    create_queue(&raw, 1).await;
    let mut strangers = Vec::new();
    for _ in 0..3 {
        strangers.push(Raw::connect(&server).await);
    }
    let closed = timeout(LONG, strangers[0].connection.closed())
        .await
        .unwrap();
    assert_eq!(application_code(&closed), Some(close::EVICTED));
    assert!(round_trip(&raw, &fetch_server_keys()).await.is_some());
    server.shutdown().await;
}
