//! Queries in `ON`. Conditions of an inner join with such queries go behind it; of an outer join they go to the side whose rows they are
//! asked for, or become columns there.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, JoinType, Result};
use datafusion::logical_expr::expr::{Exists, InSubquery};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, Filter, Join, LogicalPlan, LogicalPlanBuilder, lit};

use super::asked::Asked;
use super::names::Names;
use super::{as_before, asks};
use crate::session::pulled_up::number;

/// What the rows of a query are called among which a value is looked for.
const MEMBERS: &str = "__members";

pub(super) fn of_join(join: Join) -> Result<Transformed<LogicalPlan>> {
    let Some(filter) = join.filter.clone().filter(asks) else {
        return Ok(Transformed::no(LogicalPlan::Join(join)));
    };
    match join.join_type {
        JoinType::Inner => behind(join, filter),
        JoinType::Left | JoinType::Right | JoinType::Full => beside(join, filter),
        _ => Ok(Transformed::no(LogicalPlan::Join(join))),
    }
}

/// An inner join with such conditions behind it.
fn behind(join: Join, filter: Expr) -> Result<Transformed<LogicalPlan>> {
    let (left, right) = (join.left.schema(), join.right.schema());
    let (mut asking, mut own) = (Vec::new(), Vec::new());
    for part in split_conjunction_owned(filter) {
        let names = Names::of(&part)?;
        // What is asked for rows of one side goes there by itself, if it names nothing around it.
        let is_there = !names.is_bound && (names.are_of_one(left, right) || names.are_of_one(right, left));
        match asks(&part) && !is_there {
            true => asking.push(part),
            false => own.push(part),
        }
    }
    let Some(condition) = conjunction(asking) else {
        return Ok(Transformed::no(LogicalPlan::Join(join)));
    };
    let rows = LogicalPlan::Join(Join {
        filter: conjunction(own),
        ..join
    });
    let passed = Filter::try_new(condition, Arc::new(rows))?;
    Ok(Transformed::yes(LogicalPlan::Filter(passed)))
}

/// An outer join with what is asked for rows of one side at that side. A condition on the side of which rows may be missing leaves out
/// rows there; of any other its queries become columns.
fn beside(join: Join, filter: Expr) -> Result<Transformed<LogicalPlan>> {
    let (left, right) = (Arc::clone(join.left.schema()), Arc::clone(join.right.schema()));
    let (mut of_left, mut of_right) = (Asked::of(&join.left, "l"), Asked::of(&join.right, "r"));
    let (mut at_left, mut at_right, mut own) = (Vec::new(), Vec::new(), Vec::new());
    for part in split_conjunction_owned(filter) {
        if !asks(&part) || part.is_volatile() {
            own.push(part);
            continue;
        }
        let names = Names::of(&part)?;
        match join.join_type {
            JoinType::Left if names.are_of_one(&right, &left) => at_right.push(part),
            JoinType::Right if names.are_of_one(&left, &right) => at_left.push(part),
            _ => {
                let value = of_left.put_side(valued(part.clone(), &join.schema)?, &right)?;
                let value = of_right.put_side(value, &left)?;
                own.push(match asks(&value) {
                    true => part,
                    false => value,
                });
            }
        }
    }
    let (columns, schema) = (of_left.columns.len(), Arc::clone(&join.schema));
    if at_left.is_empty() && at_right.is_empty() && columns == 0 && of_right.columns.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Join(join)));
    }
    let rows = Join::try_new(
        passed(of_left.below()?, at_left)?,
        passed(of_right.below()?, at_right)?,
        join.on,
        conjunction(own),
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?;
    let count = left.fields().len();
    as_before(LogicalPlan::Join(rows), &schema, |at| match at < count {
        true => at,
        false => at + columns,
    })
}

fn passed(rows: Arc<LogicalPlan>, conditions: Vec<Expr>) -> Result<Arc<LogicalPlan>> {
    Ok(match conjunction(conditions) {
        Some(condition) => Arc::new(LogicalPlan::Filter(Filter::try_new(condition, rows)?)),
        None => rows,
    })
}

/// A condition that stands for itself, with the number of rows for whether there are some: it is known of each row, and can be a column.
fn valued(part: Expr, around: &DFSchema) -> Result<Expr> {
    let part = match part {
        Expr::InSubquery(InSubquery {
            expr,
            subquery,
            negated: false,
        }) if !asks(&expr) => {
            let looked_for = expr.transform_up(|part| {
                Ok(match part {
                    Expr::Column(column) => {
                        let field = Arc::clone(around.qualified_field_from_column(&column)?.1);
                        Transformed::yes(Expr::OuterReferenceColumn(field, column))
                    }
                    part => Transformed::no(part),
                })
            })?;
            // The same table may be around: the planner tells columns apart by their names.
            let rows = LogicalPlanBuilder::from(subquery.subquery.as_ref().clone()).alias(MEMBERS)?;
            let member = Expr::Column(Column::from(rows.schema().qualified_field(0)));
            let rows = rows.filter(member.eq(looked_for.data))?.build()?;
            return Ok(Expr::ScalarSubquery(number(rows, &subquery)?).gt(lit(0_i64)));
        }
        part => part,
    };
    let valued = part.transform_up(|part| {
        Ok(match part {
            Expr::Exists(Exists { subquery, negated }) => {
                let rows = subquery.subquery.as_ref().clone();
                let number = Expr::ScalarSubquery(number(rows, &subquery)?);
                Transformed::yes(match negated {
                    true => number.eq(lit(0_i64)),
                    false => number.gt(lit(0_i64)),
                })
            }
            part => Transformed::no(part),
        })
    })?;
    Ok(valued.data)
}
