//! The operator's key files: made once, readable by the server alone, never in the database.
//!
//! | file | holds |
//! |---|---|
//! | `storage.key` | the storage key, 32 random bytes: opens the database |
//! | `root.key` | the seed of the domain's root key; may be kept elsewhere |
//! | `intermediate.key` | the seed of the key that signs clients |
//! | `server.keys` | the credentials of both, which everybody may see |
//! | `tls.crt`, `tls.key` | certificate chain and private key, PEM |
//!
//! All but the last two are hexadecimal digits on one line.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::Secrets;
use protocol::codec::{decode_exact, encode};
use protocol::crypto::credential::{IntermediateCredential, RootCredential, ServerKeys};
use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::signature::PrivateKey;
use protocol::id::Domain;
use protocol::time::{Lifetime, Timestamp};
use store::{Entropy, StorageKey};
use zeroize::Zeroizing;

use crate::Error;
use crate::clock::SystemEntropy;
use crate::config::Files;
use crate::quic::TransportKeys;

/// How long a new root is valid.
const ROOT_LIFETIME: Duration = Duration::from_secs(20 * 365 * 86_400);
/// How long a new intermediate is valid; less than its root, or it would outlive it.
const INTERMEDIATE_LIFETIME: Duration = Duration::from_secs(10 * 365 * 86_400);
/// Permission bits of group and others.
const OTHERS: u32 = 0o077;

/// What a server needs of its key files.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) storage: StorageKey,
    pub(crate) secrets: Secrets,
    pub(crate) transport: TransportKeys,
}

impl Keys {
    /// Read the key files.
    ///
    /// # Errors
    /// The operator's fault: a file that is missing, open to others, or not what it should be.
    pub(crate) fn load(files: &Files, domain: &Domain, now: Timestamp) -> Result<Self, Error> {
        let storage = read_secret(&files.storage_key)?;
        let intermediate = PrivateKey::from_seed(&*read_secret(&files.intermediate_key)?);
        let path = &files.server_keys;
        let server_keys: ServerKeys = decode_exact(&read_hex(path)?).map_err(|_| {
            refuse(
                path,
                "does not hold server keys; restore it or run init anew",
            )
        })?;
        let verified = server_keys.verify(domain, now).map_err(|error| {
            refuse(
                path,
                &format!("the keys are not usable for {domain}: {error}"),
            )
        })?;
        drop(verified);
        if server_keys.intermediate.tbs.public_key != intermediate.public_key() {
            let what = format!("does not belong to {}", path.display());
            return Err(refuse(&files.intermediate_key, &what));
        }
        let storage_key = SymmetricKey(*storage);
        Ok(Self {
            storage: StorageKey::from_bytes(*storage),
            transport: TransportKeys::derive(&storage_key),
            secrets: Secrets {
                storage_key,
                server_keys,
                intermediate_key: intermediate,
            },
        })
    }
}

/// Make a directory that nobody else can read, unless it is there.
pub(crate) fn create_directory(path: &Path) -> Result<(), Error> {
    let created = DirBuilder::new().recursive(true).mode(0o700).create(path);
    created.map_err(|error| refuse(path, &format!("cannot be created: {error}")))
}

/// Make all key files, and a self-signed certificate. None may exist.
///
/// # Errors
/// A file exists, or cannot be written.
pub(crate) fn create(files: &Files, domain: &Domain, now: Timestamp) -> Result<(), Error> {
    let storage = seed();
    let root_seed = seed();
    let intermediate_seed = seed();
    let root_key = PrivateKey::from_seed(&root_seed);
    let intermediate_key = PrivateKey::from_seed(&intermediate_seed);
    let root = RootCredential::new(
        domain.clone(),
        &root_key,
        Lifetime::starting(now, ROOT_LIFETIME),
    );
    let lifetime = Lifetime::starting(now, INTERMEDIATE_LIFETIME);
    let intermediate = IntermediateCredential::new(&root, &root_key, &intermediate_key, lifetime);
    let server_keys = ServerKeys { root, intermediate };
    write_secret(&files.storage_key, &storage)?;
    write_secret(&files.root_key(), &root_seed)?;
    write_secret(&files.intermediate_key, &intermediate_seed)?;
    write(
        &files.server_keys,
        hex(&encode(&server_keys)).as_bytes(),
        0o644,
    )
}

/// Make a certificate that is signed by its own key, for the domain and this machine's loopback.
///
/// # Errors
/// A file exists, or cannot be written.
pub(crate) fn create_certificate(files: &Files, domain: &Domain) -> Result<(), Error> {
    let mut names = vec![domain.to_string()];
    for loopback in ["localhost", "127.0.0.1", "::1"] {
        if loopback != domain.as_str() {
            names.push(loopback.to_owned());
        }
    }
    let made = rcgen::generate_simple_self_signed(names);
    let made = made.map_err(|error| Error::Tls(format!("no certificate can be made: {error}")))?;
    write(&files.tls_certificate, made.cert.pem().as_bytes(), 0o644)?;
    let key = Zeroizing::new(made.signing_key.serialize_pem());
    write(&files.tls_key, key.as_bytes(), 0o600)
}

