//! Pointers to tables, and how they change.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The full name of a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ident {
    /// Levels of its namespace, outermost first.
    pub namespace: Vec<String>,
    /// Its name in there.
    pub name: String,
}

impl fmt::Display for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.namespace.join("."), self.name)
    }
}

/// Where a table stands now. Everything else about it is in its metadata file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    /// The table's uuid as its metadata has it.
    pub uuid: Uuid,
    /// The table's root folder.
    pub location: String,
    /// The metadata file.
    pub metadata_location: String,
    /// The head of branch `main`.
    pub snapshot_id: Option<i64>,
}

/// What must hold of a table before its pointer moves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expect {
    /// The name is free; the table is made under this id.
    Absent {
        /// The id of the table to be: names it in the log for good, whatever its uuid or name.
        id: Uuid,
    },
    /// The name stands for this table and nobody moved its pointer since.
    Version {
        /// The table.
        id: Uuid,
        /// The version its new pointer was derived from.
        version: u64,
    },
    /// Whatever the name stands for is replaced (register with `overwrite`).
    Any {
        /// The id of the table to be, when there is none yet.
        id: Uuid,
    },
}

/// One pointer to make or to move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableChange {
    /// The name.
    pub table: Ident,
    /// What must hold.
    pub expect: Expect,
    /// Where it shall stand.
    pub pointer: Pointer,
}

/// A table as an outcome names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableRef {
    /// Its id.
    pub id: Uuid,
    /// Its version after the change.
    pub version: u64,
    /// The metadata file it points to after the change.
    pub metadata_location: String,
}
