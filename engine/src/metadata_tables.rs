//! A table's own metadata as tables, `"users$snapshots"` and its like, with the columns that Spark gives them.

mod changes;
mod columns;
mod files;
mod history;
mod manifests;
mod metrics;
mod part_of;
mod partition;
mod partitions;
mod position_deletes;
mod table;
mod values;

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use tidewater_table::LoadedTable;

pub(crate) use self::changes::Range;
use self::files::{Content, Files};
pub use self::part_of::PartOf;
use crate::engine::Parts;
use crate::error::Result;
use crate::lake::version::Version;

/// The metadata tables.
const PARTS: [&str; 17] = [
    "all_data_files",
    "all_delete_files",
    "all_entries",
    "all_files",
    "all_manifests",
    "changes",
    "data_files",
    "delete_files",
    "entries",
    "files",
    "history",
    "manifests",
    "metadata_log_entries",
    "partitions",
    "position_deletes",
    "refs",
    "snapshots",
];

/// Whether there is a metadata table of this name.
pub(crate) fn is_part(name: &str) -> bool {
    PARTS.contains(&name) || Range::parse(name).is_some()
}

/// The metadata table of this name; `None` if there is none. Those that tell of one snapshot tell of that of `version`. To whom grants
/// bind nothing is told of another table's files.
pub(crate) async fn open(
    parts: &Arc<Parts>,
    table: &LoadedTable,
    version: Version,
    part: &str,
    bound: bool,
) -> Result<Option<Arc<dyn TableProvider>>> {
    if let Some(range) = Range::parse(part) {
        return changes::of_range(parts, table, &range, version, bound).await.map(Some);
    }
    let snapshot = version.snapshot_id().or_else(|| table.metadata.current_snapshot_id());
    let files = |content: Content| Files::of_snapshot(parts, table, snapshot, content).bound(bound);
    let all = |content: Content| Files::of_all(parts, table, content).bound(bound);
    let rows = match part {
        // Its scans are of the table itself.
        "changes" => return changes::all(parts, table, snapshot, bound).await.map(Some),
        "snapshots" => history::snapshots(&table.metadata)?,
        "history" => history::history(&table.metadata)?,
        "metadata_log_entries" => history::metadata_log(table)?,
        "refs" => history::references(&table.metadata)?,
        "files" => files::files(files(Content::Any))?,
        "data_files" => files::files(files(Content::Data))?,
        "delete_files" => files::files(files(Content::Deletes))?,
        "all_files" => files::files(all(Content::Any))?,
        "all_data_files" => files::files(all(Content::Data))?,
        "all_delete_files" => files::files(all(Content::Deletes))?,
        "entries" => files::entries(files(Content::Any))?,
        "all_entries" => files::entries(all(Content::Any))?,
        "manifests" => manifests::manifests(parts, table, snapshot)?,
        "all_manifests" => manifests::all_manifests(parts, table)?,
        "partitions" => partitions::partitions(files(Content::Any))?,
        "position_deletes" => position_deletes::position_deletes(files(Content::Deletes))?,
        _ => return Ok(None),
    };
    Ok(Some(PartOf::provider(table, rows)))
}

#[cfg(test)]
mod tests;
