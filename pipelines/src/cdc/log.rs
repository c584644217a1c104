//! Which files of a change log hold changes that a model has not seen.

use std::collections::{BTreeMap, BTreeSet};

use tidewater_table::{
    FileDeletes, FileStore, LoadedTable, Scan, ScanFile, SnapshotChange, TableError, changes_between,
};

use crate::error::{Below, PipelineError, Result};
use crate::plan::ModelPlan;
use crate::worker::Worker;

/// The change log's files with changes the model has not seen, and what deletes rows of them.
pub(super) async fn changed_files(
    worker: &Worker,
    source: &LoadedTable,
    plan: &ModelPlan,
    incremental: bool,
) -> Result<Vec<ScanFile>> {
    let Some(to) = source.metadata.current_snapshot_id() else {
        return Ok(Vec::new());
    };
    if !incremental {
        return worker.files_with_deletes(source).await;
    }
    let from = plan
        .inputs
        .iter()
        .find(|input| input.table == source.name)
        .and_then(|input| input.from);
    let failed = |error: TableError| PipelineError::Table {
        table: source.name.clone(),
        step: "finding its changes",
        source: Below::coded(error),
    };
    let changes = changes_of(worker.engine.store(), source, from, to).await;
    let changes = changes.map_err(failed)?;
    if !strangers(&changes).is_empty() {
        let read = read_files(worker.engine.store(), source, from).await.map_err(failed)?;
        // What a compaction wrote in between has lost rows: it may hold some that were not read, and what it was made of has them still.
        if strangers(&changes).iter().any(|path| !read.contains(*path)) {
            let mut files = worker.files_with_deletes(source).await?;
            files.retain(|file| !read.contains(&file.path));
            return Ok(files);
        }
    }
    let mut files: BTreeMap<String, ScanFile> = BTreeMap::new();
    for change in changes {
        // Rows that retention removed meanwhile are no deletes of the source's rows; their files may be gone already.
        for file in &change.removed {
            files.remove(&file.path);
        }
        files.extend(change.added.into_iter().map(|file| (file.path.clone(), file)));
        // Nor are rows that were deleted from files that stayed. What deleted them before this change still does: none came back.
        for file in change.deleted {
            if let Some(known) = files.get_mut(&file.path) {
                known.deletes = file.deletes;
                known.deletes.extend(file.only.into_iter().flatten());
            }
        }
    }
    Ok(files.into_values().collect())
}

/// The changes after `from` up to `to`. Refused if rows are there again that were deleted: they may be older than what was read, and
/// were never read if they were gone then.
async fn changes_of(
    store: &FileStore,
    source: &LoadedTable,
    from: Option<i64>,
    to: i64,
) -> tidewater_table::Result<Vec<SnapshotChange>> {
    let changes = changes_between(store, &source.metadata, from, to).await?;
    let restored: Vec<&ScanFile> = changes.iter().flat_map(|change| &change.restored).collect();
    for file in restored {
        let Some(deletes) = FileDeletes::of(file, &source.metadata)? else {
            continue;
        };
        if !deletes.kept(store).await?.is_empty() {
            let reason = format!("rows of {} that were deleted are there again", file.path);
            return Err(TableError::HistoryBroken { from, to, reason });
        }
    }
    Ok(changes)
}

/// Files that lost rows, or left, and of which none of these changes tells that they came.
fn strangers(changes: &[SnapshotChange]) -> BTreeSet<&str> {
    let came = changes.iter().flat_map(|change| &change.added);
    let came: BTreeSet<&str> = came.map(|file| file.path.as_str()).collect();
    let left = changes
        .iter()
        .flat_map(|change| change.removed.iter().chain(&change.deleted));
    left.map(|file| file.path.as_str())
        .filter(|path| !came.contains(path))
        .collect()
}

/// Where the files lie that were read.
async fn read_files(
    store: &FileStore,
    source: &LoadedTable,
    from: Option<i64>,
) -> tidewater_table::Result<BTreeSet<String>> {
    if from.is_none() {
        return Ok(BTreeSet::new());
    }
    let scan = Scan::new(store, &source.metadata).snapshot(from).with_deletes();
    let files = scan.plan().await?;
    Ok(files.into_iter().map(|file| file.path).collect())
}
