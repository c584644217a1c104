//! What snapshots changed, in rows: `"t$changes"`, and the function `changes('ns.t', from, to)`.

use std::fmt;
use std::sync::Arc;

use datafusion::catalog::TableProvider;

use datafusion::common::Column;
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, lit};
use tidewater_table::foreign::{folders_outside, require_own};
use tidewater_table::{LoadedTable, ScanFile, SnapshotChange, changes_between};

use crate::engine::Parts;
use crate::error::Result;
use crate::lake::version::{self, Version};
use crate::provider::IcebergTable;

/// Columns behind those of the table.
const CHANGE_TYPE: &str = "_change_type";
const COMMIT_SNAPSHOT: &str = "_commit_snapshot_id";
const ORDINAL: &str = "_change_ordinal";

/// What the function `changes` was asked for, as it stands in the name of a table: `t$changes(5,audit)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Range {
    /// A snapshot, a branch or a tag; without one from the first snapshot on.
    pub(crate) from: Option<String>,
    /// The same; without one up to the table's present.
    pub(crate) to: Option<String>,
}

impl Range {
    /// Of a name's part.
    pub(super) fn parse(part: &str) -> Option<Self> {
        let (from, to) = part.strip_prefix("changes(")?.strip_suffix(')')?.split_once(',')?;
        let version = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Some(Self {
            from: version(from),
            to: version(to),
        })
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = |version: &Option<String>| version.clone().unwrap_or_default();
        write!(f, "changes({},{})", version(&self.from), version(&self.to))
    }
}

/// The changes of a range.
pub(super) async fn of_range(
    parts: &Arc<Parts>,
    table: &LoadedTable,
    range: &Range,
    version: Version,
    bound: bool,
) -> Result<Arc<dyn TableProvider>> {
    let present = version.snapshot_id().or_else(|| table.metadata.current_snapshot_id());
    let from = match &range.from {
        Some(from) => version::resolve(table, from)?.snapshot_id(),
        None => None,
    };
    let to = match &range.to {
        Some(to) => version::resolve(table, to)?.snapshot_id().or(present),
        None => present,
    };
    between(parts, table, from, to, bound).await
}

/// All changes up to this snapshot.
pub(super) async fn all(
    parts: &Arc<Parts>,
    table: &LoadedTable,
    snapshot: Option<i64>,
    bound: bool,
) -> Result<Arc<dyn TableProvider>> {
    between(parts, table, None, snapshot, bound).await
}

/// The changes after `from` up to and with `to`: rows of files that came are inserts, those of files that left are deletes, and so are
/// rows of files that stayed, if the deletes of these say so. Snapshots that only re-arrange rows change nothing.
async fn between(
    parts: &Arc<Parts>,
    table: &LoadedTable,
    from: Option<i64>,
    to: Option<i64>,
    bound: bool,
) -> Result<Arc<dyn TableProvider>> {
    let changes = match to {
        Some(to) => changes_between(&parts.store, &table.metadata, from, to).await?,
        None => Vec::new(),
    };
    if bound {
        let folders = outside(table, &changes);
        require_own(&*parts.catalog, &table.name, &folders).await?;
    }
    let mut union: Option<LogicalPlanBuilder> = None;
    let mut add = |files: Vec<ScanFile>, kind: &str, snapshot_id: i64, ordinal: i32| -> Result<()> {
        let rows = rows(parts, table, files, kind, snapshot_id, ordinal)?;
        union = Some(match union.take() {
            Some(before) => before.union(rows)?,
            None => LogicalPlanBuilder::from(rows),
        });
        Ok(())
    };
    for (ordinal, change) in (0..).zip(changes) {
        let SnapshotChange {
            snapshot_id,
            added: mut came,
            removed: mut left,
            deleted,
            restored,
            ..
        } = change;
        left.extend(deleted);
        came.extend(restored);
        if !left.is_empty() {
            add(left, "delete", snapshot_id, ordinal)?;
        }
        if !came.is_empty() {
            add(came, "insert", snapshot_id, ordinal)?;
        }
    }
    let plan = match union {
        Some(union) => union.build()?,
        None => rows(parts, table, Vec::new(), "insert", 0, 0)?,
    };
    Ok(Arc::new(ViewTable::new(plan, None)))
}

/// The folders of changed files and their delete files that do not lie in the table's location.
fn outside(table: &LoadedTable, changes: &[SnapshotChange]) -> Vec<String> {
    let files = changes.iter().flat_map(|change| {
        let moved = change.added.iter().chain(&change.removed);
        moved.chain(&change.deleted).chain(&change.restored)
    });
    folders_outside(table.metadata.location(), files.flat_map(ScanFile::paths))
}

fn rows(
    parts: &Arc<Parts>,
    table: &LoadedTable,
    files: Vec<ScanFile>,
    kind: &str,
    snapshot_id: i64,
    ordinal: i32,
) -> Result<LogicalPlan> {
    let files = IcebergTable::of_files(parts.clone(), table.clone(), files)?;
    let schema = files.schema();
    let own = schema.fields().iter().map(|field| {
        let name = Column::from_name(field.name());
        Expr::Column(name)
    });
    let added = [
        lit(kind).alias(CHANGE_TYPE),
        lit(ordinal).alias(ORDINAL),
        lit(snapshot_id).alias(COMMIT_SNAPSHOT),
    ];
    let expressions: Vec<_> = own.chain(added).collect();
    let scan = LogicalPlanBuilder::scan("changes", provider_as_source(Arc::new(files)), None)?;
    let plan = scan.project(expressions).and_then(LogicalPlanBuilder::build);
    Ok(plan?)
}

#[cfg(test)]
mod tests;
