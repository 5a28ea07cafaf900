//! The transport against a real QUIC server on loopback.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use protocol::auth::{FetchServerKeys, ReleaseUsername, ReleaseUsernameReply};
use protocol::codec::decode_exact;
use protocol::crypto::label;
use protocol::crypto::signature::PrivateKey;
use protocol::crypto::signed::{Binding, Signed};
use protocol::error::{ErrorCode, ErrorReply};
use protocol::frame::encode as encode_frame;
use protocol::id::UsernameHash;
use protocol::request::{decode_reply, encode_reply, encode_request, encode_signed};
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, ServerConfig};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::{mpsc, watch};

use super::framing::{read_frame, write_frame};
use super::trust::{Judge, Pin};
use super::{Context, Dialer, Lifespan};
use crate::error::Error;

const PATIENCE: Duration = Duration::from_secs(20);

/// What the server does with a request.
enum Answer {
    Reply(Vec<u8>),
    /// These bytes, framed or not.
    Raw(Vec<u8>),
    /// Drop the connection without a word.
    HangUp,
}

struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

fn identity() -> Identity {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    Identity {
        certificate: made.cert.der().clone(),
        key: PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap(),
    }
}

/// Serve requests one after another; `answer` sees each payload with the connection's binding.
fn serve(
    identity: &Identity,
    port: u16,
    mut answer: impl FnMut(Vec<u8>, Binding) -> Answer + Send + 'static,
) -> Endpoint {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![identity.certificate.clone()], identity.key.clone_key())
        .unwrap();
    tls.alpn_protocols = vec![b"hearth/1".to_vec()];
    let config = QuicServerConfig::try_from(tls).unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let endpoint = Endpoint::server(ServerConfig::with_crypto(Arc::new(config)), address).unwrap();
    let accepting = endpoint.clone();
    tokio::spawn(async move {
        while let Some(incoming) = accepting.accept().await {
            let Ok(connection) = incoming.await else {
                continue;
            };
            let mut exporter = [0; 32];
            connection
                .export_keying_material(&mut exporter, label::EXPORTER.as_bytes(), b"")
                .unwrap();
            let domain = "localhost".parse().unwrap();
            let binding = Binding { domain, exporter };
            while let Ok((mut send, mut receive)) = connection.accept_bi().await {
                let payload = read_frame(&mut receive).await.unwrap();
                match answer(payload, binding.clone()) {
                    Answer::Reply(reply) => {
                        write_frame(&mut send, &reply).await.unwrap();
                        send.finish().unwrap();
                    }
                    Answer::Raw(bytes) => {
                        send.write_all(&bytes).await.unwrap();
                        send.finish().unwrap();
                    }
                    Answer::HangUp => {
                        connection.close(quinn::VarInt::from_u32(1), b"");
                        break;
                    }
                }
            }
        }
    });
    endpoint
}

fn context(endpoint: &Endpoint, judge: Judge) -> Context {
    let port = endpoint.local_addr().unwrap().port();
    let server = format!("localhost:{port}").parse().unwrap();
    Context::new(
        Dialer::new(server, judge, Lifespan::UntilIdle).unwrap(),
        watch::Sender::new(0),
    )
}

fn first_seen() -> Judge {
    Judge::Pinned(Arc::new(Pin::default()))
}

fn fetch(_: &Binding) -> Vec<u8> {
    encode_request(&FetchServerKeys {})
}

fn refuse(code: ErrorCode, detail: u64) -> Answer {
    Answer::Reply(encode_reply::<()>(&Err(ErrorReply { code, detail })))
}

#[tokio::test]
async fn a_signature_made_for_the_connection_verifies_on_its_other_side() {
    let key = PrivateKey::from_seed(&[7; 32]);
    let public = key.public_key();
    let server = serve(&identity(), 0, move |payload, binding| {
        let signed: Signed<ReleaseUsername> = decode_exact(&payload[2..]).unwrap();
        match signed.verify(&public, &binding) {
            Ok(_) => Answer::Reply(encode_reply(&Ok(ReleaseUsernameReply {}))),
            Err(_) => refuse(ErrorCode::Denied, 0),
        }
    });
    let request = ReleaseUsername {
        username: UsernameHash([1; 32]),
    };
    let context = context(&server, first_seen());
    let sign = |binding: &Binding| encode_signed(&Signed::new(request, &key, binding));
    let reply = context.exchange(sign, PATIENCE).await.unwrap();
    assert!(
        decode_reply::<ReleaseUsernameReply>(&reply)
            .unwrap()
            .is_ok()
    );
    let other = Binding {
        domain: "localhost".parse().unwrap(),
        exporter: [0; 32],
    };
    let sign = |_: &Binding| encode_signed(&Signed::new(request, &key, &other));
    let reply = context.exchange(sign, PATIENCE).await.unwrap();
    let refusal = decode_reply::<ReleaseUsernameReply>(&reply)
        .unwrap()
        .unwrap_err();
    assert_eq!(refusal.code, ErrorCode::Denied);
}

