//! One plan for two that differ in the columns that they were asked for.
//!
//! The optimiser leaves out of each place what nobody asks for there: of the same groups one place has the sums, another the counts too.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::{Column, DFSchema, Result};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::logical_plan::TableScanBuilder;
use datafusion::logical_expr::{Aggregate, Expr, Filter, Join, LogicalPlan, Projection, SubqueryAlias, TableScan};

use crate::provider::IcebergTable;

/// A plan with the rows of both, and the columns of both; `None` where they are not the same rows, or a name would stand for two columns.
pub(super) fn merged(one: &LogicalPlan, other: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    match (passes_on(one), passes_on(other)) {
        (Some(_), Some(_)) | (None, None) => {}
        (Some(input), None) => return merged(input, other),
        (None, Some(input)) => return merged(one, input),
    }
    let merged = match (one, other) {
        (LogicalPlan::TableScan(one), LogicalPlan::TableScan(other)) => return scan(one, other),
        (LogicalPlan::Aggregate(one), LogicalPlan::Aggregate(other)) if one.group_expr == other.group_expr => {
            let Some(input) = merged(&one.input, &other.input)? else {
                return Ok(None);
            };
            let computed = both(&one.aggr_expr, &other.aggr_expr);
            Aggregate::try_new(Arc::new(input), one.group_expr.clone(), computed).map(LogicalPlan::Aggregate)
        }
        (LogicalPlan::Filter(one), LogicalPlan::Filter(other)) if one.predicate == other.predicate => {
            let Some(input) = merged(&one.input, &other.input)? else {
                return Ok(None);
            };
            Filter::try_new(one.predicate.clone(), Arc::new(input)).map(LogicalPlan::Filter)
        }
        (LogicalPlan::Projection(one), LogicalPlan::Projection(other)) => {
            let Some(input) = merged(&one.input, &other.input)? else {
                return Ok(None);
            };
            Projection::try_new(both(&one.expr, &other.expr), Arc::new(input)).map(LogicalPlan::Projection)
        }
        (LogicalPlan::SubqueryAlias(one), LogicalPlan::SubqueryAlias(other)) if one.alias == other.alias => {
            let Some(input) = merged(&one.input, &other.input)? else {
                return Ok(None);
            };
            SubqueryAlias::try_new(Arc::new(input), one.alias.clone()).map(LogicalPlan::SubqueryAlias)
        }
        (LogicalPlan::Join(one), LogicalPlan::Join(other)) if is_same_join(one, other) => {
            let (Some(left), Some(right)) = (merged(&one.left, &other.left)?, merged(&one.right, &other.right)?) else {
                return Ok(None);
            };
            let join = Join::try_new(
                Arc::new(left),
                Arc::new(right),
                one.on.clone(),
                one.filter.clone(),
                one.join_type,
                one.join_constraint,
                one.null_equality,
                one.null_aware,
            );
            join.map(LogicalPlan::Join)
        }
        (one, other) => return Ok((one == other && has_same_tables(one, other)?).then(|| one.clone())),
    };
    // What cannot be put together is computed apart.
    Ok(merged.ok().filter(|plan| names_are_one(plan.schema())))
}

/// The columns of a plan that are asked for where `wanted` stood.
pub(super) fn narrowed(plan: LogicalPlan, wanted: &LogicalPlan) -> Result<LogicalPlan> {
    if plan.schema() == wanted.schema() {
        return Ok(plan);
    }
    let columns = wanted.schema().iter();
    let columns = columns.map(|(of, field)| Expr::Column(Column::new(of.cloned(), field.name())));
    let schema = Arc::clone(wanted.schema());
    Ok(LogicalPlan::Projection(Projection::try_new_with_schema(
        columns.collect(),
        Arc::new(plan),
        schema,
    )?))
}

/// The input of what only leaves out some of its columns.
fn passes_on(plan: &LogicalPlan) -> Option<&LogicalPlan> {
    match plan {
        LogicalPlan::Projection(projection) if projection.expr.iter().all(|of| matches!(of, Expr::Column(_))) => {
            Some(&projection.input)
        }
        _ => None,
    }
}

fn both(one: &[Expr], other: &[Expr]) -> Vec<Expr> {
    let more = other.iter().filter(|expression| !one.contains(expression));
    one.iter().chain(more).cloned().collect()
}

fn is_same_join(one: &Join, other: &Join) -> bool {
    one.on == other.on
        && one.filter == other.filter
        && one.join_type == other.join_type
        && one.join_constraint == other.join_constraint
        && one.null_equality == other.null_equality
        && one.null_aware == other.null_aware
}

fn scan(one: &TableScan, other: &TableScan) -> Result<Option<LogicalPlan>> {
    let same = one.table_name == other.table_name
        && one.filters == other.filters
        && one.fetch == other.fetch
        && one.statistics_requests == other.statistics_requests
        && is_same_table(one, other)?;
    if !same {
        return Ok(None);
    }
    let columns = match (&one.projection, &other.projection) {
        (Some(one), Some(other)) => Some(one.iter().chain(other).copied().collect::<BTreeSet<usize>>()),
        _ => None,
    };
    let scan = TableScanBuilder::new(one.table_name.clone(), Arc::clone(&one.source))
        .with_projection(columns.map(|columns| columns.into_iter().collect()))
        .with_filters(one.filters.clone())
        .with_fetch(one.fetch)
        .with_statistics_requests(one.statistics_requests.clone())
        .build()?;
    Ok(Some(LogicalPlan::TableScan(scan)))
}

fn is_same_table(one: &TableScan, other: &TableScan) -> Result<bool> {
    let state = |scan: &TableScan| -> Result<_> {
        let provider = source_as_provider(&scan.source)?;
        Ok(provider.downcast_ref::<IcebergTable>().and_then(IcebergTable::state))
    };
    let (one, other) = (state(one)?, state(other)?);
    Ok(one.is_some() && one == other)
}

/// Whether the scans of equal plans are of the same tables, which plans do not compare.
fn has_same_tables(one: &LogicalPlan, other: &LogicalPlan) -> Result<bool> {
    Ok(super::states(one)?.is_some_and(|states| super::states(other).is_ok_and(|others| others == Some(states))))
}

/// Whether each name stands for one column.
fn names_are_one(schema: &DFSchema) -> bool {
    let fields: Vec<_> = schema.iter().collect();
    fields.iter().enumerate().all(|(at, (of, field))| {
        let later = fields.iter().skip(at + 1);
        let mut alike = later.filter(|(_, other)| other.name() == field.name());
        alike.all(|(other, _)| matches!((of, other), (Some(of), Some(other)) if of != other))
    })
}
