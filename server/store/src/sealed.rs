//! Sealing of values and blinding of ids, under keys derived from the operator's storage key.
//!
//! ```text
//! secret          = HKDF-Extract(LABEL_STORE, storage key)
//! partition id    = HMAC(HKDF-Expand(secret, LABEL_PARTITION, space), id)[..16]
//! key part        = HMAC(HKDF-Expand(secret, LABEL_KEY_PART, space, table, name), part)[..16]
//! operation id    = HMAC(HKDF-Expand(secret, LABEL_OPERATION), space, partition id, op)[..16]
//! row key         = HMAC(HKDF-Expand(secret, LABEL_VALUE, space, table, name), full key)
//! stored value    = format (1 byte), nonce (12, random), AES-256-GCM(row key, nonce, value; AAD)
//! AAD             = length of the name (1 byte), name, full key
//! ```
//!
//! All hashes are SHA-256. Each row has its own key, so random nonces cannot run out. Operation ids
//! are blinded per partition, or the same one in many queues would link them. Derived keys live in
//! ring's types, which cannot be wiped; the storage key itself is.

use std::fmt;
use std::sync::OnceLock;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::{hkdf, hmac};
use zeroize::Zeroizing;

use crate::error::StoreError;
use crate::row_key::RowKey;
use crate::space::{OpId, Partition, Space};
use crate::table::{Sealing, Table};

const LABEL_STORE: &[u8] = b"hearth store 1.0 secret";
const LABEL_PARTITION: &[u8] = b"hearth store 1.0 partition";
const LABEL_KEY_PART: &[u8] = b"hearth store 1.0 key part";
const LABEL_OPERATION: &[u8] = b"hearth store 1.0 operation";
const LABEL_VALUE: &[u8] = b"hearth store 1.0 value";

/// The version of the layout of a sealed value.
const FORMAT: u8 = 1;

/// How much longer a sealed value is than the value.
pub(crate) const SEAL_BYTES: usize = 1 + NONCE_LEN + 16;

/// How many keys of opened rows a transaction remembers; each takes about 600 bytes.
const OPENED_MAX: usize = 8;

/// The operator's storage key. Whoever has it and the database can read what the server can.
pub struct StorageKey(Zeroizing<[u8; 32]>);

impl StorageKey {
    /// The key of 32 uniformly random bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl fmt::Debug for StorageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StorageKey(..)")
    }
}

/// Where nonces come from. Only the node asks the operating system; tests use a seed.
pub trait Entropy: Send + Sync {
    /// Fill with unpredictable bytes.
    fn fill(&self, out: &mut [u8]);
}

/// All derived keys, each made at its first use.
pub(crate) struct Keys {
    secret: hkdf::Prk,
    operation: hmac::Key,
    spaces: Box<[OnceLock<Box<SpaceKeys>>]>,
}

struct SpaceKeys {
    partition: hmac::Key,
    tables: Box<[OnceLock<Box<TableKeys>>]>,
}

/// The keys of one table.
pub(crate) struct TableKeys {
    pub(crate) name: &'static str,
    pub(crate) sealing: Sealing,
    pub(crate) blinding: hmac::Key,
    value: hmac::Key,
}

impl Keys {
    pub(crate) fn new(key: &StorageKey) -> Self {
        let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, LABEL_STORE).extract(&*key.0);
        let operation = derive(&secret, &[LABEL_OPERATION]);
        Self {
            secret,
            operation,
            spaces: slots(),
        }
    }

    pub(crate) fn partition(&self, space: Space, id: &[u8]) -> Partition {
        Partition::from_blinded(space, blind(&self.space(space).partition, id))
    }

    pub(crate) fn operation(&self, partition: &Partition, op: OpId) -> OpId {
        let mut input = [0; 33];
        let (space, rest) = input.split_at_mut(1);
        let (id, last) = rest.split_at_mut(16);
        space.fill(partition.space().id);
        id.copy_from_slice(partition.id());
        last.copy_from_slice(&op.0);
        OpId(blind(&self.operation, &input))
    }

    /// The keys of a table, if no other table uses its place.
    pub(crate) fn table<K, V>(&self, table: &Table<K, V>) -> Result<&TableKeys, StoreError> {
        let space = table.space();
        let keys = slot(&self.space(space).tables, table.id()).get_or_init(|| {
            let place = [space.id, table.id()];
            let name = table.name().as_bytes();
            Box::new(TableKeys {
                name: table.name(),
                sealing: table.sealing(),
                blinding: derive(&self.secret, &[LABEL_KEY_PART, &place, name]),
                value: derive(&self.secret, &[LABEL_VALUE, &place, name]),
            })
        });
        if keys.name != table.name() {
            return Err(StoreError::WrongSpace { name: table.name() });
        }
        Ok(keys)
    }

    /// The keys of the table of a row, if one has been used.
    pub(crate) fn table_of(&self, space: Space, row: &RowKey) -> Option<&TableKeys> {
        slot(&self.space(space).tables, row.table())
            .get()
            .map(|keys| &**keys)
    }

    fn space(&self, space: Space) -> &SpaceKeys {
        slot(&self.spaces, space.id).get_or_init(|| {
            let partition = derive(&self.secret, &[LABEL_PARTITION, &[space.id]]);
            Box::new(SpaceKeys {
                partition,
                tables: slots(),
            })
        })
    }
}

