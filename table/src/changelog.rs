//! What each snapshot between two changed, in files and, where files stay while rows of them are deleted, in rows of files.

mod stayed;

use std::collections::HashMap;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use iceberg::spec::{ManifestContentType, ManifestFile, ManifestStatus, Operation, SnapshotRef, TableMetadata};

use self::stayed::{Room, State, stayed};
use crate::error::{Result, TableError};
use crate::file_store::FileStore;
use crate::manifest::{self, Entry};
use crate::scan::{MANIFEST_READS_MAX, ScanFile};

/// One snapshot's change: the rows of `removed` and `deleted` left, those of `added` and `restored` came. Whoever reads a file must
/// apply [`ScanFile::deletes`] and [`ScanFile::only`].
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
    /// Data files that stayed and lost rows: each means those rows only, which may turn out to be none.
    pub deleted: Vec<ScanFile>,
    /// Data files that stayed and have rows again that were deleted before, likewise.
    pub restored: Vec<ScanFile>,
}

/// The changes after `from` (`None`: from the table's first snapshot) up to and with `to`, oldest first. Snapshots that only
/// re-arranged rows (`replace`) are left out. Delete files are not read: which rows they name is found by who reads the files.
///
/// # Errors
/// [`TableError::HistoryBroken`] if `from` was expired or is no ancestor of `to`: then only a full read helps.
/// [`TableError::TooManyDeletes`] if the answer would take too much memory.
pub async fn changes_between(
    store: &FileStore,
    table: &TableMetadata,
    from: Option<i64>,
    to: i64,
) -> Result<Vec<SnapshotChange>> {
    let snapshots = history(table, from, to)?;
    let appends = snapshots
        .iter()
        .all(|snapshot| snapshot.summary().operation == Operation::Append);
    if appends && let Some(changes) = appended(store, table, &snapshots).await? {
        return Ok(changes);
    }
    let room = Room::default();
    let telling = snapshots
        .iter()
        .filter(|snapshot| snapshot.summary().operation != Operation::Replace);
    // Collected: a closure that lives across an await makes this future not `Send` in general.
    let reads: Vec<_> = telling
        .map(|snapshot| change_of(store, table, snapshot, &room))
        .collect();
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
/// is read instead of one for each snapshot. `None` if there are deletes that may touch what came.
async fn appended(
    store: &FileStore,
    table: &TableMetadata,
    snapshots: &[SnapshotRef],
) -> Result<Option<Vec<SnapshotChange>>> {
    let mut changes: Vec<SnapshotChange> = snapshots.iter().map(described).collect();
    let places: HashMap<i64, usize> = changes.iter().enumerate().map(|(at, c)| (c.snapshot_id, at)).collect();
    let manifests = manifest::list(store, table, snapshots.last().map(AsRef::as_ref)).await?;
    let has_deletes = manifests.iter().any(|m| m.content == ManifestContentType::Deletes);
    let news = manifests.iter().filter(|m| places.contains_key(&m.added_snapshot_id));
    let (data, deletes): (Vec<&ManifestFile>, Vec<&ManifestFile>) =
        news.partition(|m| m.content == ManifestContentType::Data);
    for manifest in deletes {
        let entries = manifest::entries(store, manifest).await?;
        if entries.iter().any(|entry| places.contains_key(&entry.snapshot_id)) {
            return Ok(None);
        }
    }
    let reads: Vec<_> = data
        .into_iter()
        .map(|manifest| manifest::live(store, manifest))
        .collect();
    let mut entries = stream::iter(reads).buffered(MANIFEST_READS_MAX);
    while let Some(entries) = entries.try_next().await? {
        for entry in entries {
            let place = places.get(&entry.snapshot_id);
            let Some(change) = place.and_then(|at| changes.get_mut(*at)) else {
                continue;
            };
            // As old as deletes of before it.
            if has_deletes && entry.sequence < change.sequence {
                return Ok(None);
            }
            change.added.push(ScanFile::of(&entry, Vec::new()));
        }
    }
    Ok(Some(changes))
}

async fn change_of(
    store: &FileStore,
    table: &TableMetadata,
    snapshot: &SnapshotRef,
    room: &Room,
) -> Result<SnapshotChange> {
    let id = snapshot.snapshot_id();
    let mut change = described(snapshot);
    let manifests = manifest::list(store, table, Some(snapshot)).await?;
    // A manifest that an older snapshot wrote tells nothing of this one.
    let own = manifests.iter().filter(|m| m.added_snapshot_id == id);
    let (data, deletes): (Vec<&ManifestFile>, Vec<&ManifestFile>) =
        own.partition(|m| m.content == ManifestContentType::Data);
    for manifest in data {
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
    let fresh = change.added.iter().all(|file| file.sequence >= change.sequence);
    if change.operation == Operation::Append && change.removed.is_empty() && deletes.is_empty() && fresh {
        return Ok(change);
    }
    let before = before(store, table, snapshot).await?;
    if before.is_none() && !change.removed.is_empty() {
        return Err(TableError::damaged(format!(
            "snapshot {id} is the first, and removes files"
        )));
    }
    let before = State::read(store, table, before.unwrap_or_default()).await?;
    let after = State::read(store, table, manifests).await?;
    // Rows that were gone before did not leave with their file, and rows that are deleted as they come did not come.
    for file in &mut change.removed {
        file.add_deletes(&before.deletes);
    }
    for file in &mut change.added {
        file.add_deletes(&after.deletes);
    }
    let told = change.removed.iter().chain(&change.added);
    room.take(id, told.map(|file| file.deletes.len()).sum())?;
    let stayed = stayed(store, table, id, &before, &after, room).await?;
    change.deleted = stayed.deleted;
    change.restored = stayed.restored;
    Ok(change)
}

/// The manifests of the snapshot before; `None` before the first.
async fn before(store: &FileStore, table: &TableMetadata, snapshot: &SnapshotRef) -> Result<Option<Vec<ManifestFile>>> {
    let Some(snapshot_id) = snapshot.parent_snapshot_id() else {
        return Ok(None);
    };
    let before = table.snapshot_by_id(snapshot_id);
    let before = before.ok_or(TableError::SnapshotNotFound { snapshot_id })?;
    manifest::list(store, table, Some(before)).await.map(Some)
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
        deleted: Vec::new(),
        restored: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
