//! TLS settings, and why they are what they are.

use std::path::Path;
use std::sync::Arc;

use quinn::crypto::rustls::QuicServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;

use crate::Error;

/// The protocol's name in the TLS handshake. Spec: wire.md#transport.
pub const ALPN: &[u8] = b"hearth/1";

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
