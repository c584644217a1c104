//! What a plan would read, told before it runs: the router decides by it, and EXPLAIN shows it.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::{MemTable, source_as_provider};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan, Operator};
use datafusion::prelude::SessionContext;
use tidewater_core::TableName;
use tidewater_table::iceberg::spec::{NestedFieldRef, Schema, Type};

use crate::engine::Engine;
use crate::error::Result;
use crate::live::LiveTable;
use crate::provider::IcebergTable;

/// One scan of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableEstimate {
    /// The table.
    pub table: TableName,
    /// The snapshot.
    pub snapshot_id: Option<i64>,
    /// Files left after pruning.
    pub files: u64,
    /// Files of the snapshot, where its summary tells.
    pub files_total: Option<u64>,
    /// Bytes of the files left, but for what columns have of them that the scan does not read.
    pub bytes: u64,
    /// All bytes of the files left.
    pub file_bytes: u64,
    /// Rows of the files left.
    pub rows: u64,
    /// Delete files that touch them.
    pub delete_files: u64,
}

/// Everything a plan would read of Iceberg tables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScanEstimate {
    /// One entry for each scan.
    pub scans: Vec<TableEstimate>,
}

impl ScanEstimate {
    /// Bytes that all scans read.
    pub fn bytes(&self) -> u64 {
        self.scans.iter().map(|scan| scan.bytes).sum()
    }

    /// Rows of all scans.
    pub fn rows(&self) -> u64 {
        self.scans.iter().map(|scan| scan.rows).sum()
    }

    /// Files of all scans.
    pub fn files(&self) -> u64 {
        self.scans.iter().map(|scan| scan.files).sum()
    }
}

/// The most bytes that a plan may read: all files of its tables, told from what is loaded of them. `None` where one does not tell, as
/// snapshots of some other writers.
pub fn reads_at_most(plan: &LogicalPlan) -> Option<u64> {
    sum(plan, |node| {
        let LogicalPlan::TableScan(scan) = node else {
            return Some(0);
        };
        let provider = source_as_provider(&scan.source).ok()?;
        match provider.downcast_ref::<IcebergTable>() {
            Some(table) => table.bytes_total(),
            // Other tables are no files, and a view that is not in its place yet is not known.
            None => provider.get_logical_plan().is_none().then_some(0),
        }
    })
}

/// The most rows that an optimised plan may read, where it makes few more of them than that: each is joined by a key. `None` where it may
/// make many of few, and where a table does not tell.
pub(crate) fn rows_at_most(plan: &LogicalPlan) -> Option<u64> {
    sum(plan, |node| match node {
        LogicalPlan::TableScan(scan) => {
            let provider = source_as_provider(&scan.source).ok()?;
            provider.downcast_ref::<IcebergTable>()?.rows_total()
        }
        LogicalPlan::Values(values) => u64::try_from(values.values.len()).ok(),
        LogicalPlan::Join(join) => (!join.on.is_empty()).then_some(0),
        LogicalPlan::Unnest(_) | LogicalPlan::RecursiveQuery(_) | LogicalPlan::Extension(_) => None,
        _ => Some(0),
    })
}

/// Whether a plan reads nothing but what this process keeps in memory of the catalog and of itself (`pg_catalog`,
/// `information_schema`, `ops`), and makes few rows more of it: each is joined by a key. One that reads no table at all is of them.
pub fn reads_memory_only(plan: &LogicalPlan) -> bool {
    let small = sum(plan, |node| match node {
        LogicalPlan::TableScan(scan) => {
            let provider = source_as_provider(&scan.source).ok()?;
            let in_memory = provider.downcast_ref::<MemTable>().is_some()
                || provider.downcast_ref::<StreamingTable>().is_some()
                || provider
                    .downcast_ref::<LiveTable>()
                    .is_some_and(LiveTable::is_in_memory);
            in_memory.then_some(0)
        }
        // Before a plan is optimised, the keys stand in the condition.
        LogicalPlan::Join(join) => {
            let equals = |part: &&Expr| matches!(part, Expr::BinaryExpr(compared) if compared.op == Operator::Eq);
            let in_condition = || {
                join.filter
                    .as_ref()
                    .is_some_and(|all| split_conjunction(all).iter().any(equals))
            };
            (!join.on.is_empty() || in_condition()).then_some(0)
        }
        LogicalPlan::Unnest(_)
        | LogicalPlan::RecursiveQuery(_)
        | LogicalPlan::Extension(_)
        | LogicalPlan::Dml(_)
        | LogicalPlan::Ddl(_)
        | LogicalPlan::Copy(_) => None,
        _ => Some(0),
    });
    small.is_some()
}

