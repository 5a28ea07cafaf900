//! `hearthd init` and `hearthd check`: makes and checks what a server needs.

use std::fs;
use std::path::{Path, PathBuf};

use protocol::id::Domain;

use crate::config::{Config, Files};
use crate::keys::{self, Keys};
use crate::{Error, clock, tls};

/// The configuration file with a comment for each key; `{…}` is filled in.
const TEMPLATE: &str = include_str!("hearthd.toml");
/// Its name.
const FILE_NAME: &str = "hearthd.toml";

/// A certificate that the operator has already.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The chain, PEM.
    pub chain: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

/// Write a configuration file and all keys into a directory; gives the file's path.
///
/// # Errors
/// A file exists already, or cannot be written. What was written before stays.
pub fn init(
    directory: &Path,
    domain: &Domain,
    certificate: Option<Certificate>,
) -> Result<PathBuf, Error> {
    let path = directory.join(FILE_NAME);
    if path.exists() {
        return Err(Error::Exists { path });
    }
    keys::create_directory(directory)?;
    let mut files = Files::inside(directory);
    keys::create(&files, domain, clock::now())?;
    let (chain, key) = match certificate {
        Some(given) => {
            files.tls_certificate = absolute(&given.chain)?;
            files.tls_key = absolute(&given.key)?;
            tls::load(&files.tls_certificate, &files.tls_key)?;
            (quoted(&files.tls_certificate), quoted(&files.tls_key))
        }
        None => {
            keys::create_certificate(&files, domain)?;
            ("\"tls.crt\"".to_owned(), "\"tls.key\"".to_owned())
        }
    };
    let text = TEMPLATE
        .replace("{domain}", domain.as_str())
        .replace("{tls_certificate}", &chain)
        .replace("{tls_key}", &key);
    keys::write(&path, text.as_bytes(), 0o644)?;
    Ok(path)
}

/// Check a configuration file and all files it names, without touching the database.
///
/// # Errors
/// The first thing that would keep the server from starting.
pub fn check(path: &Path) -> Result<Config, Error> {
    let config = Config::load(path)?;
    Keys::load(&config.files, &config.domain, clock::now())?;
    tls::load(&config.files.tls_certificate, &config.files.tls_key)?;
    Ok(config)
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    fs::canonicalize(path).map_err(|error| Error::File {
        path: path.to_owned(),
        what: format!("cannot be read: {error}"),
    })
}

/// A path as a TOML string.
fn quoted(path: &Path) -> String {
    toml::Value::String(path.to_string_lossy().into_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let domain = "a.example".parse().unwrap();
        let path = init(directory.path(), &domain, None).unwrap();
        (directory, path)
    }

    #[test]
    fn the_file_that_init_writes_passes_the_check_and_has_the_defaults() {
        let (directory, path) = made();
        let config = check(&path).unwrap();
        let files = Files::inside(directory.path());
        let listen = vec!["[::]:4433".parse().unwrap()];
        let mut expected = Config::new("a.example".parse().unwrap(), listen, files);
        expected.metrics = Some("127.0.0.1:9433".parse().unwrap());
        assert_eq!(config, expected);
    }

    #[test]
    fn init_refuses_to_overwrite() {
        let (directory, path) = made();
        let domain = "b.example".parse().unwrap();
        let again = init(directory.path(), &domain, None);
        assert!(matches!(again, Err(Error::Exists { .. })));
        fs::remove_file(&path).unwrap();
        let again = init(directory.path(), &domain, None);
        assert!(
            matches!(again, Err(Error::Exists { .. })),
            "keys are not overwritten either"
        );
    }

    #[test]
    fn a_certificate_that_is_there_is_used() {
        let (directory, _) = made();
        let other = tempfile::tempdir().unwrap();
        let certificate = Certificate {
            chain: directory.path().join("tls.crt"),
            key: directory.path().join("tls.key"),
        };
        let domain = "a.example".parse().unwrap();
        let path = init(other.path(), &domain, Some(certificate)).unwrap();
        let config = check(&path).unwrap();
        assert_eq!(
            config.files.tls_key,
            absolute(&directory.path().join("tls.key")).unwrap()
        );
    }

    #[test]
    fn every_value_of_the_file_has_a_comment() {
        let mut previous = "";
        for line in TEMPLATE.lines().filter(|line| !line.is_empty()) {
            let is_value = line.contains(" = ") && !line.starts_with('#');
            assert!(
                !is_value || previous.starts_with('#'),
                "no comment before: {line}"
            );
            previous = line;
        }
    }
}
