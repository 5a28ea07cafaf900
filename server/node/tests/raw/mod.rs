//! A QUIC client that sends whatever bytes it is told to.

use std::sync::Arc;

use node::{Options, Server};
use protocol::error::ErrorReply;
use protocol::frame;
use protocol::request::decode_reply;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, ConnectionError, Endpoint, VarInt};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// A server in a temporary directory on any free port.
pub(crate) fn options() -> Options {
    let domain = "localhost".parse().unwrap();
    Options::dev(domain, vec!["127.0.0.1:0".parse().unwrap()], None).unwrap()
}

/// A connection with the endpoint that carries it.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) connection: Connection,
    /// Lives as long as the connection.
    _endpoint: Endpoint,
}

impl Raw {
    pub(crate) async fn connect(server: &Server) -> Self {
        Self::try_connect(server, node::ALPN).await.unwrap()
    }

    pub(crate) async fn try_connect(server: &Server, alpn: &[u8]) -> Result<Self, ConnectionError> {
        let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = server.local_addr().unwrap();
        let config = config(server, vec![alpn.to_vec()]);
        let connecting = endpoint.connect_with(config, address, "localhost").unwrap();
        Ok(Self::of(connecting.await?, endpoint))
    }

    pub(crate) const fn of(connection: Connection, endpoint: Endpoint) -> Self {
        Self {
            connection,
            _endpoint: endpoint,
        }
    }
}

/// What a client needs to know of a server.
pub(crate) fn config(server: &Server, protocols: Vec<Vec<u8>>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(server.certificate()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols;
    ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).unwrap()))
}

/// Send bytes on a stream of their own and end it; the payload of the answer, unless the
/// connection ends.
pub(crate) async fn round_trip(raw: &Raw, bytes: &[u8]) -> Option<Vec<u8>> {
    let (mut send, mut recv) = raw.connection.open_bi().await.ok()?;
    send.write_all(bytes).await.ok()?;
    send.finish().ok()?;
    let reply = recv.read_to_end(1 << 16).await.ok()?;
    Some(frame::decode_exact(&reply).unwrap())
}

/// The decoded answer to some bytes.
pub(crate) async fn request<T: tls_codec::DeserializeBytes>(
    raw: &Raw,
    bytes: &[u8],
) -> Result<T, ErrorReply> {
    decode(&round_trip(raw, bytes).await.expect("the connection stays"))
}

/// Decode the payload of a reply.
pub(crate) fn decode<T: tls_codec::DeserializeBytes>(payload: &[u8]) -> Result<T, ErrorReply> {
    decode_reply(payload).expect("the server speaks the protocol")
}

/// The code with which the peer closed a connection.
pub(crate) fn application_code(error: &ConnectionError) -> Option<VarInt> {
    if let ConnectionError::ApplicationClosed(close) = error {
        Some(close.error_code)
    } else {
        None
    }
}
