//! What somebody may see of a table's rows: put in the table's place where its name is looked up.
//!
//! That is before a statement is planned, and so before anything is answered: from rows, from what manifests tell of them, from results
//! that are kept and plans that are remembered. Nothing in this program has such policies yet; [`RowPolicies`] is where they come in.
//!
//! Invariants: a session with policies sees of a table under one of them what the policy leaves of it and nothing else. What is known of
//! its rows without reading them answers nothing (`IcebergTable::under_policy`); what would tell of them in another way is refused.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Column, TableReference};
use datafusion::datasource::{ViewTable, provider_as_source, source_as_provider};
use datafusion::logical_expr::expr::FieldMetadata;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder};
use tidewater_core::TableName;
use tidewater_table::LoadedTable;

use crate::error::{EngineError, Result};
use crate::provider::IcebergTable;

/// The policies that hold for one principal.
pub trait RowPolicies: fmt::Debug + Send + Sync {
    /// The same for principals who are left the same rows and values of every table, and another one after each change of what that is:
    /// kept results and remembered plans are shared by it.
    fn fingerprint(&self) -> [u8; 32];

    /// What is left of this table; none where that is all of it.
    fn of(&self, table: &LoadedTable) -> Option<RowPolicy>;
}

/// What is left of a table. Expressions name its columns without a qualifier, and hold no subqueries.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RowPolicy {
    /// The rows for which this is true; all if there is none.
    pub filter: Option<Expr>,
    /// Values that stand for those of a column, by its name. They are cast to its type.
    pub masks: BTreeMap<String, Expr>,
}

/// The table as its policy leaves it, under the name that it was asked for by. The filter sees values as they are stored.
pub(crate) fn left(table: IcebergTable, asked: TableReference, policy: RowPolicy) -> Result<Arc<dyn TableProvider>> {
    let schema = table.schema();
    let mut rows = LogicalPlanBuilder::scan(asked, provider_as_source(Arc::new(table.under_policy())), None)?;
    if let Some(filter) = policy.filter {
        rows = rows.filter(filter)?;
    }
    if !policy.masks.is_empty() {
        let mut columns = Vec::with_capacity(schema.fields().len());
        for field in schema.fields() {
            columns.push(match policy.masks.get(field.name()) {
                None => Expr::Column(Column::new_unqualified(field.name())),
                Some(mask) => {
                    let value = mask.clone().cast_to(field.data_type(), rows.schema())?;
                    // Columns are known by what is written there: their field ids.
                    value.alias_with_metadata(field.name(), Some(FieldMetadata::new_from_field(field)))
                }
            });
        }
        rows = rows.project(columns)?;
    }
    Ok(Arc::new(ViewTable::new(rows.build()?, None)))
}

/// Refuses to explain a plan over a table under a policy: an explanation tells of files, rows and bounds, those that the policy leaves
/// out among them.
pub(crate) fn check_explained(plan: &LogicalPlan) -> Result<()> {
    let explained = match plan {
        LogicalPlan::Explain(explain) => explain.plan.as_ref(),
        LogicalPlan::Analyze(analyze) => analyze.input.as_ref(),
        _ => return Ok(()),
    };
    let mut found = None;
    explained.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Ok(provider) = source_as_provider(&scan.source)
            && let Some(table) = provider.downcast_ref::<IcebergTable>()
            && table.is_under_policy()
        {
            found = Some(table.table().name.clone());
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    found.map_or(Ok(()), |table| Err(refused(table, "EXPLAIN")))
}

/// What is not done with a table of which whoever asks sees a part.
pub(crate) fn refused(table: TableName, what: impl Into<String>) -> EngineError {
    EngineError::UnderPolicy {
        table,
        what: what.into(),
    }
}

#[cfg(test)]
mod tests;
