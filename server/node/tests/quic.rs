//! The server over loopback QUIC, with a raw client that also does what no honest client does.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod raw;

use std::time::Duration;

use node::{Options, Server, close};
use protocol::auth::{FetchServerKeys, FetchServerKeysReply};
use protocol::error::ErrorCode;
use protocol::frame;
use protocol::request::encode_request;
use quinn::{ConnectionError, VarInt};
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

/// [WIRE-FRAME-1]
#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_answered_on_its_stream() {
    let (server, raw) = start(|_| ()).await;
    let reply: FetchServerKeysReply = request(&raw, &fetch_server_keys()).await.unwrap();
    let domain = "localhost".parse().unwrap();
    assert_eq!(*server.domain(), domain);
    assert_eq!(reply.keys.root.tbs.domain, domain);
    server.shutdown().await;
}

/// [WIRE-FRAME-1] [WIRE-FRAME-3] [WIRE-REQUEST-1] [NODE-FRAME-2]
#[tokio::test(flavor = "multi_thread")]
async fn bad_frames_get_their_error_and_leave_the_connection_usable() {
    let (server, raw) = start(|_| ()).await;
    let good = fetch_server_keys();
    let altered = |place: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[place] = byte;
        bytes
    };
    let unknown = frame::encode(&[0x7f, 0xff, 0]).unwrap();
    let trailing_in_request =
        frame::encode(&[&encode_request(&FetchServerKeys {})[..], &[0]].concat());
    for (what, bytes, code) in [
        (
            "another version",
            altered(1, 2),
            ErrorCode::UnsupportedVersion,
        ),
        ("too long", altered(2, 0xff), ErrorCode::TooLarge),
        (
            "padding that is not zero",
            altered(255, 1),
            ErrorCode::Malformed,
        ),
        ("cut short", good[..200].to_vec(), ErrorCode::Malformed),
        (
            "cut in the header",
            good[..3].to_vec(),
            ErrorCode::Malformed,
        ),
        (
            "more than a frame",
            [&good[..], &[0]].concat(),
            ErrorCode::Malformed,
        ),
        (
            "an operation that is in no registry",
            unknown,
            ErrorCode::UnknownOperation,
        ),
        (
            "bytes behind the request",
            trailing_in_request.unwrap(),
            ErrorCode::Malformed,
        ),
    ] {
        let error = request::<FetchServerKeysReply>(&raw, &bytes)
            .await
            .unwrap_err();
        assert_eq!(error.code, code, "{what}");
    }
    assert!(request::<FetchServerKeysReply>(&raw, &good).await.is_ok());
    server.shutdown().await;
}

/// [NODE-BUDGET-1] [NODE-CLOSE-1]
#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_charged_until_the_connection_is_closed() {
    let (server, raw) = start(|config| config.budget.misbehaviour = 45).await;
    let malformed = frame::encode(&[1]).unwrap();
    let mut refused = 0;
    while let Some(reply) = round_trip(&raw, &malformed).await {
        assert_eq!(
            raw::decode::<()>(&reply).unwrap_err().code,
            ErrorCode::Malformed
        );
        refused += 1;
        assert!(refused < 10, "the budget never runs out");
    }
    assert!(refused >= 4, "closed after {refused} mistakes");
    let closed = timeout(LONG, raw.connection.closed()).await.unwrap();
    assert_eq!(application_code(&closed), Some(close::MISBEHAVIOUR));
    let other = Raw::connect(&server).await;
    assert!(
        request::<FetchServerKeysReply>(&other, &fetch_server_keys())
            .await
            .is_ok()
    );
    server.shutdown().await;
}

/// [NODE-DEADLINE-2]
#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_frame_is_refused_after_its_deadline() {
    let (server, raw) = start(|config| config.streams.frame_millis = 200).await;
    for cut in [3, 100] {
        let (mut send, mut recv) = raw.connection.open_bi().await.unwrap();
        send.write_all(&fetch_server_keys()[..cut]).await.unwrap();
        let reply = timeout(LONG, recv.read_to_end(1 << 16))
            .await
            .unwrap()
            .unwrap();
        let payload = frame::decode_exact(&reply).unwrap();
        assert_eq!(
            raw::decode::<()>(&payload).unwrap_err().code,
            ErrorCode::Malformed
        );
        let stopped = timeout(LONG, send.stopped()).await.unwrap().unwrap();
        assert_eq!(stopped, Some(close::UNREAD));
    }
    server.shutdown().await;
}

/// [NODE-ADMIT-3]
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_has_so_many_streams_and_no_more() {
    let (server, raw) = start(|config| config.streams.concurrent = 3).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        let (mut send, recv) = raw.connection.open_bi().await.unwrap();
        send.write_all(&fetch_server_keys()).await.unwrap();
        open.push((send, recv));
    }
    assert!(timeout(SHORT, raw.connection.open_bi()).await.is_err());
    let (mut send, mut recv) = open.pop().unwrap();
    send.finish().unwrap();
    recv.read_to_end(1 << 16).await.unwrap();
    assert!(
        timeout(LONG, raw.connection.open_bi())
            .await
            .unwrap()
            .is_ok()
    );
    assert!(timeout(SHORT, raw.connection.open_uni()).await.is_err());
    raw.connection.close(VarInt::from_u32(0), b"");
    server.shutdown().await;
}

/// [NODE-RATE-1]
#[tokio::test(flavor = "multi_thread")]
async fn requests_beyond_the_rate_are_told_when_to_come_back() {
    let (server, raw) = start(|config| {
        config.budget.requests_per_second = 1;
        config.budget.requests_burst = 2;
    })
    .await;
    for _ in 0..2 {
        assert!(
            request::<FetchServerKeysReply>(&raw, &fetch_server_keys())
                .await
                .is_ok()
        );
    }
    let error = request::<FetchServerKeysReply>(&raw, &fetch_server_keys())
        .await
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::RateLimited);
    assert!(
        (1..=1_000).contains(&error.detail),
        "wait {} ms",
        error.detail
    );
    server.shutdown().await;
}

