//! A table's own metadata as tables: `"users$snapshots"`, `"users$history"`, `"users$files"`, `"users$refs"`.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Int32Array, Int64Array, StringArray, TimestampMillisecondArray, UInt64Array,
};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::common::DataFusionError;
use datafusion::datasource::MemTable;
use tidewater_table::iceberg::spec::{Operation, Snapshot, TableMetadata};
use tidewater_table::{FileStore, LoadedTable, Scan, ScanFile, TableError};

use crate::error::{EngineError, Result};

/// The metadata tables.
const PARTS: [&str; 4] = ["snapshots", "history", "refs", "files"];

/// Whether there is a metadata table of this name.
pub(crate) fn is_part(name: &str) -> bool {
    PARTS.contains(&name)
}

/// The metadata table of this name; `None` if there is none.
pub(crate) async fn open(
    store: &FileStore,
    table: &LoadedTable,
    snapshot: Option<i64>,
    part: &str,
) -> Result<Option<Arc<dyn TableProvider>>> {
    let columns = match part {
        "snapshots" => snapshots(&table.metadata),
        "history" => history(&table.metadata),
        "refs" => refs(&table.metadata)?,
        "files" => {
            let snapshot = snapshot.or_else(|| table.metadata.current_snapshot_id());
            let files = match snapshot {
                None => Vec::new(),
                snapshot => {
                    Scan::new(store, &table.metadata)
                        .snapshot(snapshot)
                        .with_deletes()
                        .plan()
                        .await?
                }
            };
            file_columns(&files)
        }
        _ => return Ok(None),
    };
    let batch = RecordBatch::try_from_iter_with_nullable(columns).map_err(DataFusionError::from)?;
    let rows = MemTable::try_new(batch.schema(), vec![vec![batch]])?;
    Ok(Some(Arc::new(rows)))
}

type Columns = Vec<(&'static str, ArrayRef, bool)>;

fn moments(milliseconds: impl IntoIterator<Item = i64>) -> ArrayRef {
    let moments = TimestampMillisecondArray::from_iter_values(milliseconds);
    Arc::new(moments.with_timezone("+00:00"))
}

fn operation(snapshot: &Snapshot) -> &'static str {
    match snapshot.summary().operation {
        Operation::Append => "append",
        Operation::Replace => "replace",
        Operation::Overwrite => "overwrite",
        Operation::Delete => "delete",
    }
}

fn snapshots(table: &TableMetadata) -> Columns {
    let mut all: Vec<_> = table.snapshots().collect();
    all.sort_by_key(|snapshot| snapshot.sequence_number());
    let summary = |snapshot: &Snapshot| {
        let sorted: std::collections::BTreeMap<_, _> = snapshot.summary().additional_properties.iter().collect();
        serde_json::to_string(&sorted).unwrap_or_default()
    };
    vec![
        ("committed_at", moments(all.iter().map(|s| s.timestamp_ms())), false),
        (
            "snapshot_id",
            Arc::new(Int64Array::from_iter_values(all.iter().map(|s| s.snapshot_id()))),
            false,
        ),
        (
            "parent_id",
            Arc::new(all.iter().map(|s| s.parent_snapshot_id()).collect::<Int64Array>()),
            true,
        ),
        (
            "sequence_number",
            Arc::new(Int64Array::from_iter_values(all.iter().map(|s| s.sequence_number()))),
            false,
        ),
        (
            "operation",
            Arc::new(StringArray::from_iter_values(all.iter().map(|s| operation(s)))),
            false,
        ),
        (
            "manifest_list",
            Arc::new(StringArray::from_iter_values(all.iter().map(|s| s.manifest_list()))),
            false,
        ),
        (
            "summary",
            Arc::new(StringArray::from_iter_values(all.iter().map(|s| summary(s)))),
            false,
        ),
    ]
}

