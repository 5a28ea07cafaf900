//! TLS and QUIC settings, and why they are what they are.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use protocol::crypto::sealed::SymmetricKey;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{
    EndpointConfig, IdleTimeout, ServerConfig, TransportConfig, ValidationTokenConfig, VarInt,
};
use quinn_proto::HashedConnectionIdGenerator;
use ring::{hkdf, hmac};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;

use crate::Error;
use crate::config::{Connections, Streams};

/// The protocol's name in the TLS handshake. Spec: wire.md#transport.
pub const ALPN: &[u8] = b"hearth/1";

/// QUIC version 1 and no draft of it.
const QUIC_V1: u32 = 1;
/// Handshake bytes kept out of order. The longest message is a certificate chain.
const CRYPTO_BUFFER_BYTES: usize = 16 * 1_024;
/// How long a client may take to come back with a Retry token.
const RETRY_TOKEN_LIFETIME: Duration = Duration::from_secs(10);
/// First packets that wait for a decision, and their bytes, one by one and together.
const INCOMING_MAX: usize = 1_024;
const INCOMING_BYTES: u64 = 16 * 1_024;
const INCOMING_BYTES_TOTAL: u64 = 4 * 1_024 * 1_024;

const LABEL_RESET: &str = "hearth node 1.0 Stateless Reset";
const LABEL_TOKEN: &str = "hearth node 1.0 Address Token";
const LABEL_CONNECTION_ID: &str = "hearth node 1.0 Connection Id";

/// The keys by which a restarted server knows what it gave out before: clients that still believe
/// in a connection learn at once that it is gone. [NODE-RESTART-1]
#[derive(Clone, Debug)]
pub(crate) struct TransportKeys {
    reset: SymmetricKey,
    token: SymmetricKey,
    connection_id: SymmetricKey,
}

impl TransportKeys {
    /// Derived from the storage key, so that there is no further file to keep.
    pub(crate) fn derive(storage_key: &SymmetricKey) -> Self {
        Self {
            reset: storage_key.derive(LABEL_RESET, &[]),
            token: storage_key.derive(LABEL_TOKEN, &[]),
            connection_id: storage_key.derive(LABEL_CONNECTION_ID, &[]),
        }
    }

    /// Settings of a socket.
    pub(crate) fn endpoint(&self) -> EndpointConfig {
        let [a, b, c, d, e, f, g, h, ..] = self.connection_id.0;
        let id_key = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        let reset = hmac::Key::new(hmac::HMAC_SHA256, &self.reset.0);
        let mut config = EndpointConfig::new(Arc::new(reset));
        config.supported_versions(vec![QUIC_V1]);
        config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(id_key)));
        config
    }
}

/// Read a certificate chain and its key, and make TLS settings of them.
///
/// # Errors
/// The operator's fault: files that are missing, are no PEM, or do not belong together.
pub(crate) fn load(certificate: &Path, key: &Path) -> Result<Arc<QuicServerConfig>, Error> {
    let refuse = |path: &Path, what: String| Error::File {
        path: path.to_owned(),
        what,
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| refuse(certificate, format!("not a PEM certificate chain: {error}")))?;
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| refuse(key, format!("not a PEM private key: {error}")))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| Error::Tls(error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| {
            refuse(
                certificate,
                format!("the certificate cannot be used: {error}"),
            )
        })?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    // Resumption saves a server nothing here, and a ticket would link a client's connections.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.max_early_data_size = 0;
    let config = QuicServerConfig::try_from(config);
    config
        .map(Arc::new)
        .map_err(|error| Error::Tls(error.to_string()))
}

/// All settings of a server's side of connections.
pub(crate) fn server(
    crypto: Arc<QuicServerConfig>,
    keys: &TransportKeys,
    connections: &Connections,
    streams: &Streams,
) -> ServerConfig {
    let token = hkdf::Salt::new(hkdf::HKDF_SHA256, LABEL_TOKEN.as_bytes()).extract(&keys.token.0);
    let mut config = ServerConfig::new(crypto, Arc::new(token));
    let mut validation = ValidationTokenConfig::default();
    validation.sent(1);
    config
        .transport_config(Arc::new(transport(connections, streams)))
        .validation_token_config(validation)
        .retry_token_lifetime(RETRY_TOKEN_LIFETIME)
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size(INCOMING_BYTES)
        .incoming_buffer_size_total(INCOMING_BYTES_TOTAL);
    config
}

/// The settings after the certificate was read again. Everything but it stays, above all the key
/// of the tokens that are out. [NODE-RELOAD-1]
pub(crate) fn with_certificate(
    config: &ServerConfig,
    crypto: Arc<QuicServerConfig>,
) -> ServerConfig {
    let mut config = config.clone();
    config.crypto = crypto;
    config
}

fn transport(connections: &Connections, streams: &Streams) -> TransportConfig {
    let bytes = |bytes: u32| VarInt::from_u32(bytes);
    let idle = VarInt::from_u32(connections.idle_seconds.saturating_mul(1_000));
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(streams.concurrent))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(bytes(streams.receive_window))
        .receive_window(bytes(streams.connection_receive_window))
        .send_window(u64::from(streams.send_window))
        .datagram_receive_buffer_size(None)
        .crypto_buffer_size(CRYPTO_BUFFER_BYTES)
        .max_idle_timeout(Some(IdleTimeout::from(idle)))
        .keep_alive_interval(None);
    config
}