/// [SDK-RETRY-2]
#[tokio::test]
async fn a_lost_connection_is_replaced_and_the_request_signed_anew() {
    let (seen, mut bindings) = mpsc::unbounded_channel();
    let mut attempts = 0;
    let server = serve(&identity(), 0, move |_, binding| {
        seen.send(binding.exporter).unwrap();
        attempts += 1;
        match attempts {
            1 => Answer::HangUp,
            _ => Answer::Reply(encode_reply(&Ok(()))),
        }
    });
    let (asked, mut signed_for) = mpsc::unbounded_channel();
    let sign = |binding: &Binding| {
        asked.send(binding.exporter).unwrap();
        fetch(binding)
    };
    let context = context(&server, first_seen());
    context.exchange(sign, PATIENCE).await.unwrap();
    for _ in 0..2 {
        assert_eq!(bindings.recv().await, signed_for.recv().await);
    }
    assert!(bindings.try_recv().is_err(), "two attempts were enough");
}

/// [SDK-RETRY-2]
#[tokio::test]
async fn a_busy_server_is_asked_again_and_a_refusal_is_not() {
    let mut refusals = [
        refuse(ErrorCode::Busy, 20),
        refuse(ErrorCode::RateLimited, 20),
        refuse(ErrorCode::Internal, 0),
        refuse(ErrorCode::NotFound, 0),
    ]
    .into_iter();
    let server = serve(&identity(), 0, move |_, _| refusals.next().unwrap());
    let context = context(&server, first_seen());
    let reply = context.exchange(fetch, PATIENCE).await.unwrap();
    let refusal = decode_reply::<()>(&reply).unwrap().unwrap_err();
    assert_eq!(refusal.code, ErrorCode::NotFound);
}

#[tokio::test]
async fn patience_with_a_busy_server_ends() {
    let server = serve(&identity(), 0, |_, _| refuse(ErrorCode::Busy, 60_000));
    let context = context(&server, first_seen());
    let error = context.exchange(fetch, PATIENCE).await.unwrap_err();
    assert!(matches!(error, Error::Refused(refusal) if refusal.code == ErrorCode::Busy));
}

/// [SDK-TRUST-1]
#[tokio::test]
async fn another_certificate_at_a_pinned_address_is_refused() {
    let server = serve(&identity(), 0, |_, _| Answer::Reply(encode_reply(&Ok(()))));
    let judge = first_seen();
    let first = context(&server, judge.clone());
    first.exchange(fetch, PATIENCE).await.unwrap();
    let impostor = serve(&identity(), 0, |_, _| Answer::Reply(encode_reply(&Ok(()))));
    let second = context(&impostor, judge);
    let error = second.exchange(fetch, PATIENCE).await.unwrap_err();
    assert!(matches!(error, Error::CertificateChanged(_)), "{error}");
}

#[tokio::test]
async fn authorities_of_the_users_choice_are_trusted_and_strangers_are_not() {
    let known = identity();
    let server = serve(&known, 0, |_, _| Answer::Reply(encode_reply(&Ok(()))));
    let judge = Judge::Authorities(vec![known.certificate.clone()]);
    let trusting = context(&server, judge);
    trusting.exchange(fetch, PATIENCE).await.unwrap();
    trusting.close().await;
    let judge = Judge::Authorities(vec![identity().certificate]);
    let error = context(&server, judge).exchange(fetch, PATIENCE).await;
    assert!(matches!(error, Err(Error::Certificate(_))), "{error:?}");
}

/// [SDK-ISOLATION-1]
#[tokio::test]
async fn contexts_share_no_connection() {
    let (seen, mut bindings) = mpsc::unbounded_channel();
    let server = serve(&identity(), 0, move |_, binding| {
        seen.send(binding.exporter).unwrap();
        Answer::Reply(encode_reply(&Ok(())))
    });
    let judge = first_seen();
    let contexts = [context(&server, judge.clone()), context(&server, judge)];
    contexts[0].exchange(fetch, PATIENCE).await.unwrap();
    contexts[0].close().await;
    contexts[1].exchange(fetch, PATIENCE).await.unwrap();
    assert_ne!(bindings.recv().await, bindings.recv().await);
}

/// [SDK-FRAME-1]
#[tokio::test]
async fn an_answer_that_is_not_one_frame_is_a_breach_of_protocol() {
    let frame = encode_frame(&encode_reply(&Ok(()))).unwrap();
    let mut padded = frame.clone();
    padded[255] = 1;
    let mut endless = frame.clone();
    endless[2] = 0xff;
    for bytes in [padded, endless, [frame.as_slice(), b"more"].concat()] {
        let server = serve(&identity(), 0, move |_, _| Answer::Raw(bytes.clone()));
        let context = context(&server, first_seen());
        let error = context.exchange(fetch, PATIENCE).await.unwrap_err();
        assert!(matches!(error, Error::Protocol(_)), "{error}");
    }
}
