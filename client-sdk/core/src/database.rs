//! The database file: opening it under its key, its lock, its migrations.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use openmls_sqlite_storage::SqliteStorageProvider;
use rusqlite::{Connection, ErrorCode};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::codec::MlsCodec;
use crate::error::Error;

/// Numbered from 1; `PRAGMA user_version` says how many have run.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_initial.sql"),
    include_str!("migrations/0002_operations.sql"),
    include_str!("migrations/0003_healing.sql"),
    include_str!("migrations/0004_proofs.sql"),
    include_str!("migrations/0005_overtaken.sql"),
    include_str!("migrations/0006_done.sql"),
    include_str!("migrations/0007_connection_groups.sql"),
];
const FILE: &str = "state.db";

/// What opens a home.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub enum HomeKey {
    /// A random key, kept by the platform's key store: opens at once.
    Raw([u8; 32]),
    /// A passphrase: SQLCipher stretches it with PBKDF2 (256,000 rounds of HMAC-SHA512).
    Passphrase(String),
}

impl fmt::Debug for HomeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HomeKey(..)")
    }
}

impl HomeKey {
    /// The value of `PRAGMA key`: raw keys are written `x'..'`.
    fn pragma(&self) -> Zeroizing<String> {
        Zeroizing::new(match self {
            Self::Raw(key) => format!("x'{}'", *Zeroizing::new(crate::hex::encode(key))),
            Self::Passphrase(text) => text.clone(),
        })
    }
}

/// Open the database of a home; make it if it is not there.
pub(crate) fn open(directory: &Path, key: &HomeKey) -> Result<Connection, Error> {
    make_directory(directory).map_err(Error::Io)?;
    keep_libcrypto_at_exit();
    let connection = Connection::open(directory.join(FILE))?;
    connection.busy_timeout(Duration::ZERO)?;
    // A wrong key is an error of ours, not lines on the terminal.
    connection.pragma_update(None, "cipher_log_level", "NONE")?;
    connection.pragma_update(None, "key", key.pragma().as_str())?;
    // Held from the first read until the connection is closed: one process per home. [SDK-STORE-2]
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection
        .pragma_update(None, "journal_mode", "WAL")
        .map_err(opening)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    prepare(connection)
}

/// A database that is gone with its connection. Small pages: most tables have a row or two, and
/// load generators open thousands.
pub(crate) fn open_in_memory() -> Result<Connection, Error> {
    keep_libcrypto_at_exit();
    let connection = Connection::open_in_memory()?;
    connection.pragma_update(None, "page_size", 1_024)?;
    prepare(connection)
}

/// Take no part in libcrypto's clean-up at exit: it frees what belongs to threads, and those that
/// end at that moment, having used SQLCipher, free it as well (OPENSSL_init_crypto(3),
/// OPENSSL_INIT_NO_ATEXIT). Counts only before the first use of libcrypto.
fn keep_libcrypto_at_exit() {
    openssl_sys::init();
}

fn prepare(mut connection: Connection) -> Result<Connection, Error> {
    connection
        .pragma_update(None, "secure_delete", "ON")
        .map_err(opening)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(64);
    migrate(&mut connection)?;
    Ok(connection)
}

fn migrate(connection: &mut Connection) -> Result<(), Error> {
    let done: usize = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(opening)?;
    if done > MIGRATIONS.len() {
        return Err(Error::NewerHome);
    }
    SqliteStorageProvider::<MlsCodec, _>::new(&mut *connection)
        .run_migrations()
        .map_err(|_| Error::Mls("the storage's migrations failed"))?;
    let transaction = connection.transaction()?;
    for migration in MIGRATIONS.iter().skip(done) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", MIGRATIONS.len())?;
    transaction.commit()?;
    Ok(())
}

/// Tell a locked home and a wrong key from failures.
fn opening(error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::InUse,
        Some(ErrorCode::NotADatabase) => Error::WrongKey,
        _ => Error::Storage(error),
    }
}

#[cfg(unix)]
fn make_directory(directory: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
}

#[cfg(not(unix))]
fn make_directory(directory: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_opens_under_its_key_only_and_once() {
        let home = tempfile::tempdir().unwrap();
        let key = HomeKey::Raw([7; 32]);
        let first = open(home.path(), &key).unwrap();
        assert!(matches!(open(home.path(), &key), Err(Error::InUse)));
        drop(first);
        let other = HomeKey::Raw([8; 32]);
        assert!(matches!(open(home.path(), &other), Err(Error::WrongKey)));
        open(home.path(), &key).unwrap();
    }

    #[test]
    fn a_passphrase_opens_what_it_closed() {
        let home = tempfile::tempdir().unwrap();
        let key = |text: &str| HomeKey::Passphrase(text.to_owned());
        drop(open(home.path(), &key("it's \"long\"")).unwrap());
        assert!(matches!(
            open(home.path(), &key("other")),
            Err(Error::WrongKey)
        ));
        open(home.path(), &key("it's \"long\"")).unwrap();
    }

    #[test]
    fn nothing_in_the_file_is_readable() {
        let home = tempfile::tempdir().unwrap();
        let connection = open(home.path(), &HomeKey::Raw([7; 32])).unwrap();
        connection
            .execute("INSERT INTO roots VALUES ('plain.example', x'00')", [])
            .unwrap();
        drop(connection);
        for entry in std::fs::read_dir(home.path()).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            let found = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
            assert!(
                !found(b"plain.example") && !found(b"SQLite format") && !found(b"CREATE TABLE")
            );
        }
    }

    #[test]
    fn a_home_of_a_later_version_is_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let key = HomeKey::Raw([7; 32]);
        let connection = open(home.path(), &key).unwrap();
        connection
            .pragma_update(None, "user_version", 1_000)
            .unwrap();
        drop(connection);
        assert!(matches!(open(home.path(), &key), Err(Error::NewerHome)));
    }
}
