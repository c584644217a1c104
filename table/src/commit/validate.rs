//! Is a change still right on a head that others have moved? The rules are those that every Iceberg writer keeps.

mod deletes;

use std::sync::Arc;

use iceberg::spec::{ManifestContentType, ManifestFile, ManifestStatus, Operation, SnapshotRef, TableMetadata};

use super::columns;
use crate::change::{Change, Target};
use crate::error::Result;
use crate::file_store::FileStore;
use crate::manifest::{self, Entry, partition_key};
use crate::scan::Pruner;

/// `Some(reason)` if the change must be computed anew from the data; `None` if planning it again is enough.
pub(super) async fn conflict(store: &FileStore, table: &TableMetadata, change: &Change) -> Result<Option<String>> {
    let conditions = &change.conditions;
    if let Some(wanted) = conditions.table_uuid.filter(|uuid| *uuid != table.uuid()) {
        return Ok(Some(format!("the name means table {} now, not {wanted}", table.uuid())));
    }
    if let Some(reason) = conditions
        .schema
        .as_ref()
        .and_then(|schema| columns::misfit(schema, table.current_schema()))
    {
        return Ok(Some(format!("its columns were changed: {reason}")));
    }
    if conditions.branch_there
        && let Target::Branch(name) = &change.target
        && change.target.head(table).is_none()
    {
        return Ok(Some(format!("branch {name} is gone")));
    }
    if let Some(gone) = conditions.files_of.filter(|id| table.snapshot_by_id(*id).is_none()) {
        return Ok(Some(format!("snapshot {gone}, whose files it takes, is gone")));
    }
    let head = change.target.parent(table).map(|snapshot| snapshot.snapshot_id());
    if conditions.exact_head && head != conditions.read_at {
        return Ok(Some(format!("the head is {head:?}, not {:?}", conditions.read_at)));
    }
    if let Some(wanted) = conditions.exact_schema.filter(|id| *id != table.current_schema_id()) {
        let now = table.current_schema_id();
        return Ok(Some(format!("the columns are those of schema {now}, not of {wanted}")));
    }
    if change.needs_nothing() && !conditions.forbid_new_rows {
        return Ok(None);
    }
    // A change computed from an empty table, or one that does not say: all of the history is new to it.
    let Some(since) = since(table, head, conditions.read_at) else {
        return Ok(match conditions.read_at {
            Some(read_at) => Some(format!("snapshot {read_at} is no ancestor of the head")),
            None if conditions.forbid_new_rows => Some("the history of the table is not complete".into()),
            // Without a state it was read at, all it needs is that its files are live, which planning checks.
            None => None,
        });
    };
    if conditions.read_at.is_none() && !conditions.forbid_new_rows {
        return Ok(None);
    }
    let mut new_deletes = Vec::new();
    for snapshot in since {
        // Each snapshot's own list is read, for a later one may have merged its manifests and dropped the deleted entries.
        let manifests = manifest::list(store, table, Some(&snapshot)).await?;
        for file in manifests
            .iter()
            .filter(|m| m.added_snapshot_id == snapshot.snapshot_id())
        {
            match file.content {
                ManifestContentType::Data => {
                    let found = data_conflict(store, table, file, &snapshot, change).await?;
                    if found.is_some() {
                        return Ok(found);
                    }
                }
                ManifestContentType::Deletes => new_deletes.extend(added_deletes(store, file, change).await?),
            }
        }
    }
    deletes::conflict(store, table, change, new_deletes).await
}

/// The snapshots after `read_at` up to the head, newest first; `None` if the history does not reach back.
fn since(table: &TableMetadata, head: Option<i64>, read_at: Option<i64>) -> Option<Vec<SnapshotRef>> {
    let (mut found, mut at) = (Vec::new(), head);
    while at != read_at {
        let snapshot = table.snapshot_by_id(at?)?;
        found.push(snapshot.clone());
        at = snapshot.parent_snapshot_id();
    }
    Some(found)
}

async fn data_conflict(
    store: &FileStore,
    table: &TableMetadata,
    file: &ManifestFile,
    snapshot: &SnapshotRef,
    change: &Change,
) -> Result<Option<String>> {
    // A snapshot that only re-arranged rows added none.
    let adds_rows = file.has_added_files() && snapshot.summary().operation != Operation::Replace;
    if change.conditions.forbid_new_rows && adds_rows && may_matter(store, table, file, snapshot, change).await? {
        return Ok(Some(format!("snapshot {} added rows", snapshot.snapshot_id())));
    }
    if change.needs_nothing() || !file.has_deleted_files() {
        return Ok(None);
    }
    let entries = manifest::entries(store, file).await?;
    let lost = entries.iter().find(|entry| {
        entry.status == ManifestStatus::Deleted
            && entry.snapshot_id == snapshot.snapshot_id()
            && change.needs(entry.file.file_path())
    });
    Ok(lost.map(|entry| {
        format!(
            "{} was removed by snapshot {}",
            entry.file.file_path(),
            snapshot.snapshot_id()
        )
    }))
}

/// Whether a manifest adds rows that the change would have had to look at.
async fn may_matter(
    store: &FileStore,
    table: &TableMetadata,
    file: &ManifestFile,
    snapshot: &SnapshotRef,
    change: &Change,
) -> Result<bool> {
    let (rows_of, rows_in) = (&change.conditions.rows_of, &change.conditions.rows_in);
    if rows_of.is_none() && rows_in.is_none() {
        return Ok(true);
    }
    let entries = manifest::entries(store, file).await?;
    let pruner = Pruner::new(table, rows_of.as_ref());
    let is_in = |entry: &Entry| match rows_in {
        Some(partitions) => partitions.contains(&(entry.spec_id, partition_key(entry.file.partition()))),
        None => true,
    };
    let is_new = |entry: &Entry| entry.status == ManifestStatus::Added && entry.snapshot_id == snapshot.snapshot_id();
    Ok(entries
        .iter()
        .any(|entry| is_new(entry) && is_in(entry) && pruner.keeps_file(entry)))
}

/// The deletes that a manifest adds, unless the change rests on no file whose rows they could delete.
async fn added_deletes(store: &FileStore, file: &ManifestFile, change: &Change) -> Result<Vec<Arc<Entry>>> {
    if !file.has_added_files() || change.needs_nothing() {
        return Ok(Vec::new());
    }
    let entries = manifest::entries(store, file).await?;
    let added = entries.iter().filter(|entry| entry.status == ManifestStatus::Added);
    Ok(added.cloned().collect())
}