impl TableKeys {
    /// The value as stored in the row.
    fn seal(
        &self,
        key: &LessSafeKey,
        row: &RowKey,
        nonce: [u8; NONCE_LEN],
        value: &[u8],
    ) -> Vec<u8> {
        let mut out = Vec::with_capacity(value.len() + SEAL_BYTES);
        out.push(FORMAT);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(value);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let (_, body) = out.split_at_mut(1 + NONCE_LEN);
        #[expect(
            clippy::expect_used,
            reason = "AES-GCM takes values a million times longer"
        )]
        let tag = key
            .seal_in_place_separate_tag(nonce, self.aad(row), body)
            .expect("limits keep values short");
        out.extend_from_slice(tag.as_ref());
        out
    }

    /// The value of a row as stored, or `Corrupt`.
    fn open(
        &self,
        key: &LessSafeKey,
        row: &RowKey,
        mut stored: Vec<u8>,
    ) -> Result<Vec<u8>, StoreError> {
        let corrupt = || StoreError::Corrupt { table: self.name };
        let (format, sealed) = stored.split_first_mut().ok_or_else(corrupt)?;
        let (nonce, body) = sealed.split_first_chunk_mut().ok_or_else(corrupt)?;
        if *format != FORMAT {
            return Err(corrupt());
        }
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = key.open_in_place(nonce, self.aad(row), body);
        let length = opened.map_err(|_| corrupt())?.len();
        stored.drain(..1 + NONCE_LEN);
        stored.truncate(length);
        Ok(stored)
    }

    /// The value of a row that will not be sealed again soon.
    pub(crate) fn open_once(&self, row: &RowKey, stored: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        self.open(&self.row_key(row), row, stored)
    }

    fn row_key(&self, row: &RowKey) -> LessSafeKey {
        let key = hmac::sign(&self.value, row.as_ref());
        #[expect(
            clippy::expect_used,
            reason = "an HMAC-SHA256 tag has the length of the key"
        )]
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref()).expect("32 bytes"))
    }

    fn aad(&self, row: &RowKey) -> Aad<Vec<u8>> {
        let mut aad = Vec::with_capacity(1 + self.name.len() + row.as_ref().len());
        aad.push(u8::try_from(self.name.len()).unwrap_or(u8::MAX));
        aad.extend_from_slice(self.name.as_bytes());
        aad.extend_from_slice(row.as_ref());
        Aad::from(aad)
    }
}

/// The keys of rows a transaction has opened: most of them it seals again.
#[derive(Default)]
pub(crate) struct Opened(Vec<(RowKey, LessSafeKey)>);

impl Opened {
    /// Seal a row, under the key it was opened with if it was.
    pub(crate) fn seal(
        &self,
        keys: &TableKeys,
        row: &RowKey,
        nonce: [u8; NONCE_LEN],
        value: &[u8],
    ) -> Vec<u8> {
        match self.key(row) {
            Some(key) => keys.seal(key, row, nonce, value),
            None => keys.seal(&keys.row_key(row), row, nonce, value),
        }
    }

    /// Open a row, and remember its key.
    pub(crate) fn open(
        &mut self,
        keys: &TableKeys,
        row: RowKey,
        stored: Vec<u8>,
    ) -> Result<Vec<u8>, StoreError> {
        if let Some(key) = self.key(&row) {
            return keys.open(key, &row, stored);
        }
        let key = keys.row_key(&row);
        let opened = keys.open(&key, &row, stored);
        if self.0.len() < OPENED_MAX {
            self.0.push((row, key));
        }
        opened
    }

    fn key(&self, row: &RowKey) -> Option<&LessSafeKey> {
        let (_, key) = self.0.iter().find(|(opened, _)| opened == row)?;
        Some(key)
    }
}

/// 16 bytes that stand for `part` and tell nothing about it without the key.
pub(crate) fn blind(key: &hmac::Key, part: &[u8]) -> [u8; 16] {
    let mut out = [0; 16];
    for (out, byte) in out.iter_mut().zip(hmac::sign(key, part).as_ref()) {
        *out = *byte;
    }
    out
}

fn derive(secret: &hkdf::Prk, context: &[&[u8]]) -> hmac::Key {
    #[expect(
        clippy::expect_used,
        reason = "HKDF gives up to 255 hashes; this is one"
    )]
    secret
        .expand(context, hmac::HMAC_SHA256)
        .expect("one hash")
        .into()
}

fn slots<T>() -> Box<[OnceLock<T>]> {
    (0..=u8::MAX).map(|_| OnceLock::new()).collect()
}

#[expect(clippy::indexing_slicing, reason = "there is a slot for each u8")]
fn slot<T>(slots: &[T], id: u8) -> &T {
    &slots[usize::from(id)]
}
