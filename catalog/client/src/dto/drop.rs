//! Dropped tables and whole namespaces.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use tidewater_core::JobId;

/// A dropped table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DroppedTable {
    /// The levels of the namespace it was in.
    pub namespace: Vec<String>,
    /// The name it had there.
    pub name: String,
    /// What names it among those that had the name.
    pub id: Uuid,
    /// The uuid in its metadata; will do in place of `id`.
    pub uuid: Uuid,
    /// Its root folder.
    pub location: String,
    /// Its newest metadata file.
    pub metadata_location: String,
    /// When it was dropped.
    pub dropped_at_ms: i64,
    /// Until when the drop can be taken back; one whose files go can also until that has begun.
    pub until_ms: i64,
    /// The job that deletes its files.
    pub purge: Option<JobId>,
    /// Whether the drop can still be taken back.
    pub restorable: bool,
}

/// Dropped tables, the last one dropped first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroppedPage {
    /// The first of them.
    pub tables: Vec<DroppedTable>,
    /// How many there are.
    pub count: usize,
}

/// The full name of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FullName {
    /// The levels of its namespace.
    pub namespace: Vec<String>,
    /// Its name.
    pub name: String,
}

/// Brings a dropped table back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undrop {
    /// The levels of the namespace it was in.
    pub namespace: Vec<String>,
    /// The name it had there.
    pub name: String,
    /// Which of those that had the name; absent = the one dropped last.
    #[serde(default)]
    pub id: Option<Uuid>,
    /// The name it gets; absent = the one it had.
    #[serde(default)]
    pub to: Option<FullName>,
}

/// A table that is back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Undropped {
    /// The levels of its namespace.
    pub namespace: Vec<String>,
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: Uuid,
    /// Its metadata file.
    pub metadata_location: String,
}

/// Drops a namespace with all it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceDrop {
    /// Its levels.
    pub namespace: Vec<String>,
    /// Whether the files of its tables go as well.
    #[serde(default)]
    pub purge: bool,
}

/// The answer to a [`NamespaceDrop`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceDropped {
    /// The job that does it.
    pub job: JobId,
}
