//! What each snapshot between two changed, in files.

use std::collections::HashMap;

use iceberg::spec::{Operation, TableMetadata};

use crate::error::{Result, TableError};
use crate::file_store::FileStore;
use crate::scan::ScanFile;

/// One snapshot's change.
#[derive(Debug, Clone)]
pub struct SnapshotChange {
    /// The snapshot.
    pub snapshot_id: i64,
    /// Its sequence number.
    pub sequence: i64,
    /// When it was committed, milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// What it says it is.
    pub operation: Operation,
    /// Its summary.
    pub summary: HashMap<String, String>,
    /// Data files that joined the table.
    pub added: Vec<ScanFile>,
    /// Data files that left the table.
    pub removed: Vec<ScanFile>,
}

/// The changes after `from` (`None`: from the table's first snapshot) up to and with `to`, oldest first. Snapshots that only
/// re-arranged rows (`replace`) are left out. [`TableError::HistoryBroken`] if `from` was expired or is no ancestor of `to`:
/// then only a full read helps.
pub async fn changes_between(
    _store: &FileStore,
    _table: &TableMetadata,
    _from: Option<i64>,
    _to: i64,
) -> Result<Vec<SnapshotChange>> {
    Err(TableError::Unsupported { what: "changes_between".into() })
}
