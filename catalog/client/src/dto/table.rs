//! Tables of one moment, several or all.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A table that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedTable {
    /// The levels of its namespace.
    pub namespace: Vec<String>,
    /// Its name.
    pub name: String,
    /// The metadata file that the asker holds already: it is not sent again.
    pub known: Option<String>,
}

/// Where a table stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TablePointer {
    /// The levels of its namespace.
    pub namespace: Vec<String>,
    /// Its name.
    pub name: String,
    /// The uuid in its metadata.
    pub uuid: Uuid,
    /// Its metadata file.
    pub metadata_location: String,
    /// The head of branch `main`, if there is one.
    pub snapshot_id: Option<i64>,
}

/// Where every table stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TablePointers {
    /// All of them, in no order.
    pub tables: Vec<TablePointer>,
}
