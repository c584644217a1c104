//! Which files hold the rows of a snapshot that may fulfil a condition.

use std::sync::Arc;

use iceberg::spec::{DataContentType, DataFile, Struct, TableMetadata};

use crate::error::{Result, TableError};
use crate::file_store::FileStore;
use crate::manifest::Entry;
use crate::predicate::Predicate;

/// A data file to be read.
#[derive(Debug, Clone)]
pub struct ScanFile {
    /// Absolute location.
    pub path: String,
    /// Size of the file.
    pub size_bytes: u64,
    /// Rows in it, before deletes.
    pub record_count: u64,
    /// The partition spec it was written with.
    pub spec_id: i32,
    /// Partition values of that spec.
    pub partition: Struct,
    /// Data sequence number: deletes of a higher one apply.
    pub sequence: i64,
    /// Sequence number of the commit that brought the file.
    pub file_sequence: i64,
    /// The snapshot that brought the file, or removed it in a list of removed files.
    pub snapshot_id: i64,
    /// Deletes that may touch its rows. Whoever reads the file must apply them.
    pub deletes: Vec<DeleteFile>,
    entry: Arc<Entry>,
}

impl ScanFile {
    /// Everything the table knows of the file: counts, sizes and bounds by field id.
    pub fn data_file(&self) -> &DataFile {
        &self.entry.file
    }
}

/// A file that deletes rows of data files.
#[derive(Debug, Clone)]
pub struct DeleteFile {
    /// Absolute location.
    pub path: String,
    /// By position or by equality.
    pub content: DataContentType,
    /// Data sequence number: it applies to older files.
    pub sequence: i64,
    entry: Arc<Entry>,
}

impl DeleteFile {
    /// Everything the table knows of the file.
    pub fn data_file(&self) -> &DataFile {
        &self.entry.file
    }
}

/// A scan to be planned.
#[derive(Debug, Clone)]
pub struct Scan<'a> {
    store: &'a FileStore,
    table: &'a TableMetadata,
    snapshot: Option<i64>,
    filter: Option<&'a Predicate>,
    with_deletes: bool,
}

impl<'a> Scan<'a> {
    /// Of the current snapshot, without a condition.
    pub fn new(store: &'a FileStore, table: &'a TableMetadata) -> Self {
        Self {
            store,
            table,
            snapshot: None,
            filter: None,
            with_deletes: false,
        }
    }

    /// Of this snapshot.
    #[must_use]
    pub fn snapshot(mut self, snapshot_id: Option<i64>) -> Self {
        self.snapshot = snapshot_id;
        self
    }

    /// Only files that may hold such rows.
    #[must_use]
    pub fn filter(mut self, filter: Option<&'a Predicate>) -> Self {
        self.filter = filter;
        self
    }

    /// Report deletes instead of refusing them: the caller promises to apply [`ScanFile::deletes`].
    #[must_use]
    pub fn with_deletes(mut self) -> Self {
        self.with_deletes = true;
        self
    }

    /// The files.
    pub async fn plan(self) -> Result<Vec<ScanFile>> {
        Err(TableError::Unsupported { what: "plan_scan".into() })
    }
}

/// The files of a snapshot (`None`: the current one) that may hold rows of `filter`. Refuses tables with row deletes.
pub async fn plan_scan(
    store: &FileStore,
    table: &TableMetadata,
    snapshot: Option<i64>,
    filter: Option<&Predicate>,
) -> Result<Vec<ScanFile>> {
    Scan::new(store, table).snapshot(snapshot).filter(filter).plan().await
}
