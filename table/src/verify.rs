//! Is everything there that a table names, and is it as it was written? Nothing is taken from a cache and nothing is changed.

mod file;
mod report;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, stream};
use iceberg::spec::{ManifestFile, ManifestStatus, Snapshot, TableMetadata};

use self::file::check_file;
pub use self::report::{Damage, Problem, Verified};
use crate::catalog::LoadedTable;
use crate::digest;
use crate::error::{Result, TableError};
use crate::file_store::FileStore;
use crate::manifest::{self, Entry};
use tidewater_core::{Coded, ErrorKind};

/// Files looked at at the same time. Those that are read whole are in memory meanwhile.
const LOOKS_MAX: usize = 16;
const READS_MAX: usize = 4;

/// More problems than anyone reads one by one; beyond it they are counted only.
pub(crate) const PROBLEMS_MAX: usize = 10_000;

/// How closely files are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// Metadata is read; of data files the size is asked for, and the footer.
    Footers,
    /// Each file is read whole and compared with its digest; one without a digest is decoded.
    Bytes,
}

/// What is looked at.
#[derive(Debug, Clone)]
pub struct VerifyOptions {
    /// How closely.
    pub depth: Depth,
    /// Only this snapshot; `None`: all of them.
    pub snapshot_id: Option<i64>,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        Self {
            depth: Depth::Bytes,
            snapshot_id: None,
        }
    }
}

/// Looks at every file that a table's snapshots name. `progress` hears of files done and of files known so far.
///
/// # Errors
/// Only if the table or a snapshot is not known, or the store does not answer: what is wrong with a file stands in the answer.
pub async fn verify(
    store: &FileStore,
    table: &LoadedTable,
    options: &VerifyOptions,
    progress: &(dyn Fn(u64, u64) + Send + Sync),
) -> Result<Verified> {
    let metadata = table.metadata.as_ref();
    let mut found = Verified::default();
    check_metadata(store, table, options.depth, &mut found).await?;
    let snapshots: Vec<&Snapshot> = match options.snapshot_id {
        None => metadata.snapshots().map(AsRef::as_ref).collect(),
        Some(snapshot_id) => {
            let one = metadata.snapshot_by_id(snapshot_id);
            vec![one.ok_or(TableError::SnapshotNotFound { snapshot_id })?]
        }
    };
    found.snapshots = snapshots.len() as u64;
    let mut manifests = BTreeMap::new();
    for snapshot in snapshots {
        let location = snapshot.manifest_list();
        if let Some(bytes) = read(store, location, None, &mut found).await? {
            let (table, path) = (Arc::clone(&table.metadata), location.to_owned());
            match guarded(move || manifest::parse_list(&table, &path, &bytes)).await {
                Ok(list) => manifests.extend(list.into_iter().map(|file| (file.manifest_path.clone(), file))),
                Err(reason) => found.add(location, None, Damage::Unreadable(reason)),
            }
        }
        found.files += 1;
        progress(found.files, found.files);
    }
    let mut files: BTreeMap<String, Vec<Arc<Entry>>> = BTreeMap::new();
    for file in manifests.values() {
        for entry in check_manifest(store, file, &mut found).await? {
            files.entry(entry.file.file_path().to_owned()).or_default().push(entry);
        }
        found.files += 1;
        progress(found.files, found.files + files.len() as u64);
    }
    let total = found.files + files.len() as u64;
    let at_once = if options.depth == Depth::Bytes {
        READS_MAX
    } else {
        LOOKS_MAX
    };
    // Collected: a closure that lives across an await makes this future not `Send` in general.
    let looks: Vec<_> = files
        .iter()
        .map(|(path, entries)| check_file(store, path, entries, options.depth))
        .collect();
    let mut looks = stream::iter(looks).buffer_unordered(at_once);
    while let Some(looked) = looks.next().await {
        found.merge(looked?);
        progress(found.files, total);
    }
    found.problems.sort_by(|one, other| one.location.cmp(&other.location));
    Ok(found)
}

/// The metadata file, and the older ones and statistics that it names.
async fn check_metadata(store: &FileStore, table: &LoadedTable, depth: Depth, found: &mut Verified) -> Result<()> {
    let location = &table.metadata_location;
    if let Some(bytes) = read(store, location, None, found).await? {
        match serde_json::from_slice::<TableMetadata>(&bytes) {
            Ok(stored) if stored.uuid() != table.metadata.uuid() => {
                found.add(location, None, Damage::Unreadable("it is another table's".into()));
            }
            Ok(_) => {}
            // Columns of types that the format library does not know are read by the catalog only.
            Err(_) if serde_json::from_slice::<serde_json::Value>(&bytes).is_ok() => {}
            Err(error) => found.add(location, None, Damage::Unreadable(error.to_string())),
        }
    }
    found.files += 1;
    for entry in table.metadata.metadata_log() {
        let file = &entry.metadata_file;
        if depth == Depth::Bytes && digest::told(file).is_some() {
            read(store, file, None, found).await?;
            found.files += 1;
        } else {
            look(store, file, None, found).await?;
        }
    }
    for file in table.metadata.statistics_iter() {
        look(
            store,
            &file.statistics_path,
            u64::try_from(file.file_size_in_bytes).ok(),
            found,
        )
        .await?;
    }
    for file in table.metadata.partition_statistics_iter() {
        look(
            store,
            &file.statistics_path,
            u64::try_from(file.file_size_in_bytes).ok(),
            found,
        )
        .await?;
    }
    Ok(())
}

