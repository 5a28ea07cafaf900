//! One transaction of the home: what every operation works on.

use openmls_rust_crypto::RustCrypto;
use openmls_sqlite_storage::SqliteStorageProvider;
use openmls_traits::OpenMlsProvider;
use protocol::codec::decode_exact;
use protocol::time::Timestamp;
use ring::rand::{SecureRandom, SystemRandom};
use rusqlite::{Connection, OptionalExtension, Params, Row};
use tls_codec::DeserializeBytes;

use crate::codec::MlsCodec;
use crate::error::Error;
use crate::event::Event;
use crate::home::Stock;

/// A transaction with what an operation needs besides: entropy, time, stock levels.
pub(crate) struct Tx<'a> {
    pub(crate) sql: &'a Connection,
    pub(crate) crypto: &'a RustCrypto,
    pub(crate) stock: Stock,
    pub(crate) now: Timestamp,
}

/// What openmls asks for: its storage is the same transaction. [SDK-STORE-1]
pub(crate) struct Provider<'a> {
    crypto: &'a RustCrypto,
    storage: SqliteStorageProvider<MlsCodec, &'a Connection>,
}

impl<'a> OpenMlsProvider for Provider<'a> {
    type CryptoProvider = RustCrypto;
    type RandProvider = RustCrypto;
    type StorageProvider = SqliteStorageProvider<MlsCodec, &'a Connection>;

    fn storage(&self) -> &Self::StorageProvider {
        &self.storage
    }

    fn crypto(&self) -> &Self::CryptoProvider {
        self.crypto
    }

    fn rand(&self) -> &Self::RandProvider {
        self.crypto
    }
}

impl<'a> Tx<'a> {
    pub(crate) fn provider(&self) -> Provider<'a> {
        Provider {
            crypto: self.crypto,
            storage: SqliteStorageProvider::new(self.sql),
        }
    }

    /// Random bytes of the operating system.
    pub(crate) fn random<const N: usize>(&self) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| Error::Crypto)?;
        Ok(bytes)
    }

    pub(crate) fn execute(&self, sql: &str, params: impl Params) -> Result<usize, Error> {
        Ok(self.sql.prepare_cached(sql)?.execute(params)?)
    }

    /// Insert a row and give its number.
    pub(crate) fn insert(&self, sql: &str, params: impl Params) -> Result<i64, Error> {
        Ok(self.sql.prepare_cached(sql)?.insert(params)?)
    }

    /// The first row, if there is one.
    pub(crate) fn row<T>(
        &self,
        sql: &str,
        params: impl Params,
        map: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, Error> {
        Ok(self
            .sql
            .prepare_cached(sql)?
            .query_row(params, map)
            .optional()?)
    }

    /// All rows. The statement bounds them.
    pub(crate) fn rows<T>(
        &self,
        sql: &str,
        params: impl Params,
        map: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        let mut statement = self.sql.prepare_cached(sql)?;
        let rows = statement.query_map(params, map)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A count, or another single number.
    pub(crate) fn count(&self, sql: &str, params: impl Params) -> Result<u64, Error> {
        let number = self.row(sql, params, |row| row.get::<_, Option<u64>>(0))?;
        Ok(number.flatten().unwrap_or(0))
    }

    /// Run `body`; undo what it did to the database unless it gives `Ok`.
    pub(crate) fn attempt<T, E: From<Error>>(
        &self,
        body: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        self.sql
            .execute_batch("SAVEPOINT attempt")
            .map_err(Error::from)?;
        let result = body();
        let end = match result {
            Ok(_) => "RELEASE attempt",
            Err(_) => "ROLLBACK TO attempt; RELEASE attempt",
        };
        self.sql.execute_batch(end).map_err(Error::from)?;
        result
    }

    /// Store an event for the user.
    pub(crate) fn tell(&self, event: &Event) -> Result<(), Error> {
        let text = serde_json::to_string(event).map_err(|_| Error::Corrupt("event"))?;
        self.execute("INSERT INTO events (event) VALUES (?1)", [text])?;
        Ok(())
    }
}

/// Decode what this home has stored.
pub(crate) fn stored<T: DeserializeBytes>(bytes: &[u8], what: &'static str) -> Result<T, Error> {
    decode_exact(bytes).map_err(|_| Error::Corrupt(what))
}

/// A number of a peer as SQLite can hold it.
pub(crate) fn storable(number: u64) -> u64 {
    number.min(i64::MAX.unsigned_abs())
}
