//! Manifests and their entries as they are, for who wants to look at them: deleted entries and files of deletes too.

use iceberg::spec::{DataContentType, DataFile, ManifestFile, ManifestStatus, TableMetadata};

use crate::deletes::{self, RowMask};
use crate::error::{Result, TableError};
use crate::file_store::FileStore;
use crate::manifest::{self, Lender};

/// What a manifest says of one file, with everything that it inherits.
#[derive(Debug, Clone)]
pub struct ManifestEntry {
    entry: Lender,
}

impl ManifestEntry {
    /// Whether the snapshot that wrote the manifest added the file, found it, or removed it.
    pub fn status(&self) -> ManifestStatus {
        self.entry.entry().status
    }

    /// Whether the file is part of the snapshots that have the manifest.
    pub fn is_live(&self) -> bool {
        self.entry.entry().is_live()
    }

    /// The snapshot that added the file, or removed it.
    pub fn snapshot_id(&self) -> i64 {
        self.entry.entry().snapshot_id
    }

    /// Data sequence number.
    pub fn sequence(&self) -> i64 {
        self.entry.entry().sequence
    }

    /// Sequence number of the commit that brought the file.
    pub fn file_sequence(&self) -> i64 {
        self.entry.entry().file_sequence
    }

    /// The partition spec it was written with.
    pub fn spec_id(&self) -> i32 {
        self.entry.entry().spec_id
    }

    /// The file.
    pub fn file(&self) -> &DataFile {
        self.entry.file()
    }

    /// The rows that the file deletes by their positions, by data file; none for a file of another kind.
    ///
    /// # Errors
    /// [`TableError::Unsupported`] for a delete file that cannot be read.
    pub async fn deleted_positions(&self, store: &FileStore, table: &TableMetadata) -> Result<Vec<(String, RowMask)>> {
        match self.file().content_type() {
            DataContentType::PositionDeletes => deletes::positions(store, table, self.file()).await,
            DataContentType::Data | DataContentType::EqualityDeletes => Ok(Vec::new()),
        }
    }
}

/// The manifests of a snapshot.
pub async fn manifests(store: &FileStore, table: &TableMetadata, snapshot_id: i64) -> Result<Vec<ManifestFile>> {
    let snapshot = table.snapshot_by_id(snapshot_id);
    let snapshot = snapshot.ok_or(TableError::SnapshotNotFound { snapshot_id })?;
    manifest::list(store, table, Some(snapshot)).await
}

/// All entries of a manifest.
pub async fn entries(store: &FileStore, manifest: &ManifestFile) -> Result<Vec<ManifestEntry>> {
    let entries = manifest::entries(store, manifest).await?;
    let lenders = entries.iter().cloned().map(Lender::new);
    Ok(lenders.map(|entry| ManifestEntry { entry }).collect())
}
