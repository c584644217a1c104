//! Queries in `ORDER BY`, which DataFusion 55.2 takes among columns only: what a sort goes by becomes a column below it, which the rows
//! lose again above it.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, col};

/// What stands before the number of such a column.
const SORTED_BY: &str = "__sorted_by_";

/// The plan without queries in its sorts.
pub(super) fn by_columns(plan: LogicalPlan) -> Result<LogicalPlan> {
    let sorted = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::Sort(sort) = &node else {
            return Ok(Transformed::no(node));
        };
        if !sort.expr.iter().any(|key| has_query(&key.expr)) {
            return Ok(Transformed::no(node));
        }
        let mut sort = sort.clone();
        let own: Vec<Expr> = sort.input.schema().columns().into_iter().map(Expr::Column).collect();
        // A query names columns of the tables, of which a projection has only those that were asked for.
        let (input, mut columns) = match sort.input.as_ref() {
            LogicalPlan::Projection(select) => (Arc::clone(&select.input), select.expr.clone()),
            _ => (Arc::clone(&sort.input), own.clone()),
        };
        let selected = columns.clone();
        for (at, key) in sort.expr.iter_mut().enumerate() {
            if has_query(&key.expr) {
                let name = format!("{SORTED_BY}{at}");
                let asked = std::mem::replace(&mut key.expr, col(format!("\"{name}\"")));
                columns.push(above(asked, &sort.input, &selected)?.alias(name));
            }
        }
        let input = LogicalPlanBuilder::from(input.as_ref().clone());
        let input = input.project(columns)?.sort_with_limit(sort.expr, sort.fetch)?;
        Ok(Transformed::yes(input.project(own)?.build()?))
    })?;
    Ok(sorted.data)
}

/// A key of columns of `plan` as one of what these columns are made of.
fn above(key: Expr, plan: &LogicalPlan, made_of: &[Expr]) -> Result<Expr> {
    let made = key.transform(|part| {
        let place = match &part {
            Expr::Column(column) => plan.schema().maybe_index_of_column(column),
            _ => None,
        };
        Ok(match place.and_then(|place| made_of.get(place)) {
            Some(of) => Transformed::yes(of.clone().unalias()),
            None => Transformed::no(part),
        })
    })?;
    Ok(made.data)
}

fn has_query(expression: &Expr) -> bool {
    let is_query = |part: &Expr| {
        Ok(matches!(
            part,
            Expr::InSubquery(_) | Expr::Exists(_) | Expr::ScalarSubquery(_) | Expr::SetComparison(_)
        ))
    };
    // What is looked at cannot fail.
    expression.exists(is_query).unwrap_or_default()
}
