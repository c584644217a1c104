//! Where the head of main, or of a branch, stands: rolled back, set, or forwarded.

use iceberg::spec::{MAIN_BRANCH, SnapshotReference, SnapshotRetention, TableMetadata};

use super::{Wish, move_refs, refs_of, refused, snapshot_of};
use crate::catalog::{Catalog, LoadedTable};
use crate::error::{Result, TableError};
use crate::file_store::FileStore;
use tidewater_core::TableName;

/// A head that moved, or stood where it was to go.
#[derive(Debug, Clone)]
pub struct HeadMoved {
    /// The table after it.
    pub table: LoadedTable,
    /// Where the head stood.
    pub from: Option<i64>,
    /// Where it stands.
    pub to: i64,
}

/// Lets main stand at one of its ancestors. What came after stays until it expires.
pub async fn rollback_to_snapshot(
    catalog: &dyn Catalog,
    store: &FileStore,
    name: &TableName,
    snapshot_id: i64,
) -> Result<HeadMoved> {
    move_main(catalog, store, name, &|table| ancestor(table, snapshot_id)).await
}

/// What [`rollback_to_snapshot`] would do to a table. Nothing is changed.
///
/// # Errors
/// If the snapshot is not one of main's.
pub fn plan_rollback(table: &LoadedTable, snapshot_id: i64) -> Result<HeadMoved> {
    Ok(HeadMoved {
        table: table.clone(),
        from: table.metadata.current_snapshot_id(),
        to: ancestor(&table.metadata, snapshot_id)?,
    })
}

fn ancestor(table: &TableMetadata, snapshot_id: i64) -> Result<i64> {
    known(table, snapshot_id)?;
    match ancestors(table, table.current_snapshot_id()).any(|id| id == snapshot_id) {
        true => Ok(snapshot_id),
        false => Err(refused(
            format!("rolling back to snapshot {snapshot_id}"),
            "it is no ancestor of the current snapshot",
            "use set_current_snapshot to go to any snapshot of the table",
        )),
    }
}

/// Lets main stand where it stood before a moment: at the newest ancestor older than it.
pub async fn rollback_to_timestamp(
    catalog: &dyn Catalog,
    store: &FileStore,
    name: &TableName,
    before_ms: i64,
) -> Result<HeadMoved> {
    let target = |table: &TableMetadata| {
        let older = ancestors(table, table.current_snapshot_id())
            .filter_map(|id| table.snapshot_by_id(id))
            .filter(|snapshot| snapshot.timestamp_ms() < before_ms)
            .max_by_key(|snapshot| snapshot.timestamp_ms());
        match older {
            Some(snapshot) => Ok(snapshot.snapshot_id()),
            None => Err(refused(
                format!("rolling back to {before_ms} ms"),
                "no ancestor of the current snapshot is that old",
                "look at the table's history",
            )),
        }
    };
    move_main(catalog, store, name, &target).await
}

/// Lets main stand at any snapshot of the table.
pub async fn set_current_snapshot(
    catalog: &dyn Catalog,
    store: &FileStore,
    name: &TableName,
    snapshot_id: i64,
) -> Result<HeadMoved> {
    let target = |table: &TableMetadata| known(table, snapshot_id).map(|()| snapshot_id);
    move_main(catalog, store, name, &target).await
}

/// Lets a branch stand where another branch or a tag stands, if that is ahead of it. A branch that is not there is made.
pub async fn fast_forward(
    catalog: &dyn Catalog,
    store: &FileStore,
    name: &TableName,
    branch: &str,
    to: &str,
) -> Result<HeadMoved> {
    let target = |table: &TableMetadata| {
        let ahead = snapshot_of(table, to)?;
        let Some(behind) = table.snapshot_for_ref(branch).map(|s| s.snapshot_id()) else {
            return Ok(ahead);
        };
        match ancestors(table, Some(ahead)).any(|id| id == behind) {
            true => Ok(ahead),
            false => Err(refused(
                format!("forwarding {branch} to {to}"),
                format!("snapshot {behind} of {branch} is no ancestor of snapshot {ahead} of {to}"),
                "cherry-pick the snapshots, or write them anew",
            )),
        }
    };
    move_branch(catalog, store, name, branch, &target).await
}

async fn move_main(
    catalog: &dyn Catalog,
    store: &FileStore,
    name: &TableName,
    target: &(dyn Fn(&TableMetadata) -> Result<i64> + Sync),
) -> Result<HeadMoved> {
    move_branch(catalog, store, name, MAIN_BRANCH, target).await
}

async fn move_branch(
    catalog: &dyn Catalog,
    store: &FileStore,
    name: &TableName,
    branch: &str,
    target: &(dyn Fn(&TableMetadata) -> Result<i64> + Sync),
) -> Result<HeadMoved> {
    // Of the state that the last plan was made on: the one that was committed.
    let moved = std::sync::Mutex::new((None, 0));
    let plan = |table: &TableMetadata| -> Result<Vec<Wish>> {
        let to = target(table)?;
        let there = refs_of(table)?.remove(branch);
        let from = there.as_ref().map(|reference| reference.snapshot_id);
        let retention = match there {
            Some(SnapshotReference {
                retention: SnapshotRetention::Tag { .. },
                ..
            }) => {
                return Err(refused(format!("moving {branch}"), "it is a tag", "name a branch"));
            }
            Some(reference) => reference.retention,
            None => SnapshotRetention::branch(None, None, None),
        };
        *moved.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = (from, to);
        // A table of version 1 tells main only as its current snapshot.
        if from.or_else(|| table.current_snapshot_id().filter(|_| branch == MAIN_BRANCH)) == Some(to) {
            return Ok(Vec::new());
        }
        Ok(vec![(branch.to_owned(), Some(SnapshotReference::new(to, retention)))])
    };
    let table = move_refs(catalog, store, name, &plan).await?;
    let (from, to) = *moved.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok(HeadMoved { table, from, to })
}

fn known(table: &TableMetadata, snapshot_id: i64) -> Result<()> {
    match table.snapshot_by_id(snapshot_id) {
        Some(_) => Ok(()),
        None => Err(TableError::SnapshotNotFound { snapshot_id }),
    }
}

/// A snapshot and those it came from, newest first, as far as they are kept.
pub(super) fn ancestors(table: &TableMetadata, from: Option<i64>) -> impl Iterator<Item = i64> + '_ {
    let parent = |id: &i64| table.snapshot_by_id(*id)?.parent_snapshot_id();
    std::iter::successors(from, parent).filter(|id| table.snapshot_by_id(*id).is_some())
}
