//! Groups that nobody asks for, left out before they are made.
//!
//! A subquery that is correlated by a key (`… < (SELECT avg(x) FROM t WHERE t.key = outer.key)`) is planned as the groups of all keys,
//! joined with what is outside (DataFusion 55.2): of a large table, millions of groups of which a few are looked at. The keys that are
//! looked at come from the other side of the join, and where that goes back to a small table with a condition, this table's keys are all
//! there can be. A semi join with them below the aggregate leaves out the rows of all other groups. It reads the small table once more.
//!
//! Source: magic sets, as in Mumick and Pirahesh, "Implementation of Magic-sets in a Relational Database System", SIGMOD 1994.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, JoinConstraint, JoinType, NullEquality, Result, TableReference};
use datafusion::logical_expr::{Aggregate, Expr, Filter, Join, LogicalPlan, Projection, SubqueryAlias};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::semi_joins::unnamed;
use crate::estimate::rows_at_most;

/// What the keys are called, by which is seen that they are there already.
const KEYS: &str = "__asked_groups";

/// A table is small beside one that has so many times its rows.
const SMALLER: u64 = 4;

/// Leaves out rows of groups that are not asked for.
#[derive(Debug)]
pub(super) struct AskedGroups;

impl OptimizerRule for AskedGroups {
    fn name(&self) -> &str {
        "asked_groups"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Join(join) = &plan else {
            return Ok(Transformed::no(plan));
        };
        // Groups without a row on the left give no row of any of these, and change none. `NOT IN` asks for more: whether a key is null, and
        // whether there is any.
        let left_decides = matches!(
            join.join_type,
            JoinType::Inner | JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti
        );
        if !left_decides || join.null_aware || join.null_equality != NullEquality::NullEqualsNothing {
            return Ok(Transformed::no(plan));
        }
        for (asked, group) in &join.on {
            let (Expr::Column(asked), Expr::Column(group)) = (asked, group) else {
                continue;
            };
            let Some(at) = join.right.schema().maybe_index_of_column(group) else {
                continue;
            };
            let few = |aggregate: &Aggregate| keys(&join.left, asked).filter(|keys| keys.are_few_beside(aggregate));
            if let Some(right) = narrowed(&join.right, at, &few)? {
                let narrowed = Join {
                    right: Arc::new(right),
                    ..join.clone()
                };
                return Ok(Transformed::yes(LogicalPlan::Join(narrowed)));
            }
        }
        Ok(Transformed::no(plan))
    }
}

/// A column that has all keys that may be asked for.
struct Keys {
    plan: LogicalPlan,
    column: Column,
}

impl Keys {
    fn are_few_beside(&self, aggregate: &Aggregate) -> bool {
        let (few, many) = (rows_at_most(&self.plan), rows_at_most(&aggregate.input));
        few.zip(many)
            .is_some_and(|(few, many)| few.saturating_mul(SMALLER) <= many)
    }
}

/// Where the values of a column come from, as far down as a table of which a condition leaves some rows; none if no such one is below, or
/// if it is not told. Joins above it only leave out rows.
fn keys(plan: &LogicalPlan, column: &Column) -> Option<Keys> {
    match plan {
        LogicalPlan::Filter(filter) if is_table(&filter.input) => {
            let told = !filter.predicate.is_volatile() && filter.input.schema().has_column(column);
            told.then(|| Keys {
                plan: plan.clone(),
                column: column.clone(),
            })
        }
        LogicalPlan::Filter(filter) => keys(&filter.input, column),
        LogicalPlan::Projection(projection) => {
            let at = projection.schema.maybe_index_of_column(column)?;
            match unnamed(projection.expr.get(at)?) {
                Expr::Column(below) => keys(&projection.input, below),
                _ => None,
            }
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let at = alias.schema.maybe_index_of_column(column)?;
            keys(&alias.input, &Column::from(alias.input.schema().qualified_field(at)))
        }
        LogicalPlan::Join(join) => {
            let (left, right) = match join.join_type {
                JoinType::Inner => (true, true),
                JoinType::LeftSemi => (true, false),
                _ => return None,
            };
            let is_left = left && join.left.schema().has_column(column);
            let is_right = right && join.right.schema().has_column(column);
            let own = match (is_left, is_right) {
                (true, false) => keys(&join.left, column),
                (false, true) => keys(&join.right, column),
                _ => return None,
            };
            own.or_else(|| {
                // What it is equal to in each row that is left.
                join.on.iter().find_map(|pair| match pair {
                    (Expr::Column(one), Expr::Column(other)) if is_left && one == column => keys(&join.right, other),
                    (Expr::Column(other), Expr::Column(one)) if is_right && one == column => keys(&join.left, other),
                    _ => None,
                })
            })
        }
        _ => None,
    }
}

