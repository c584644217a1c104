//! What each snapshot between two changed, in files.

use std::collections::HashMap;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use iceberg::spec::{ManifestContentType, ManifestFile, ManifestStatus, Operation, SnapshotRef, TableMetadata};

use crate::error::{Result, TableError};
use crate::file_store::FileStore;
use crate::manifest::{self, Entry};
use crate::scan::{Deletes, MANIFEST_READS_MAX, ScanFile};

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
    store: &FileStore,
    table: &TableMetadata,
    from: Option<i64>,
    to: i64,
) -> Result<Vec<SnapshotChange>> {
    let snapshots = history(table, from, to)?;
    if snapshots
        .iter()
        .all(|snapshot| snapshot.summary().operation == Operation::Append)
    {
        return appended(store, table, &snapshots).await;
    }
    let telling = snapshots
        .iter()
        .filter(|snapshot| snapshot.summary().operation != Operation::Replace);
    // Collected: a closure that lives across an await makes this future not `Send` in general.
    let reads: Vec<_> = telling.map(|snapshot| change_of(store, table, snapshot)).collect();
    stream::iter(reads).buffered(MANIFEST_READS_MAX).try_collect().await
}

/// The snapshots after `from` up to `to`, oldest first.
pub(crate) fn history(table: &TableMetadata, from: Option<i64>, to: i64) -> Result<Vec<SnapshotRef>> {
    if table.snapshot_by_id(to).is_none() {
        return Err(TableError::SnapshotNotFound { snapshot_id: to });
    }
    let broken = |reason: String| TableError::HistoryBroken { from, to, reason };
    let (mut found, mut at) = (Vec::new(), Some(to));
    while at != from {
        let Some(id) = at else {
            return Err(broken("the first is no ancestor of the last".into()));
        };
        let Some(snapshot) = table.snapshot_by_id(id) else {
            return Err(broken(format!("snapshot {id} is expired")));
        };
        found.push(snapshot.clone());
        at = snapshot.parent_snapshot_id();
    }
    found.reverse();
    Ok(found)
}

/// Nothing left the table in between, so the last snapshot still lists every file, with the snapshot that brought it: one list
/// is read instead of one for each snapshot.
async fn appended(store: &FileStore, table: &TableMetadata, snapshots: &[SnapshotRef]) -> Result<Vec<SnapshotChange>> {
    let mut changes: Vec<SnapshotChange> = snapshots.iter().map(described).collect();
    let places: HashMap<i64, usize> = changes.iter().enumerate().map(|(at, c)| (c.snapshot_id, at)).collect();
    let manifests = manifest::list(store, table, snapshots.last().map(AsRef::as_ref)).await?;
    let news = manifests.iter().filter(|m| places.contains_key(&m.added_snapshot_id));
    refuse_deletes(news.clone())?;
    let reads: Vec<_> = news.map(|manifest| manifest::live(store, manifest)).collect();
    let mut entries = stream::iter(reads).buffered(MANIFEST_READS_MAX);
    while let Some(entries) = entries.try_next().await? {
        for entry in entries {
            if let Some(change) = places.get(&entry.snapshot_id).and_then(|at| changes.get_mut(*at)) {
                change.added.push(ScanFile::of(&entry, Vec::new()));
            }
        }
    }
    Ok(changes)
}

async fn change_of(store: &FileStore, table: &TableMetadata, snapshot: &SnapshotRef) -> Result<SnapshotChange> {
    let id = snapshot.snapshot_id();
    let mut change = described(snapshot);
    let manifests = manifest::list(store, table, Some(snapshot)).await?;
    // A manifest that an older snapshot wrote tells nothing of this one.
    let own = manifests.iter().filter(|m| m.added_snapshot_id == id);
    refuse_deletes(own.clone())?;
    for manifest in own {
        let entries = manifest::entries(store, manifest).await?;
        let files = |status: ManifestStatus| {
            let of = entries
                .iter()
                .filter(move |entry: &&Arc<Entry>| entry.status == status && entry.snapshot_id == id);
            of.map(|entry| ScanFile::of(entry, Vec::new()))
        };
        change.added.extend(files(ManifestStatus::Added));
        change.removed.extend(files(ManifestStatus::Deleted));
    }
    if !change.removed.is_empty() {
        // Rows that were gone before did not leave with their file.
        let before = snapshot.parent_snapshot_id().and_then(|id| table.snapshot_by_id(id));
        let Some(before) = before else {
            return Err(TableError::SnapshotNotFound {
                snapshot_id: snapshot.parent_snapshot_id().unwrap_or_default(),
            });
        };
        let manifests = manifest::list(store, table, Some(before)).await?;
        let deletes = Deletes::read(store, table, &manifests).await?;
        for file in &mut change.removed {
            file.add_deletes(&deletes);
        }
    }
    Ok(change)
}

/// Row deletes change rows of files that stay: files alone cannot tell such a change.
fn refuse_deletes<'a>(manifests: impl Iterator<Item = &'a ManifestFile>) -> Result<()> {
    let mut deletes = manifests.filter(|m| m.content == ManifestContentType::Deletes && m.has_added_files());
    match deletes.next() {
        Some(manifest) => Err(TableError::Unsupported {
            what: format!(
                "changes of a snapshot with row deletes ({})",
                manifest.added_snapshot_id
            ),
        }),
        None => Ok(()),
    }
}

fn described(snapshot: &SnapshotRef) -> SnapshotChange {
    SnapshotChange {
        snapshot_id: snapshot.snapshot_id(),
        sequence: snapshot.sequence_number(),
        timestamp_ms: snapshot.timestamp_ms(),
        operation: snapshot.summary().operation.clone(),
        summary: snapshot.summary().additional_properties.clone(),
        added: Vec::new(),
        removed: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
