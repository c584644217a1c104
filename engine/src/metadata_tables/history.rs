//! Tables of what the table's metadata file says: snapshots, their history, the files before it, branches and tags.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use tidewater_table::LoadedTable;
use tidewater_table::iceberg::spec::{Operation, SnapshotRef, TableMetadata};

use super::columns::{flags, ints, longs, moments, text_maps, texts};
use super::table::{Known, MetadataTable};
use crate::error::Result;
use crate::lake::version;

fn operation(operation: &Operation) -> &'static str {
    match operation {
        Operation::Append => "append",
        Operation::Replace => "replace",
        Operation::Overwrite => "overwrite",
        Operation::Delete => "delete",
    }
}

/// All snapshots, in the order of their commits.
pub(super) fn snapshots(table: &TableMetadata) -> Result<Arc<dyn TableProvider>> {
    let mut all: Vec<SnapshotRef> = table.snapshots().cloned().collect();
    all.sort_by_key(|snapshot| (snapshot.sequence_number(), snapshot.timestamp_ms()));
    let summary = |snapshot: &SnapshotRef| {
        let properties = snapshot.summary().additional_properties.iter();
        properties.map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    let columns = vec![
        moments("committed_at", false, |snapshot: &SnapshotRef| {
            Some(snapshot.timestamp_ms())
        })?,
        longs("snapshot_id", false, |snapshot: &SnapshotRef| {
            Some(snapshot.snapshot_id())
        })?,
        longs("parent_id", true, |snapshot: &SnapshotRef| {
            snapshot.parent_snapshot_id()
        })?,
        texts("operation", true, |snapshot: &SnapshotRef| {
            Some(operation(&snapshot.summary().operation).to_owned())
        })?,
        texts("manifest_list", true, |snapshot: &SnapshotRef| {
            Some(snapshot.manifest_list().to_owned())
        })?,
        text_maps("summary", summary)?,
    ];
    Ok(MetadataTable::provider(columns, Known(all)))
}

/// A line of the history.
#[derive(Debug, Clone)]
struct Made {
    at_ms: i64,
    snapshot_id: i64,
    parent_id: Option<i64>,
    is_ancestor: bool,
}

/// Which snapshot became the current one when.
pub(super) fn history(table: &TableMetadata) -> Result<Arc<dyn TableProvider>> {
    let mut ancestors = HashSet::new();
    let mut next = table.current_snapshot();
    while let Some(snapshot) = next {
        // A damaged history may go in circles.
        if !ancestors.insert(snapshot.snapshot_id()) {
            break;
        }
        next = snapshot.parent_snapshot_id().and_then(|id| table.snapshot_by_id(id));
    }
    let rows = table.history().iter().map(|entry| Made {
        at_ms: entry.timestamp_ms(),
        snapshot_id: entry.snapshot_id,
        parent_id: table
            .snapshot_by_id(entry.snapshot_id)
            .and_then(|snapshot| snapshot.parent_snapshot_id()),
        is_ancestor: ancestors.contains(&entry.snapshot_id),
    });
    let columns = vec![
        moments("made_current_at", false, |row: &Made| Some(row.at_ms))?,
        longs("snapshot_id", false, |row: &Made| Some(row.snapshot_id))?,
        longs("parent_id", true, |row: &Made| row.parent_id)?,
        flags("is_current_ancestor", |row: &Made| row.is_ancestor)?,
    ];
    Ok(MetadataTable::provider(columns, Known(rows.collect())))
}

/// A metadata file, with the snapshot that was current when it was written.
#[derive(Debug, Clone)]
struct Logged {
    at_ms: i64,
    file: String,
    snapshot: Option<SnapshotRef>,
}

/// The metadata files that the table went through, the present one last.
pub(super) fn metadata_log(table: &LoadedTable) -> Result<Arc<dyn TableProvider>> {
    let metadata = &table.metadata;
    let current = |at_ms: i64| {
        let entry = metadata
            .history()
            .iter()
            .rev()
            .find(|entry| entry.timestamp_ms() <= at_ms)?;
        metadata.snapshot_by_id(entry.snapshot_id).cloned()
    };
    let before = metadata
        .metadata_log()
        .iter()
        .map(|entry| (entry.timestamp_ms, entry.metadata_file.clone()));
    let all = before.chain([(metadata.last_updated_ms(), table.metadata_location.clone())]);
    let rows = all.map(|(at_ms, file)| Logged {
        at_ms,
        file,
        snapshot: current(at_ms),
    });
    let columns = vec![
        moments("timestamp", false, |row: &Logged| Some(row.at_ms))?,
        texts("file", false, |row: &Logged| Some(row.file.clone()))?,
        longs("latest_snapshot_id", true, |row: &Logged| {
            row.snapshot.as_ref().map(|snapshot| snapshot.snapshot_id())
        })?,
        ints("latest_schema_id", true, |row: &Logged| {
            row.snapshot.as_ref().and_then(|snapshot| snapshot.schema_id())
        })?,
        longs("latest_sequence_number", true, |row: &Logged| {
            row.snapshot.as_ref().map(|snapshot| snapshot.sequence_number())
        })?,
    ];
    Ok(MetadataTable::provider(columns, Known(rows.collect())))
}

/// Branches and tags.
pub(super) fn references(table: &TableMetadata) -> Result<Arc<dyn TableProvider>> {
    type Row = (String, version::Reference);
    let columns = vec![
        texts("name", false, |row: &Row| Some(row.0.clone()))?,
        texts("type", false, |row: &Row| {
            Some(if row.1.is_branch { "BRANCH" } else { "TAG" }.to_owned())
        })?,
        longs("snapshot_id", false, |row: &Row| Some(row.1.snapshot_id))?,
        longs("max_reference_age_in_ms", true, |row: &Row| row.1.max_reference_age_ms)?,
        ints("min_snapshots_to_keep", true, |row: &Row| {
            row.1.min_snapshots_to_keep.and_then(|count| i32::try_from(count).ok())
        })?,
        longs("max_snapshot_age_in_ms", true, |row: &Row| row.1.max_snapshot_age_ms)?,
    ];
    let rows: Vec<Row> = version::references(table)?.into_iter().collect();
    Ok(MetadataTable::provider(columns, Known(rows)))
}
