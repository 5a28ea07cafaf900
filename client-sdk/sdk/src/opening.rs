//! From a home to its core and its way to the server.

use std::path::PathBuf;
use std::sync::Arc;

use client_core::Core;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::address::ServerAddress;
use crate::client::{SETTING_AUTHORITIES, SETTING_PIN, SETTING_SERVER};
use crate::error::Error;
use crate::home::Home;
use crate::transport::{Judge, Pin, Transport};

/// A file of certificate authorities is not longer.
const AUTHORITIES_BYTES_MAX: u64 = 1024 * 1024;

/// How to sign up.
#[derive(Clone, Debug)]
pub struct RegisterOptions {
    /// Where.
    pub server: ServerAddress,
    /// How to be shown to contacts; may be empty. Servers never see it.
    pub display_name: String,
    /// Whose word to take for the server's certificate.
    pub trust: Trust,
}

/// Whose word to take for a server's certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// The platform's authorities; at a loopback address whatever is seen first, and from then on
    /// that alone.
    #[default]
    Usual,
    /// Besides the platform's, the authorities in this PEM file.
    Authorities(PathBuf),
}

/// Whether a home may be made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opening {
    Create,
    Existing,
}

pub(crate) async fn open_core(home: &Home, opening: Opening) -> Result<Core, Error> {
    let path = home.path().to_owned();
    let key = match opening {
        Opening::Create => home.create()?,
        Opening::Existing => home.key()?,
    };
    let opened = tokio::task::spawn_blocking(move || Core::open(&path, &key));
    Ok(opened.await.map_err(|_| Error::Closed)??)
}

pub(crate) fn stored_transport(core: &Core) -> Result<Transport, Error> {
    let server = core.setting(SETTING_SERVER)?.unwrap_or_default();
    let server = String::from_utf8(server).map_err(|_| Error::BadAddress)?;
    let server: ServerAddress = server.parse()?;
    let authorities = core.setting(SETTING_AUTHORITIES)?.unwrap_or_default();
    let pin = core.setting(SETTING_PIN)?.unwrap_or_default();
    let judge = if !authorities.is_empty() {
        Judge::Authorities(parse_authorities(&authorities)?)
    } else if server.is_loopback() {
        let pin = <[u8; 32]>::try_from(pin).map_or_else(|_| Pin::default(), Pin::to);
        Judge::Pinned(Arc::new(pin))
    } else {
        Judge::Authorities(Vec::new())
    };
    Ok(Transport::new(server, judge))
}

pub(crate) async fn read_authorities(path: PathBuf) -> Result<Vec<u8>, Error> {
    let failed = |error| Error::File(path.clone(), Arc::new(error));
    let length = tokio::fs::metadata(&path).await.map_err(failed)?.len();
    if length > AUTHORITIES_BYTES_MAX {
        return Err(Error::BadFile(path, "too long for certificates"));
    }
    let pem = tokio::fs::read(&path).await.map_err(failed)?;
    match parse_authorities(&pem) {
        Ok(found) if !found.is_empty() => Ok(pem),
        _ => Err(Error::BadFile(path, "no certificates in PEM form")),
    }
}

fn parse_authorities(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>();
    certificates.map_err(|error| Error::Certificate(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn core(settings: &[(&str, &[u8])]) -> Core {
        let mut core = Core::open_in_memory().unwrap();
        for (name, value) in settings {
            core.set_setting(name, value).unwrap();
        }
        core
    }

    fn judge(settings: &[(&str, &[u8])]) -> Judge {
        stored_transport(&core(settings)).unwrap().judge().clone()
    }

    /// [SDK-TRUST-2]
    #[test]
    fn only_a_loopback_address_is_trusted_for_being_first() {
        let local = judge(&[(SETTING_SERVER, b"localhost:1")]);
        assert!(matches!(local, Judge::Pinned(pin) if pin.hash().is_none()));
        let remote = judge(&[
            (SETTING_SERVER, b"hearth.example:1"),
            (SETTING_PIN, &[7; 32]),
        ]);
        assert!(matches!(remote, Judge::Authorities(extra) if extra.is_empty()));
    }

    /// [SDK-TRUST-1]
    #[test]
    fn a_stored_pin_is_the_one_certificate_that_is_accepted() {
        let settings: [(&str, &[u8]); 2] =
            [(SETTING_SERVER, b"localhost:1"), (SETTING_PIN, &[7; 32])];
        assert!(matches!(judge(&settings), Judge::Pinned(pin) if pin.hash() == Some([7; 32])));
    }

    #[tokio::test]
    async fn a_file_without_certificates_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        std::fs::write(&path, "no certificate").unwrap();
        let error = read_authorities(path.clone()).await.unwrap_err();
        assert!(matches!(error, Error::BadFile(named, _) if named == path));
    }
}
