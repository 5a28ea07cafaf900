//! Where a client keeps its state, and the key that it is encrypted under.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use client_core::HomeKey;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::error::Error;

/// The file of a home's key.
const KEY_FILE: &str = "key";
/// Bytes of a key.
const KEY_BYTES: usize = 32;

/// A directory with everything that one client knows, encrypted. [SDK-HOME-1]
///
/// The key is the file `key` in it, readable by its owner alone, unless a passphrase takes its
/// place: then nothing in the directory opens it.
///
/// ```
/// let home = hearth_sdk::Home::new("/tmp/aspen");
/// assert_eq!(home.path().to_str(), Some("/tmp/aspen"));
/// let guarded = hearth_sdk::Home::new("/tmp/birch").with_passphrase("correct horse");
/// # drop(guarded);
/// ```
#[derive(Debug)]
pub struct Home {
    path: PathBuf,
    passphrase: Option<HomeKey>,
}

impl Home {
    /// The home in a directory, which need not exist yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            passphrase: None,
        }
    }

    /// The same home, encrypted under a passphrase in place of a key file.
    #[must_use]
    pub fn with_passphrase(self, passphrase: impl Into<String>) -> Self {
        Self {
            passphrase: Some(HomeKey::Passphrase(passphrase.into())),
            ..self
        }
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Make the directory and the key, where they are not there yet.
    pub(crate) fn create(&self) -> Result<HomeKey, Error> {
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.path);
        made.map_err(|error| self.failed(&self.path, error))?;
        let key_file = self.path.join(KEY_FILE);
        if self.passphrase.is_none() && !key_file.exists() {
            let mut key = Zeroizing::new([0; KEY_BYTES]);
            let filled = SystemRandom::new().fill(key.as_mut_slice());
            filled.map_err(|_| client_core::Error::Crypto)?;
            write_durably(&key_file, key.as_slice())
                .map_err(|error| self.failed(&key_file, error))?;
        }
        self.key()
    }

    /// The key of a home that exists.
    pub(crate) fn key(&self) -> Result<HomeKey, Error> {
        if let Some(key) = &self.passphrase {
            if !self.path.is_dir() {
                return Err(Error::NotRegistered(self.path.clone()));
            }
            return Ok(key.clone());
        }
        let key_file = self.path.join(KEY_FILE);
        let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_BYTES + 1));
        let limit = u64::try_from(KEY_BYTES + 1).unwrap_or(u64::MAX);
        match File::open(&key_file).and_then(|file| file.take(limit).read_to_end(&mut bytes)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::NotRegistered(self.path.clone()));
            }
            Err(error) => return Err(self.failed(&key_file, error)),
        }
        let key: Result<[u8; KEY_BYTES], _> = bytes.as_slice().try_into();
        match key {
            Ok(key) => Ok(HomeKey::Raw(key)),
            Err(_) => Err(Error::BadFile(key_file, "not a key: it must have 32 bytes")),
        }
    }

    fn failed(&self, path: &Path, error: io::Error) -> Error {
        Error::File(path.to_owned(), Arc::new(error))
    }
}

/// Write a whole file that only its owner can read, or none.
fn write_durably(path: &Path, content: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// [SDK-HOME-1]
    #[test]
    fn a_key_is_made_once_and_only_its_owner_can_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().join("a"));
        assert!(matches!(home.key(), Err(Error::NotRegistered(_))));
        home.create().unwrap();
        let key_file = home.path().join(KEY_FILE);
        let key = fs::read(&key_file).unwrap();
        home.create().unwrap();
        assert_eq!(fs::read(&key_file).unwrap(), key);
        assert_eq!(
            fs::metadata(&key_file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            fs::metadata(home.path()).unwrap().permissions().mode() & 0o777,
            0o700
        );
    }

    #[test]
    fn a_damaged_key_file_is_named() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(KEY_FILE), b"short").unwrap();
        let error = Home::new(directory.path()).key().unwrap_err();
        assert!(matches!(error, Error::BadFile(..)), "{error}");
    }

    #[test]
    fn a_passphrase_leaves_no_key_in_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path()).with_passphrase("correct horse");
        home.create().unwrap();
        assert!(!directory.path().join(KEY_FILE).exists());
    }
}
