//! How datagrams reach connections: shards, Retry, tokens and the front door, over loopback.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod raw;
mod wire;

use std::net::UdpSocket;
use std::time::Duration;

use node::config::{FrontDoor, Retry};
use node::{Options, Server, close};
use protocol::auth::{FetchServerKeys, FetchServerKeysReply};
use protocol::frame;
use protocol::request::encode_request;
use tokio::time::timeout;

use crate::raw::{Raw, application_code, request};
use crate::wire::{Client, Meters, Reordering, SameToken};

/// Longer than anything takes that is expected to happen.
const LONG: Duration = Duration::from_secs(20);
/// Long enough for all answers to arrive that were sent.
const SHORT: Duration = Duration::from_millis(300);

/// A server whose meters can be read.
async fn start(change: impl FnOnce(&mut node::Config)) -> (Server, Meters) {
    let options = raw::options();
    start_with(options, change).await
}

async fn start_with(
    mut options: Options,
    change: impl FnOnce(&mut node::Config),
) -> (Server, Meters) {
    let meters = Meters::somewhere();
    options.config.metrics = Some(meters.address);
    change(&mut options.config);
    (Server::start(options).await.unwrap(), meters)
}

async fn is_served(raw: &Raw) -> bool {
    let bytes = frame::encode(&encode_request(&FetchServerKeys {})).unwrap();
    let served = request::<FetchServerKeysReply>(raw, &bytes);
    timeout(LONG, served).await.unwrap().is_ok()
}

/// [NODE-DOOR-1] [NODE-RETRY-1] [NODE-SHARD-1]
#[tokio::test(flavor = "multi_thread")]
async fn every_combination_of_settings_serves_new_connections() {
    for front_door in [FrontDoor::On, FrontDoor::Off, FrontDoor::Auto] {
        for retry in [Retry::Always, Retry::Adaptive, Retry::Never] {
            for shards in [1, 2, 4] {
                let (server, _) = start(|config| {
                    config.transport.front_door = front_door;
                    config.transport.shards = shards;
                    config.connections.retry = retry;
                })
                .await;
                let what = format!("{front_door:?} {retry:?} {shards}");
                for _ in 0..4 {
                    assert!(is_served(&Raw::connect(&server).await).await, "{what}");
                }
                server.shutdown().await;
            }
        }
    }
}

/// [NODE-DOOR-1] [NODE-DOOR-2] [NODE-RETRY-1]
#[tokio::test(flavor = "multi_thread")]
async fn the_front_door_asks_and_then_lets_in() {
    let (server, meters) = start(|config| config.transport.front_door = FrontDoor::On).await;
    let client = Client::new(&server);
    let connection = client.connect(&server).await;
    assert!(is_served(&connection).await);
    assert_eq!(meters.read("hearthd_door_answers_total{what=\"retry\"}"), 1);
    assert_eq!(meters.read("hearthd_door_let_in_total{by=\"token\"}"), 1);
    assert_eq!(meters.read("hearthd_door_let_in_total{by=\"policy\"}"), 0);
    server.shutdown().await;
}

/// [NODE-TOKEN-2] [NODE-RELOAD-1] [NODE-RESTART-1]
#[tokio::test(flavor = "multi_thread")]
async fn a_returning_client_is_not_asked_again_after_a_restart_and_a_new_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let options = || {
        let domain = "localhost".parse().unwrap();
        let listen = vec!["127.0.0.1:0".parse().unwrap()];
        Options::dev(domain, listen, Some(directory.path())).unwrap()
    };
    for front_door in [FrontDoor::On, FrontDoor::Off] {
        let (server, meters) =
            start_with(options(), |config| config.transport.front_door = front_door).await;
        let client = Client::new(&server);
        client.connect_and_take_token(&server).await;
        assert_eq!(meters.read("hearthd_retries_total"), 1);
        server.reload_certificate().unwrap();
        client.connect_and_take_token(&server).await;
        assert_eq!(meters.read("hearthd_retries_total"), 1);
        server.shutdown().await;
        let (server, meters) =
            start_with(options(), |config| config.transport.front_door = front_door).await;
        assert!(is_served(&client.connect(&server).await).await);
        assert_eq!(meters.read("hearthd_retries_total"), 0, "{front_door:?}");
        server.shutdown().await;
    }
}

/// [NODE-TOKEN-2]
#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_once_over_all_shards() {
    for front_door in [FrontDoor::On, FrontDoor::Off] {
        let (server, meters) = start(|config| {
            config.transport.front_door = front_door;
            config.transport.shards = 4;
        })
        .await;
        let client = Client::with_tokens(&server, SameToken::store());
        client.connect_and_take_token(&server).await;
        assert_eq!(meters.read("hearthd_retries_total"), 1);
        let uses = 40;
        for _ in 0..uses {
            assert!(is_served(&client.connect(&server).await).await);
        }
        assert_eq!(
            meters.read("hearthd_retries_total"),
            uses,
            "{front_door:?}: all but one use are asked again"
        );
        server.shutdown().await;
    }
}

/// [NODE-SHARD-1]
#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_address_changes_loses_no_request() {
    for (shards, front_door) in [
        (1, FrontDoor::On),
        (2, FrontDoor::On),
        (4, FrontDoor::On),
        (2, FrontDoor::Off),
        (4, FrontDoor::Off),
    ] {
        let (server, meters) = start(|config| {
            config.transport.front_door = front_door;
            config.transport.shards = shards;
            // A router changes a port now and then, this client with every request.
            config.watch.migrations_per_minute = 10_000;
            config.watch.path_challenges_per_second = 10_000;
            config.strangers.requests = 1_000;
        })
        .await;
        for _ in 0..6 {
            let client = Client::new(&server);
            let connection = client.connect(&server).await;
            for _ in 0..8 {
                assert!(is_served(&connection).await, "{shards} {front_door:?}");
                client.rebind();
            }
            assert!(is_served(&connection).await);
        }
        let unproven = "hearthd_datagrams_lost_total{why=\"unproven\"}";
        assert_eq!(meters.read(unproven), 0, "the address is the same");
        server.shutdown().await;
    }
}

