//! Which certificate a server may show. Spec: sdk.md#trust.
//!
//! | server | accepted |
//! |---|---|
//! | any domain | what the platform's certificate authorities vouch for |
//! | with authorities of the user's choice | what they or the platform's vouch for |
//! | loopback only | the one certificate that was seen first, and none else ever after |

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use ring::digest::{SHA256, digest};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, SignatureScheme};
use rustls_platform_verifier::Verifier;

use crate::error::Error;

/// SHA-256 of a certificate.
pub(crate) type CertificateHash = [u8; 32];

/// How a server's certificate is judged.
#[derive(Clone, Debug)]
pub(crate) enum Judge {
    /// By the platform's authorities and these.
    Authorities(Vec<CertificateDer<'static>>),
    /// By being the pinned one.
    Pinned(Arc<Pin>),
}

/// The one certificate that is accepted, once one has been seen. [SDK-TRUST-1]
#[derive(Debug, Default)]
pub(crate) struct Pin {
    hash: OnceLock<CertificateHash>,
    contradicted: AtomicBool,
}

impl Pin {
    /// Accept this certificate alone.
    pub(crate) fn to(hash: CertificateHash) -> Self {
        Self {
            hash: OnceLock::from(hash),
            contradicted: AtomicBool::new(false),
        }
    }

    /// The certificate, once one has been seen.
    pub(crate) fn hash(&self) -> Option<CertificateHash> {
        self.hash.get().copied()
    }

    /// Whether a server has shown another certificate.
    pub(crate) fn is_contradicted(&self) -> bool {
        self.contradicted.load(Ordering::Relaxed)
    }

    fn accepts(&self, certificate: &CertificateDer<'_>) -> bool {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, certificate).as_ref());
        let accepted = *self.hash.get_or_init(|| hash) == hash;
        self.contradicted.store(!accepted, Ordering::Relaxed);
        accepted
    }
}

impl Judge {
    /// The verifier that TLS asks.
    pub(crate) fn verifier(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ServerCertVerifier>, Error> {
        let provider = Arc::clone(provider);
        Ok(match self {
            Self::Authorities(extra) => Arc::new(
                Verifier::new_with_extra_roots(extra.clone(), provider)
                    .map_err(|error| Error::Certificate(error.to_string()))?,
            ),
            Self::Pinned(pin) => Arc::new(PinVerifier {
                pin: Arc::clone(pin),
                provider,
            }),
        })
    }
}

/// Accepts the pinned certificate from whoever proves to hold its key: the handshake's signature
/// is checked as for any other certificate.
#[derive(Debug)]
struct PinVerifier {
    pin: Arc<Pin>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.pin.accepts(end_entity) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [SDK-TRUST-1]
    #[test]
    fn the_first_certificate_is_accepted_and_no_other_after_it() {
        let (one, other) = (
            CertificateDer::from(vec![1; 40]),
            CertificateDer::from(vec![2; 40]),
        );
        let pin = Pin::default();
        assert!(pin.accepts(&one) && pin.accepts(&one) && !pin.is_contradicted());
        assert!(!pin.accepts(&other) && pin.is_contradicted());
        let reopened = Pin::to(pin.hash().unwrap());
        assert!(reopened.accepts(&one) && !reopened.accepts(&other));
    }
}