fn seed() -> Zeroizing<[u8; 32]> {
    let mut seed = Zeroizing::new([0; 32]);
    SystemEntropy.fill(&mut *seed);
    seed
}

fn refuse(path: &Path, what: &str) -> Error {
    Error::File {
        path: path.to_owned(),
        what: what.to_owned(),
    }
}

fn write_secret(path: &Path, seed: &[u8; 32]) -> Result<(), Error> {
    write(path, Zeroizing::new(hex(seed)).as_bytes(), 0o600)
}

/// Write a file that is not there, so that it survives a crash.
pub(crate) fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), Error> {
    let mut options = OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(mode).open(path);
    let written = opened.and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    written.map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            Error::Exists {
                path: path.to_owned(),
            }
        } else {
            refuse(path, &format!("cannot be written: {error}"))
        }
    })
}

/// Read 32 secret bytes from a file that nobody else may read. [NODE-KEYS-1]
fn read_secret(path: &Path) -> Result<Zeroizing<[u8; 32]>, Error> {
    let metadata = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if metadata.mode() & OTHERS != 0 {
        let what = format!("others may read it; run: chmod 600 {}", path.display());
        return Err(refuse(path, &what));
    }
    let bytes = read_hex(path)?;
    let seed = <[u8; 32]>::try_from(bytes.as_slice());
    seed.map(Zeroizing::new)
        .map_err(|_| refuse(path, "does not hold 64 hexadecimal digits"))
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    refuse(path, &format!("cannot be read: {error}"))
}

fn read_hex(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    let text = Zeroizing::new(text);
    let digits: Option<Zeroizing<Vec<u8>>> = text
        .trim()
        .chars()
        .map(|digit| {
            digit
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        })
        .collect::<Option<Vec<u8>>>()
        .map(Zeroizing::new);
    let digits =
        digits.ok_or_else(|| refuse(path, "holds something else than hexadecimal digits"))?;
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(refuse(path, "holds an odd number of hexadecimal digits"));
    }
    Ok(Zeroizing::new(
        pairs.iter().map(|[high, low]| high << 4 | low).collect(),
    ))
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len() + 1);
    for nibble in bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
        text.extend(char::from_digit(u32::from(nibble), 16));
    }
    text.push('\n');
    text
}

impl Files {
    /// The files of a server whose keys and data are all in one directory.
    pub(crate) fn inside(directory: &Path) -> Self {
        let inside = |name: &str| -> PathBuf { directory.join(name) };
        Self {
            database: inside("db"),
            storage_key: inside("storage.key"),
            intermediate_key: inside("intermediate.key"),
            server_keys: inside("server.keys"),
            tls_certificate: inside("tls.crt"),
            tls_key: inside("tls.key"),
        }
    }

    /// Where a new root key goes: beside the intermediate's.
    pub(crate) fn root_key(&self) -> PathBuf {
        self.intermediate_key.with_file_name("root.key")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::clock;

    fn made() -> (tempfile::TempDir, Files, Domain) {
        let directory = tempfile::tempdir().unwrap();
        let files = Files::inside(directory.path());
        let domain: Domain = "a.example".parse().unwrap();
        create(&files, &domain, clock::now()).unwrap();
        (directory, files, domain)
    }

    #[test]
    fn keys_that_were_made_can_be_loaded_for_their_domain_only() {
        let (_directory, files, domain) = made();
        let keys = Keys::load(&files, &domain, clock::now()).unwrap();
        assert!(
            keys.secrets
                .server_keys
                .verify(&domain, clock::now())
                .is_ok()
        );
        let other = "b.example".parse().unwrap();
        assert!(matches!(
            Keys::load(&files, &other, clock::now()),
            Err(Error::File { .. })
        ));
    }

    #[test]
    fn keys_are_never_overwritten() {
        let (_directory, files, domain) = made();
        let again = create(&files, &domain, clock::now());
        assert!(matches!(again, Err(Error::Exists { .. })));
    }

    /// [NODE-KEYS-1]
    #[test]
    fn a_secret_that_others_may_read_is_refused() {
        let (_directory, files, domain) = made();
        assert_eq!(
            fs::metadata(&files.storage_key).unwrap().mode() & 0o777,
            0o600
        );
        fs::set_permissions(&files.storage_key, fs::Permissions::from_mode(0o640)).unwrap();
        let refused = Keys::load(&files, &domain, clock::now()).unwrap_err();
        assert!(refused.to_string().contains("chmod 600"), "{refused}");
    }

    #[test]
    fn a_key_of_another_server_is_refused() {
        let (_directory, files, domain) = made();
        let (_other_directory, other, _) = made();
        fs::remove_file(&files.intermediate_key).unwrap();
        fs::copy(&other.intermediate_key, &files.intermediate_key).unwrap();
        assert!(matches!(
            Keys::load(&files, &domain, clock::now()),
            Err(Error::File { .. })
        ));
    }

    #[test]
    fn hexadecimal_digits_mean_the_same_after_a_round_trip() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let bytes: Vec<u8> = (0..=255).collect();
        write(&path, hex(&bytes).as_bytes(), 0o600).unwrap();
        assert_eq!(*read_hex(&path).unwrap(), bytes);
    }
}