/// What the nodes of a plan have together, its subqueries' among them, where all tell.
fn sum(plan: &LogicalPlan, of: impl Fn(&LogicalPlan) -> Option<u64>) -> Option<u64> {
    let mut sum = Some(0_u64);
    let visited = plan.apply_with_subqueries(|node| {
        sum = sum.zip(of(node)).map(|(sum, more)| sum.saturating_add(more));
        Ok(match sum {
            Some(_) => TreeNodeRecursion::Continue,
            None => TreeNodeRecursion::Stop,
        })
    });
    visited.ok().and(sum)
}

/// What a plan asks of a table.
struct Asked {
    provider: Arc<dyn TableProvider>,
    /// Columns at the top level, those of conditions among them; `None` for all.
    projection: Option<Vec<usize>>,
    filters: Vec<Expr>,
    limit: Option<usize>,
}

/// Field ids of the leaves of these columns: files have bytes for leaves only.
fn leaves(columns: &Schema, projection: Option<&[usize]>) -> BTreeSet<i32> {
    let mut found = BTreeSet::new();
    for (index, field) in columns.as_struct().fields().iter().enumerate() {
        if projection.is_none_or(|read| read.contains(&index)) {
            add_leaves(field, &mut found);
        }
    }
    found
}

fn add_leaves(field: &NestedFieldRef, found: &mut BTreeSet<i32>) {
    match &*field.field_type {
        Type::Primitive(_) => {
            found.insert(field.id);
        }
        Type::Struct(of) => {
            for field in of.fields() {
                add_leaves(field, found);
            }
        }
        Type::List(of) => add_leaves(&of.element_field, found),
        Type::Map(of) => {
            add_leaves(&of.key_field, found);
            add_leaves(&of.value_field, found);
        }
    }
}

impl Engine {
    /// What the plan would read after pruning. Manifests come from the cache if the plan runs soon after.
    pub async fn estimate(&self, session: &SessionContext, plan: &LogicalPlan) -> Result<ScanEstimate> {
        let plan = match plan {
            LogicalPlan::Explain(explain) => explain.plan.as_ref(),
            LogicalPlan::Analyze(analyze) => analyze.input.as_ref(),
            plan => plan,
        };
        let optimized = session.state().optimize(plan)?;
        let mut scans: Vec<Asked> = Vec::new();
        optimized.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node
                && let Ok(provider) = source_as_provider(&scan.source)
            {
                scans.push(Asked {
                    provider,
                    projection: scan.projection.clone(),
                    filters: scan.filters.clone(),
                    limit: scan.fetch,
                });
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        let mut estimate = ScanEstimate::default();
        for scan in scans {
            let Some(table) = scan.provider.downcast_ref::<IcebergTable>() else {
                continue;
            };
            let planned = table.plan_files(session, &scan.filters, scan.limit).await?;
            let read = leaves(table.columns(), scan.projection.as_deref());
            estimate.scans.push(TableEstimate {
                table: table.table().name.clone(),
                snapshot_id: table.snapshot_id(),
                files: u64::try_from(planned.files().len()).unwrap_or(u64::MAX),
                files_total: planned.files_total,
                bytes: planned.bytes_of(&read),
                file_bytes: planned.bytes(),
                rows: planned.rows(),
                delete_files: planned.delete_files(),
            });
        }
        Ok(estimate)
    }
}

#[cfg(test)]
mod tests;