/// The live entries of a manifest, whose counts must be those that the list tells.
async fn check_manifest(store: &FileStore, file: &ManifestFile, found: &mut Verified) -> Result<Vec<Arc<Entry>>> {
    let path = &file.manifest_path;
    let size = u64::try_from(file.manifest_length).ok();
    let Some(bytes) = read(store, path, size, found).await? else {
        return Ok(Vec::new());
    };
    if file.key_metadata.is_some() {
        found.add(path, None, Damage::Unreadable("it is encrypted".into()));
        return Ok(Vec::new());
    }
    let parsed = {
        let file = file.clone();
        guarded(move || manifest::parse(&file, &bytes)).await
    };
    let entries = match parsed {
        Ok(entries) => entries,
        Err(reason) => {
            found.add(path, None, Damage::Unreadable(reason));
            return Ok(Vec::new());
        }
    };
    for (status, files, rows) in [
        (ManifestStatus::Added, file.added_files_count, file.added_rows_count),
        (
            ManifestStatus::Existing,
            file.existing_files_count,
            file.existing_rows_count,
        ),
        (
            ManifestStatus::Deleted,
            file.deleted_files_count,
            file.deleted_rows_count,
        ),
    ] {
        let of_status = || entries.iter().filter(|entry| entry.status == status);
        let counted = of_status().count() as u64;
        if files.is_some_and(|files| u64::from(files) != counted) {
            let expected = u64::from(files.unwrap_or_default());
            found.add(
                path,
                None,
                Damage::Entries {
                    expected,
                    found: counted,
                },
            );
        }
        let counted: u64 = of_status().map(|entry| entry.file.record_count()).sum();
        if let Some(expected) = rows.filter(|rows| *rows != counted) {
            found.add(
                path,
                None,
                Damage::Rows {
                    expected,
                    found: counted,
                },
            );
        }
    }
    let mut seen = HashSet::new();
    let mut live = Vec::new();
    for entry in entries.iter().filter(|entry| entry.is_live()) {
        let place = (entry.file.file_path().to_owned(), entry.file.content_offset());
        if !seen.insert(place) {
            found.add(entry.file.file_path(), None, Damage::Twice(path.clone()));
        }
        live.push(entry.clone());
    }
    Ok(live)
}

/// The whole file, if it is there and as its name and its size tell.
async fn read(store: &FileStore, location: &str, size: Option<u64>, found: &mut Verified) -> Result<Option<Bytes>> {
    let bytes = match store.get(location).await {
        Ok(bytes) => bytes,
        Err(error) => {
            found.add(location, None, damage_of(error)?);
            return Ok(None);
        }
    };
    let length = bytes.len() as u64;
    found.bytes += length;
    if let Some(expected) = size.filter(|size| *size != length) {
        found.add(
            location,
            None,
            Damage::Size {
                expected,
                found: length,
            },
        );
    }
    if digest::holds(location, &bytes) == Some(false) {
        found.add(location, None, Damage::Digest);
    }
    Ok(Some(bytes))
}

async fn look(store: &FileStore, location: &str, size: Option<u64>, found: &mut Verified) -> Result<()> {
    found.files += 1;
    match store.size(location).await {
        Ok(length) => {
            if let Some(expected) = size.filter(|size| *size != length) {
                found.add(
                    location,
                    None,
                    Damage::Size {
                        expected,
                        found: length,
                    },
                );
            }
        }
        Err(error) => found.add(location, None, damage_of(error)?),
    }
    Ok(())
}

/// Parsing takes its time, and a parser of damaged bytes may give up on its own.
async fn guarded<T: Send + 'static>(parse: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T, String> {
    match tokio::task::spawn_blocking(parse).await {
        Ok(parsed) => parsed.map_err(|error| told(&error)),
        Err(_) => Err("its reader gave up".to_owned()),
    }
}

/// What an error says of the file; an error if it says something of the store.
fn damage_of(error: TableError) -> Result<Damage> {
    match error.kind() {
        _ if matches!(error, TableError::FileNotFound { .. }) => Ok(Damage::Missing),
        // A damaged list or manifest names places that are none.
        ErrorKind::Invalid | ErrorKind::NotFound | ErrorKind::Corrupt | ErrorKind::Unsupported => {
            Ok(Damage::Unreadable(told(&error)))
        }
        _ => Err(error),
    }
}

/// An error with its causes.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
