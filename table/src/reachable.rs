//! Which files a table's metadata names, step by step, for whoever removes a whole table.

use std::collections::BTreeSet;

use iceberg::spec::{ManifestFile, Snapshot, TableMetadata};

use crate::error::Result;
use crate::file_store::FileStore;
use crate::manifest;

/// The manifests of a snapshot.
///
/// # Errors
/// If the list is not there, cannot be read or is damaged.
pub async fn manifests_of(store: &FileStore, table: &TableMetadata, snapshot: &Snapshot) -> Result<Vec<ManifestFile>> {
    manifest::list(store, table, Some(snapshot)).await
}

/// The data files and delete files of a manifest, in the order of its entries. What it tells to be deleted is not among them.
///
/// # Errors
/// If the manifest is not there, cannot be read, is encrypted or damaged.
pub async fn content_of(store: &FileStore, manifest: &ManifestFile) -> Result<Vec<String>> {
    let live = manifest::live(store, manifest).await?;
    Ok(live.iter().map(|entry| entry.file.file_path().to_owned()).collect())
}

/// The files that the metadata file itself names: manifest lists, statistics, older metadata files.
pub fn metadata_files_of(table: &TableMetadata) -> BTreeSet<String> {
    let lists = table.snapshots().map(|snapshot| snapshot.manifest_list());
    let statistics = table.statistics_iter().map(|file| file.statistics_path.as_str());
    let partitions = table
        .partition_statistics_iter()
        .map(|file| file.statistics_path.as_str());
    let log = table.metadata_log().iter().map(|entry| entry.metadata_file.as_str());
    lists
        .chain(statistics)
        .chain(partitions)
        .chain(log)
        .map(str::to_owned)
        .collect()
}
