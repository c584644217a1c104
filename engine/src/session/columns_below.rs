//! Queries that name what is around them, where DataFusion 55.2 takes none: in aggregates, in functions over windows, beside `DISTINCT ON`, in
//! `ON` and among what is grouped by. They become columns of the rows below, which what stands above loses again; conditions of an
//! inner join with such queries stand behind it, and those of one side of an outer join at that side.

mod asked;
mod joins;
mod names;

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result, internal_err};
use datafusion::logical_expr::{Aggregate, Distinct, DistinctOn, Expr, LogicalPlan, Projection, Window};

use self::asked::Asked;
use self::joins::of_join;

/// The plan with such queries where they are taken. Those that cannot be put there stay, and are refused.
pub(super) fn moved(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        if matches!(
            node,
            LogicalPlan::Aggregate(_)
                | LogicalPlan::Window(_)
                | LogicalPlan::Distinct(Distinct::On(_))
                | LogicalPlan::Join(_)
        ) {
            node.apply_expressions(|expr| {
                found |= asks(expr);
                Ok(TreeNodeRecursion::Continue)
            })?;
        }
        Ok(match found {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    })?;
    if !found {
        return Ok(plan);
    }
    let moved = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Aggregate(aggregate) => of_aggregate(aggregate),
        LogicalPlan::Window(window) => of_window(window),
        LogicalPlan::Distinct(Distinct::On(distinct)) => of_distinct(distinct),
        LogicalPlan::Join(join) => of_join(join),
        node => Ok(Transformed::no(node)),
    })?;
    Ok(moved.data)
}

fn of_aggregate(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let mut asked = Asked::of(&aggregate.input, "");
    let groups = asked.all(aggregate.group_expr.clone())?;
    let values = asked.all(aggregate.aggr_expr.clone())?;
    if asked.columns.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    }
    let rows = Aggregate::try_new(asked.below()?, groups, values)?;
    as_before(LogicalPlan::Aggregate(rows), &aggregate.schema, |at| at)
}

fn of_window(window: Window) -> Result<Transformed<LogicalPlan>> {
    let mut asked = Asked::of(&window.input, "");
    let values = asked.all(window.window_expr.clone())?;
    if asked.columns.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Window(window)));
    }
    let (own, more) = (window.input.schema().fields().len(), asked.columns.len());
    let rows = Window::try_new(values, asked.below()?)?;
    as_before(LogicalPlan::Window(rows), &window.schema, |at| match at < own {
        true => at,
        false => at + more,
    })
}

fn of_distinct(distinct: DistinctOn) -> Result<Transformed<LogicalPlan>> {
    let mut asked = Asked::of(&distinct.input, "");
    let on = asked.all(distinct.on_expr.clone())?;
    let columns = asked.all(distinct.select_expr.clone())?;
    let sorts = distinct.sort_expr.clone().map(|sorts| {
        let sorts = sorts.into_iter().map(|mut sort| {
            sort.expr = asked.put(sort.expr)?;
            Ok(sort)
        });
        sorts.collect::<Result<Vec<_>>>()
    });
    let sorts = sorts.transpose()?;
    if asked.columns.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Distinct(Distinct::On(distinct))));
    }
    let rows = DistinctOn::try_new(on, columns, sorts, asked.below()?)?;
    as_before(LogicalPlan::Distinct(Distinct::On(rows)), &distinct.schema, |at| at)
}

/// The rows with the columns that they had, by what these were called. `place` tells where each is now.
fn as_before(rows: LogicalPlan, schema: &DFSchema, place: impl Fn(usize) -> usize) -> Result<Transformed<LogicalPlan>> {
    let columns = schema.iter().enumerate().map(|(at, (table, field))| {
        let now = Column::from(rows.schema().iter().nth(place(at))?);
        Some(match now.relation.as_ref() == table && now.name == *field.name() {
            true => Expr::Column(now),
            false => Expr::Column(now).alias_qualified(table.cloned(), field.name()),
        })
    });
    let Some(columns) = columns.collect::<Option<Vec<Expr>>>() else {
        return internal_err!("columns are missing where queries became some");
    };
    let rows = Projection::try_new(columns, Arc::new(rows))?;
    Ok(Transformed::yes(LogicalPlan::Projection(rows)))
}

/// Whether an expression has a query of which the planner makes no value, or one that depends on the row around it.
fn asks(expr: &Expr) -> bool {
    let found = expr.exists(|part| {
        Ok(match part {
            Expr::Exists(_) | Expr::InSubquery(_) => true,
            Expr::ScalarSubquery(query) => !query.outer_ref_columns.is_empty(),
            _ => false,
        })
    });
    found.unwrap_or(true)
}

#[cfg(test)]
mod tests;
