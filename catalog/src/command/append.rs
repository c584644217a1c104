//! Files that producers append, folded into one snapshot.

use serde::{Deserialize, Serialize};

use super::table::TableChange;

/// What a producer appended: everything of its input from `from` up to, and without, `to`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProducerRange {
    /// The producer, by the name that it gave itself.
    pub producer: String,
    /// First position.
    pub from: u64,
    /// One past the last position.
    pub to: u64,
}

/// One snapshot of one table that holds what several producers appended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppendChange {
    /// The pointer to the new metadata; it demands a version of the table.
    pub change: TableChange,
    /// The snapshot.
    pub snapshot_id: i64,
    /// Its sequence number; 0 in format 1.
    pub sequence: i64,
    /// Whose files it holds. A producer may be named several times.
    pub ranges: Vec<ProducerRange>,
}
