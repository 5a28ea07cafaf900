//! The core: one open home.

use std::fmt;
use std::path::Path;

use openmls_rust_crypto::RustCrypto;
use protocol::limit::{CONNECTION_PACKAGES_MAX, KEY_PACKAGES_MAX, TICKETS_MAX};
use protocol::time::Timestamp;
use rusqlite::{Connection, TransactionBehavior};

use crate::database::{self, HomeKey};
use crate::error::Error;
use crate::tx::Tx;

/// How much a client keeps ready for others to take. Load generators lower it: every KeyPackage
/// costs some 0.2 ms to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stock {
    /// KeyPackages published at a time, besides the last resort.
    pub key_packages: usize,
    /// Unused tickets below which more are taken.
    pub tickets: usize,
    /// Connection packages published at a time, besides the last resort.
    pub connection_packages: usize,
}

impl Stock {
    /// What a person's client keeps.
    pub const USUAL: Self = Self {
        key_packages: 32,
        tickets: 16,
        connection_packages: 16,
    };
    /// The least that works: each taker gets the last resort.
    pub const LEAST: Self = Self {
        key_packages: 0,
        tickets: 1,
        connection_packages: 0,
    };

    fn bounded(self) -> Self {
        Self {
            key_packages: self.key_packages.min(KEY_PACKAGES_MAX),
            tickets: self.tickets.clamp(1, usize::from(TICKETS_MAX)),
            connection_packages: self.connection_packages.min(CONNECTION_PACKAGES_MAX),
        }
    }
}

/// A client: its state and its cryptography. `Send`, not `Sync`; every call works on the database
/// and may take milliseconds, or as long as a disk takes to be sure.
pub struct Core {
    connection: Connection,
    crypto: RustCrypto,
    stock: Stock,
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").finish_non_exhaustive()
    }
}

impl Core {
    /// Open a home: a directory of its own, made if it is not there, readable by its user alone.
    ///
    /// # Errors
    /// `InUse` while another process has it open, `WrongKey`, `NewerHome`, or the disk's fault.
    pub fn open(directory: &Path, key: &HomeKey) -> Result<Self, Error> {
        Self::new(database::open(directory, key)?)
    }

    /// A home in memory, gone when dropped: for load generators and tests.
    ///
    /// # Errors
    /// There is no memory or no entropy.
    pub fn open_in_memory() -> Result<Self, Error> {
        Self::new(database::open_in_memory()?)
    }

    fn new(connection: Connection) -> Result<Self, Error> {
        Ok(Self {
            connection,
            crypto: RustCrypto::default(),
            stock: Stock::USUAL,
        })
    }

    /// Change how much is kept ready. Not stored: set it after opening.
    pub fn set_stock(&mut self, stock: Stock) {
        self.stock = stock.bounded();
    }

    /// Run `body` in one transaction: all of it is stored, or nothing. [SDK-STORE-1]
    pub(crate) fn transact<T>(
        &mut self,
        now: Timestamp,
        body: impl FnOnce(&Tx<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let tx = Tx {
            sql: &transaction,
            crypto: &self.crypto,
            stock: self.stock,
            now,
        };
        let value = body(&tx)?;
        transaction.commit()?;
        Ok(value)
    }

    /// Run `body` without writing.
    pub(crate) fn view<T>(
        &self,
        body: impl FnOnce(&Tx<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let stock = self.stock;
        body(&Tx {
            sql: &self.connection,
            crypto: &self.crypto,
            stock,
            now: Timestamp(0),
        })
    }
}
