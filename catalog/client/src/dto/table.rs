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

/// Whose location some folders lie in, asked on behalf of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldAsked {
    /// The levels of the table's namespace.
    pub namespace: Vec<String>,
    /// Its name.
    pub name: String,
    /// Folders or files, as metadata names them.
    pub folders: Vec<String>,
}

/// Whether each folder is or lies in the location of another table or view, or of a dropped table that can come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldTold {
    /// In the order of the folders.
    pub held: Vec<bool>,
}

/// Where every table stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TablePointers {
    /// All of them, in no order.
    pub tables: Vec<TablePointer>,
}