/// [NODE-EGRESS-1]
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_moves_to_another_network_goes_on() {
    let (server, _) = start(|config| config.transport.shards = 2).await;
    let client = Client::new(&server);
    let connection = client.connect(&server).await;
    for network in 2..10 {
        client.move_to([127, 0, 0, network]);
        assert!(is_served(&connection).await, "network {network}");
    }
    server.shutdown().await;
}

/// [NODE-FLOOD-1]
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_from_one_source_is_cut_and_others_are_served() {
    for front_door in [FrontDoor::On, FrontDoor::Off] {
        let (server, meters) = start(|config| {
            config.transport.front_door = front_door;
            config.transport.packets_per_second = 100;
            config.transport.packets_burst = 100;
        })
        .await;
        let connection = Raw::connect(&server).await;
        let address = server.local_addr().unwrap();
        let flood = tokio::task::spawn_blocking(move || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            for number in 0..5_000_u32 {
                let packet = wire::of_connection(number);
                socket.send_to(&packet, address).unwrap();
            }
        });
        assert!(is_served(&connection).await);
        flood.await.unwrap();
        assert!(is_served(&connection).await, "{front_door:?}");
        assert!(meters.read("hearthd_datagrams_lost_total{why=\"flood\"}") > 1_000);
        server.shutdown().await;
    }
}

/// [NODE-DOOR-2]
#[tokio::test(flavor = "multi_thread")]
async fn a_first_flight_of_two_datagrams_arrives_in_either_order() {
    for front_door in [FrontDoor::On, FrontDoor::Off] {
        for retry in [Retry::Always, Retry::Never] {
            let (server, _) = start(|config| {
                config.transport.front_door = front_door;
                config.transport.shards = 4;
                config.connections.retry = retry;
            })
            .await;
            for _ in 0..4 {
                let path = Reordering::to(server.local_addr().unwrap());
                let client = Client::with_long_hello(&server);
                let connection = client.connect_to(path.address).await;
                assert!(is_served(&connection).await, "{front_door:?} {retry:?}");
                assert!(path.reordered() >= 1, "the hello fits one datagram");
            }
            server.shutdown().await;
        }
    }
}

/// [NODE-DOOR-1]
#[tokio::test(flavor = "multi_thread")]
async fn other_versions_are_answered_so_often_and_no_more() {
    for front_door in [FrontDoor::On, FrontDoor::Off] {
        let (server, meters) = start(|config| {
            config.transport.front_door = front_door;
            config.transport.version_answers_per_second = 5;
        })
        .await;
        let address = server.local_addr().unwrap();
        let answers = tokio::task::spawn_blocking(move || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_read_timeout(Some(SHORT)).unwrap();
            for length in [1_199, 1_200, 1_200, 1_200, 1_200, 1_200, 1_200, 1_200] {
                socket
                    .send_to(&wire::of_version([0x0a; 4], length), address)
                    .unwrap();
            }
            let mut buffer = [0; 1_500];
            let mut answers = Vec::new();
            while let Ok(length) = socket.recv(&mut buffer) {
                answers.push(buffer[..length].to_vec());
            }
            answers
        });
        let answers = answers.await.unwrap();
        assert!((1..=6).contains(&answers.len()), "{}", answers.len());
        for answer in answers {
            assert_eq!(answer[1..5], [0; 4], "no version negotiation");
            assert_eq!(answer[answer.len() - 4..], [0, 0, 0, 1]);
            assert!(answer.len() < 100);
        }
        assert!(meters.read("hearthd_datagrams_lost_total{why=\"version\"}") >= 2);
        server.shutdown().await;
    }
}

/// [NODE-DOOR-1]
#[tokio::test(flavor = "multi_thread")]
async fn packets_without_and_with_bad_tokens_get_less_than_they_are() {
    let (server, meters) = start(|config| config.transport.front_door = FrontDoor::On).await;
    let address = server.local_addr().unwrap();
    let flood = tokio::task::spawn_blocking(move || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(SHORT)).unwrap();
        let (mut sent, mut received) = (0, 0);
        for number in 0..400_u32 {
            let token = [number.to_be_bytes(); 16].concat();
            let token = if number % 2 == 0 { &token[..] } else { &[] };
            let packet = wire::initial(number, token);
            sent += socket.send_to(&packet, address).unwrap();
        }
        let mut buffer = [0; 1_500];
        while let Ok(length) = socket.recv(&mut buffer) {
            received += length;
        }
        (sent, received)
    });
    let (sent, received) = flood.await.unwrap();
    assert!(received * 5 < sent, "{received} bytes for {sent}");
    assert_eq!(meters.read("hearthd_door_let_in_total{by=\"token\"}"), 0);
    assert_eq!(meters.read("hearthd_door_let_in_total{by=\"policy\"}"), 0);
    assert!(is_served(&Raw::connect(&server).await).await);
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_is_free_as_soon_as_its_server_has_stopped() {
    let (server, _) = start(|config| config.transport.shards = 4).await;
    let address = server.local_addr().unwrap();
    let connection = Raw::connect(&server).await;
    assert!(is_served(&connection).await);
    server.shutdown().await;
    let closed = timeout(LONG, connection.connection.closed()).await.unwrap();
    assert_eq!(application_code(&closed), Some(close::SHUTDOWN));
    UdpSocket::bind(address).unwrap();
}
