//! The MLS state of a group as a value: to keep it, and to go back to it.
//!
//! OpenMLS keeps a group in rows of its own tables and moves only forward. A snapshot is a copy of
//! the rows of one group, with our own rows about its epoch, made and put back inside the
//! transaction that everything else is in.

use openmls::prelude::GroupId as MlsGroupId;
use openmls_sqlite_storage::Codec;
use protocol::id::GroupId;
use rusqlite::params_from_iter;
use rusqlite::types::{Value, ValueRef};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::codec::MlsCodec;
use crate::error::Error;
use crate::tx::Tx;

/// Tables of openmls_sqlite_storage that hold a group, with their columns.
const MLS_TABLES: [Table; 4] = [
    Table {
        name: "openmls_group_data",
        columns: "provider_version, group_id, data_type, group_data",
        group: "group_id",
    },
    Table {
        name: "openmls_epoch_keys_pairs",
        columns: "provider_version, group_id, epoch_id, leaf_index, key_pairs",
        group: "group_id",
    },
    Table {
        name: "openmls_own_leaf_nodes",
        columns: "provider_version, group_id, leaf_node",
        group: "group_id",
    },
    Table {
        name: "openmls_proposals",
        columns: "provider_version, group_id, proposal_ref, proposal",
        group: "group_id",
    },
];

/// Our own tables about a group's epoch.
const OWN_TABLES: [Table; 2] = [
    Table {
        name: "epochs",
        columns: "grp, epoch, state_key, began",
        group: "grp",
    },
    Table {
        name: "members",
        columns: "grp, signature_key, leaf, pseudonym, sealed, identity, verified, gone",
        group: "grp",
    },
];

struct Table {
    name: &'static str,
    columns: &'static str,
    group: &'static str,
}

/// A group's rows, in the order of the tables above.
#[derive(Serialize, Deserialize)]
pub(crate) struct Snapshot {
    mls: Vec<Rows>,
    own: Vec<Rows>,
}

type Rows = Vec<Vec<Cell>>;

/// A value in a row.
#[derive(Serialize, Deserialize)]
enum Cell {
    Null,
    Integer(i64),
    Text(String),
    Blob(Vec<u8>),
}

impl Snapshot {
    pub(crate) fn pack(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let packed = postcard::to_stdvec(self).map_err(|_| Error::Corrupt("snapshot"))?;
        Ok(Zeroizing::new(packed))
    }

    pub(crate) fn unpack(bytes: &[u8]) -> Result<Self, Error> {
        postcard::from_bytes(bytes).map_err(|_| Error::Corrupt("snapshot"))
    }
}

impl Tx<'_> {
    /// Copy everything about the group's present epoch.
    pub(crate) fn snapshot(&self, group: &GroupId) -> Result<Snapshot, Error> {
        let id = mls_key(group)?;
        let mls = MLS_TABLES.iter().map(|table| self.copy(table, &id));
        let own = OWN_TABLES.iter().map(|table| self.copy(table, &group.0));
        Ok(Snapshot {
            mls: mls.collect::<Result<_, _>>()?,
            own: own.collect::<Result<_, _>>()?,
        })
    }

    /// Put the group back to what was copied.
    pub(crate) fn restore(&self, group: &GroupId, snapshot: &Snapshot) -> Result<(), Error> {
        self.restore_mls(group, snapshot)?;
        for (table, rows) in OWN_TABLES.iter().zip(&snapshot.own) {
            self.clear(table, &group.0)?;
            self.paste(table, rows)?;
        }
        Ok(())
    }

    /// The same for the MLS state alone.
    pub(crate) fn restore_mls(&self, group: &GroupId, snapshot: &Snapshot) -> Result<(), Error> {
        let id = mls_key(group)?;
        for (table, rows) in MLS_TABLES.iter().zip(&snapshot.mls) {
            self.clear(table, &id)?;
            self.paste(table, rows)?;
        }
        Ok(())
    }

    /// Make room for another MLS state of the same group.
    pub(crate) fn clear_mls(&self, group: &GroupId) -> Result<(), Error> {
        let id = mls_key(group)?;
        MLS_TABLES
            .iter()
            .try_for_each(|table| self.clear(table, &id))
    }

    fn copy(&self, table: &Table, group: &[u8]) -> Result<Rows, Error> {
        let Table {
            name,
            columns,
            group: key,
        } = table;
        let sql = format!("SELECT {columns} FROM {name} WHERE {key} = ?1");
        self.rows(&sql, [group], |row| {
            let count = row.as_ref().column_count();
            (0..count)
                .map(|column| row.get_ref(column).map(cell))
                .collect()
        })
    }

    fn clear(&self, table: &Table, group: &[u8]) -> Result<(), Error> {
        let Table {
            name, group: key, ..
        } = table;
        self.execute(&format!("DELETE FROM {name} WHERE {key} = ?1"), [group])?;
        Ok(())
    }

    fn paste(&self, table: &Table, rows: &Rows) -> Result<(), Error> {
        let Table { name, columns, .. } = table;
        let places = vec!["?"; columns.split(',').count()].join(", ");
        let sql = format!("INSERT INTO {name} ({columns}) VALUES ({places})");
        for row in rows {
            self.execute(&sql, params_from_iter(row.iter().map(value)))?;
        }
        Ok(())
    }
}

/// A group's id as openmls_sqlite_storage writes it.
fn mls_key(group: &GroupId) -> Result<Vec<u8>, Error> {
    MlsCodec::to_vec(&MlsGroupId::from_slice(&group.0)).map_err(|_| Error::Corrupt("group id"))
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        // Nothing in these tables is a floating-point number.
        ValueRef::Null | ValueRef::Real(_) => Cell::Null,
        ValueRef::Integer(number) => Cell::Integer(number),
        ValueRef::Text(text) => Cell::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Cell::Blob(bytes.to_vec()),
    }
}

fn value(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Integer(number) => Value::Integer(*number),
        Cell::Text(text) => Value::Text(text.clone()),
        Cell::Blob(bytes) => Value::Blob(bytes.clone()),
    }
}