fn history(table: &TableMetadata) -> Columns {
    let log = table.history();
    let mut ancestors = std::collections::HashSet::new();
    let mut next = table.current_snapshot();
    while let Some(snapshot) = next {
        // A damaged history may go in circles.
        if !ancestors.insert(snapshot.snapshot_id()) {
            break;
        }
        next = snapshot.parent_snapshot_id().and_then(|id| table.snapshot_by_id(id));
    }
    let parent = |id: i64| {
        table
            .snapshot_by_id(id)
            .and_then(|snapshot| snapshot.parent_snapshot_id())
    };
    let current: BooleanArray = log
        .iter()
        .map(|entry| Some(ancestors.contains(&entry.snapshot_id)))
        .collect();
    vec![
        (
            "made_current_at",
            moments(log.iter().map(|entry| entry.timestamp_ms())),
            false,
        ),
        (
            "snapshot_id",
            Arc::new(Int64Array::from_iter_values(log.iter().map(|entry| entry.snapshot_id))),
            false,
        ),
        (
            "parent_id",
            Arc::new(
                log.iter()
                    .map(|entry| parent(entry.snapshot_id))
                    .collect::<Int64Array>(),
            ),
            true,
        ),
        ("is_current_ancestor", Arc::new(current), false),
    ]
}

fn refs(table: &TableMetadata) -> Result<Columns> {
    // The metadata library shows references by name only, its JSON all of them.
    let json = serde_json::to_value(table).map_err(|error| {
        EngineError::Table(TableError::Damaged {
            reason: error.to_string(),
        })
    })?;
    let refs: Vec<(String, String, Option<i64>)> = json
        .get("refs")
        .and_then(|refs| refs.as_object())
        .into_iter()
        .flatten()
        .map(|(name, value)| {
            let kind = value.get("type").and_then(|kind| kind.as_str()).unwrap_or("branch");
            let snapshot = value.get("snapshot-id").and_then(serde_json::Value::as_i64);
            (name.clone(), kind.to_owned(), snapshot)
        })
        .collect();
    Ok(vec![
        (
            "name",
            Arc::new(StringArray::from_iter_values(refs.iter().map(|r| &r.0))),
            false,
        ),
        (
            "type",
            Arc::new(StringArray::from_iter_values(refs.iter().map(|r| &r.1))),
            false,
        ),
        (
            "snapshot_id",
            Arc::new(refs.iter().map(|r| r.2).collect::<Int64Array>()),
            true,
        ),
    ])
}

fn file_columns(files: &[ScanFile]) -> Columns {
    let deletes = files
        .iter()
        .map(|file| u64::try_from(file.deletes.len()).unwrap_or(u64::MAX));
    vec![
        (
            "file_path",
            Arc::new(StringArray::from_iter_values(files.iter().map(|f| &f.path))),
            false,
        ),
        (
            "spec_id",
            Arc::new(Int32Array::from_iter_values(files.iter().map(|f| f.spec_id))),
            false,
        ),
        (
            "partition",
            Arc::new(StringArray::from_iter_values(files.iter().map(partition))),
            false,
        ),
        (
            "record_count",
            Arc::new(UInt64Array::from_iter_values(files.iter().map(|f| f.record_count))),
            false,
        ),
        (
            "file_size_in_bytes",
            Arc::new(UInt64Array::from_iter_values(files.iter().map(|f| f.size_bytes))),
            false,
        ),
        (
            "sequence_number",
            Arc::new(Int64Array::from_iter_values(files.iter().map(|f| f.sequence))),
            false,
        ),
        (
            "snapshot_id",
            Arc::new(Int64Array::from_iter_values(files.iter().map(|f| f.snapshot_id))),
            false,
        ),
        ("delete_files", Arc::new(UInt64Array::from_iter_values(deletes)), false),
    ]
}

fn partition(file: &ScanFile) -> String {
    let values = file.partition.iter().map(|value| match value {
        Some(value) => format!("{value:?}"),
        None => "null".to_owned(),
    });
    format!("[{}]", values.collect::<Vec<_>>().join(", "))
}