/// [NODE-ADMIT-1]
#[tokio::test(flavor = "multi_thread")]
async fn a_network_with_too_many_connections_is_refused() {
    let (server, raw) = start(|config| config.connections.per_address = 1).await;
    assert!(
        request::<FetchServerKeysReply>(&raw, &fetch_server_keys())
            .await
            .is_ok()
    );
    let refused = Raw::try_connect(&server, node::ALPN).await.unwrap_err();
    assert!(
        matches!(refused, ConnectionError::ConnectionClosed(_)),
        "{refused}"
    );
    raw.connection.close(VarInt::from_u32(0), b"");
    let mut attempts = 0;
    while Raw::try_connect(&server, node::ALPN).await.is_err() {
        attempts += 1;
        assert!(attempts < 1_000, "the place never becomes free");
    }
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_validated_first_where_that_is_asked_for() {
    let (server, raw) =
        start(|config| config.connections.retry = node::config::Retry::Always).await;
    assert!(
        request::<FetchServerKeysReply>(&raw, &fetch_server_keys())
            .await
            .is_ok()
    );
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_protocol_is_refused_in_the_handshake() {
    let (server, _raw) = start(|_| ()).await;
    for alpn in [b"hearth/2".as_slice(), b"h3"] {
        let refused = Raw::try_connect(&server, alpn).await.unwrap_err();
        let ConnectionError::ConnectionClosed(close) = refused else {
            panic!("not refused by TLS: {refused}");
        };
        // RFC 7301: no_application_protocol is alert 120.
        assert_eq!(u64::from(close.error_code), 0x100 + 120);
    }
    server.shutdown().await;
}

/// [NODE-DRAIN-1]
#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_server_finishes_what_has_begun_and_closes_with_its_code() {
    let (server, raw) = start(|_| ()).await;
    let bytes = fetch_server_keys();
    let (mut send, mut recv) = raw.connection.open_bi().await.unwrap();
    send.write_all(&bytes[..100]).await.unwrap();
    // Streams are accepted in order: once this one is answered, the other has been accepted.
    assert!(request::<FetchServerKeysReply>(&raw, &bytes).await.is_ok());
    let stopping = tokio::spawn(server.shutdown());
    assert!(
        timeout(SHORT, raw.connection.closed()).await.is_err(),
        "closed before the reply"
    );
    send.write_all(&bytes[100..]).await.unwrap();
    send.finish().unwrap();
    let reply = timeout(LONG, recv.read_to_end(1 << 16))
        .await
        .unwrap()
        .unwrap();
    let payload = frame::decode_exact(&reply).unwrap();
    assert!(raw::decode::<FetchServerKeysReply>(&payload).is_ok());
    let closed = timeout(LONG, raw.connection.closed()).await.unwrap();
    assert_eq!(application_code(&closed), Some(close::SHUTDOWN));
    timeout(LONG, stopping).await.unwrap().unwrap();
}

/// [NODE-DRAIN-1]
#[tokio::test(flavor = "multi_thread")]
async fn the_grace_period_bounds_a_stop() {
    let (server, raw) = start(|config| config.streams.grace_millis = 200).await;
    let (mut send, _recv) = raw.connection.open_bi().await.unwrap();
    send.write_all(&fetch_server_keys()[..100]).await.unwrap();
    assert!(
        request::<FetchServerKeysReply>(&raw, &fetch_server_keys())
            .await
            .is_ok()
    );
    timeout(Duration::from_secs(5), server.shutdown())
        .await
        .unwrap();
}

/// [NODE-RESTART-1]
#[tokio::test(flavor = "multi_thread")]
async fn keys_stay_across_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let domain: protocol::id::Domain = "localhost".parse().unwrap();
    let started = async |port: u16| {
        let listen = vec![([127, 0, 0, 1], port).into()];
        let options = Options::dev(domain.clone(), listen, Some(directory.path())).unwrap();
        Server::start(options).await.unwrap()
    };
    let keys = async |server: &Server| {
        let raw = Raw::connect(server).await;
        let reply: FetchServerKeysReply = request(&raw, &fetch_server_keys()).await.unwrap();
        (reply.keys.root.fingerprint(), raw)
    };
    let server = started(0).await;
    let (before, _raw) = keys(&server).await;
    let port = server.local_addr().unwrap().port();
    server.shutdown().await;
    let server = started(port).await;
    let (after, _other) = keys(&server).await;
    assert!(before == after, "the root is another one");
    server.shutdown().await;
}

/// [NODE-RELOAD-1]
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_read_again_and_connections_stay() {
    let directory = tempfile::tempdir().unwrap();
    let domain: protocol::id::Domain = "localhost".parse().unwrap();
    let listen = vec!["127.0.0.1:0".parse().unwrap()];
    let options = Options::dev(domain, listen, Some(directory.path())).unwrap();
    let server = Server::start(options).await.unwrap();
    let old = Raw::connect(&server).await;
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(directory.path().join("tls.crt"), made.cert.pem()).unwrap();
    assert!(
        server.reload_certificate().is_err(),
        "the key belongs to the old one"
    );
    std::fs::write(
        directory.path().join("tls.key"),
        made.signing_key.serialize_pem(),
    )
    .unwrap();
    server.reload_certificate().unwrap();
    let new = Raw::connect(&server).await;
    for raw in [&old, &new] {
        assert!(
            request::<FetchServerKeysReply>(raw, &fetch_server_keys())
                .await
                .is_ok()
        );
    }
    server.shutdown().await;
}