fn is_table(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => is_table(&alias.input),
        LogicalPlan::Projection(projection) => is_table(&projection.input),
        LogicalPlan::TableScan(scan) => scan.fetch.is_none(),
        LogicalPlan::Values(_) => true,
        _ => false,
    }
}

/// The plan without the groups that are not asked for, where column `at` is what rows are grouped by; none where it is not, or where
/// nobody knows few keys.
fn narrowed(plan: &LogicalPlan, at: usize, few: &dyn Fn(&Aggregate) -> Option<Keys>) -> Result<Option<LogicalPlan>> {
    Ok(match plan {
        LogicalPlan::SubqueryAlias(alias) => match narrowed(&alias.input, at, few)? {
            Some(below) => {
                let alias = SubqueryAlias::try_new(Arc::new(below), alias.alias.clone())?;
                Some(LogicalPlan::SubqueryAlias(alias))
            }
            None => None,
        },
        LogicalPlan::Filter(filter) => match narrowed(&filter.input, at, few)? {
            Some(below) => Some(LogicalPlan::Filter(Filter::try_new(
                filter.predicate.clone(),
                Arc::new(below),
            )?)),
            None => None,
        },
        LogicalPlan::Projection(projection) => {
            let input = projection.input.schema();
            let Some(Expr::Column(column)) = projection.expr.get(at).map(unnamed) else {
                return Ok(None);
            };
            let Some(at) = input.maybe_index_of_column(column) else {
                return Ok(None);
            };
            match narrowed(&projection.input, at, few)? {
                Some(below) => {
                    let (expr, schema) = (projection.expr.clone(), Arc::clone(&projection.schema));
                    let projection = Projection::try_new_with_schema(expr, Arc::new(below), schema)?;
                    Some(LogicalPlan::Projection(projection))
                }
                None => None,
            }
        }
        LogicalPlan::Aggregate(aggregate) => match (aggregate.group_expr.get(at).map(unnamed), few(aggregate)) {
            (Some(Expr::Column(group)), Some(keys)) if !is_narrowed(&aggregate.input)? => {
                Some(LogicalPlan::Aggregate(of_keys(aggregate, group, keys)?))
            }
            _ => None,
        },
        _ => None,
    })
}

/// Whether it stands there already: rules are asked again and again.
fn is_narrowed(plan: &LogicalPlan) -> Result<bool> {
    plan.exists(|part| Ok(matches!(part, LogicalPlan::SubqueryAlias(alias) if alias.alias.table() == KEYS)))
}

/// The groups of these keys.
fn of_keys(aggregate: &Aggregate, group: &Column, keys: Keys) -> Result<Aggregate> {
    let key = Projection::try_new(vec![Expr::Column(keys.column)], Arc::new(keys.plan))?;
    let key = SubqueryAlias::try_new(Arc::new(LogicalPlan::Projection(key)), TableReference::bare(KEYS))?;
    let column = Column::from(key.schema.qualified_field(0));
    let semi = Join::try_new(
        Arc::clone(&aggregate.input),
        Arc::new(LogicalPlan::SubqueryAlias(key)),
        vec![(Expr::Column(group.clone()), Expr::Column(column))],
        None,
        JoinType::LeftSemi,
        JoinConstraint::On,
        NullEquality::NullEqualsNothing,
        false,
    )?;
    Aggregate::try_new_with_schema(
        Arc::new(LogicalPlan::Join(semi)),
        aggregate.group_expr.clone(),
        aggregate.aggr_expr.clone(),
        Arc::clone(&aggregate.schema),
    )
}

#[cfg(test)]
mod tests;
