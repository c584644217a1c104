//! Semi joins with few keys, before the inner joins that they stand above.
//!
//! `key IN (SELECT … GROUP BY … HAVING …)` over a join of large tables is planned as a semi join of all that is joined: DataFusion
//! 55.2 moves no semi join, so rows are joined, and on executors sent, of which hardly any is left. Whether a row of an inner join stays is
//! decided by the side that has the columns of its keys: the semi join may stand there, and leave out rows before they are joined. That is
//! worth it where there are few keys, which is not known of any subquery; of the groups that a condition leaves it mostly is so.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, JoinType, Result};
use datafusion::logical_expr::{Expr, Join, LogicalPlan, Projection, SubqueryAlias};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

/// Moves semi joins down.
#[derive(Debug)]
pub(super) struct SemiJoinsFirst;

impl OptimizerRule for SemiJoinsFirst {
    fn name(&self) -> &str {
        "semi_joins_first"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Join(semi) = &plan else {
            return Ok(Transformed::no(plan));
        };
        if semi.join_type != JoinType::LeftSemi || semi.filter.is_some() || !is_of_some_groups(&semi.right) {
            return Ok(Transformed::no(plan));
        }
        let keys: Vec<Expr> = semi.on.iter().map(|(left, _)| left.clone()).collect();
        Ok(match lowered(&semi.left, semi, &keys)? {
            Some(lowered) => Transformed::yes(lowered),
            None => Transformed::no(plan),
        })
    }
}

/// Whether it is what a condition leaves of groups.
fn is_of_some_groups(plan: &LogicalPlan) -> bool {
    match bare(plan) {
        LogicalPlan::Filter(filter) => matches!(bare(&filter.input), LogicalPlan::Aggregate(_)),
        _ => false,
    }
}

/// Without what only names columns.
fn bare(plan: &LogicalPlan) -> &LogicalPlan {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => bare(&alias.input),
        LogicalPlan::Projection(projection) => bare(&projection.input),
        plan => plan,
    }
}

/// The plan with the semi join within it, as far down as inner joins reach; none if it cannot stand below any of them. `keys` are those of
/// the semi join in the plan's columns.
fn lowered(plan: &LogicalPlan, semi: &Join, keys: &[Expr]) -> Result<Option<LogicalPlan>> {
    match plan {
        LogicalPlan::Join(join) if join.join_type == JoinType::Inner => {
            let width = join.left.schema().fields().len();
            let to_left = |at: usize| (at < width).then_some(at);
            let to_right = |at: usize| at.checked_sub(width);
            let mut moved = join.clone();
            if let Some(keys) = in_input(keys, &join.schema, join.left.schema(), to_left)? {
                moved.left = Arc::new(on_side(&join.left, semi, &keys)?);
            } else if let Some(keys) = in_input(keys, &join.schema, join.right.schema(), to_right)? {
                moved.right = Arc::new(on_side(&join.right, semi, &keys)?);
            } else {
                return Ok(None);
            }
            Ok(Some(LogicalPlan::Join(moved)))
        }
        LogicalPlan::Projection(projection) => {
            let input = projection.input.schema();
            let source = |at: usize| match unnamed(projection.expr.get(at)?) {
                Expr::Column(column) => input.maybe_index_of_column(column),
                _ => None,
            };
            let Some(keys) = in_input(keys, &projection.schema, input, source)? else {
                return Ok(None);
            };
            let Some(below) = lowered(&projection.input, semi, &keys)? else {
                return Ok(None);
            };
            let (expr, schema) = (projection.expr.clone(), Arc::clone(&projection.schema));
            let moved = Projection::try_new_with_schema(expr, Arc::new(below), schema)?;
            Ok(Some(LogicalPlan::Projection(moved)))
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let Some(keys) = in_input(keys, &alias.schema, alias.input.schema(), Some)? else {
                return Ok(None);
            };
            let Some(below) = lowered(&alias.input, semi, &keys)? else {
                return Ok(None);
            };
            let moved = SubqueryAlias::try_new(Arc::new(below), alias.alias.clone())?;
            Ok(Some(LogicalPlan::SubqueryAlias(moved)))
        }
        _ => Ok(None),
    }
}

fn on_side(side: &Arc<LogicalPlan>, semi: &Join, keys: &[Expr]) -> Result<LogicalPlan> {
    if let Some(lowered) = lowered(side, semi, keys)? {
        return Ok(lowered);
    }
    let theirs = semi.on.iter().map(|(_, right)| right.clone());
    let join = Join::try_new(
        Arc::clone(side),
        Arc::clone(&semi.right),
        keys.iter().cloned().zip(theirs).collect(),
        None,
        JoinType::LeftSemi,
        semi.join_constraint,
        semi.null_equality,
        false,
    )?;
    Ok(LogicalPlan::Join(join))
}

/// The expression without the name that it is given.
pub(super) fn unnamed(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => unnamed(&alias.expr),
        expr => expr,
    }
}

/// The same expressions over an input, of whose columns `source` gives the number for the number of an output; none where one of their
/// columns is not there. Columns are found by their place: names may stand for several.
fn in_input(
    keys: &[Expr],
    output: &DFSchema,
    input: &DFSchema,
    source: impl Fn(usize) -> Option<usize>,
) -> Result<Option<Vec<Expr>>> {
    let mut found = true;
    let moved = keys.iter().map(|key| {
        let moved = key.clone().transform(|part| {
            let Expr::Column(column) = &part else {
                return Ok(Transformed::no(part));
            };
            let at = output.maybe_index_of_column(column).and_then(&source);
            let below = at.map(|at| (at, Column::from(input.qualified_field(at))));
            match below.filter(|(at, column)| input.maybe_index_of_column(column) == Some(*at)) {
                Some((_, column)) => Ok(Transformed::yes(Expr::Column(column))),
                None => {
                    found = false;
                    Ok(Transformed::no(part))
                }
            }
        });
        moved.map(|moved| moved.data)
    });
    let moved = moved.collect::<Result<Vec<Expr>>>()?;
    Ok(found.then_some(moved))
}

#[cfg(test)]
mod tests {
    use crate::testing::Lake;

    const TABLES: &str = "WITH a (k, x) AS (VALUES (1, 1), (2, 2), (2, 3), (NULL, 4), (4, 5)), \
        b (k, y) AS (VALUES (1, 1), (1, 2), (2, 2), (3, 2), (NULL, 9), (4, 4)), \
        c (g, h) AS (VALUES (1, 1), (1, 2), (2, 2), (2, 2), (NULL, 1), (NULL, 1), (4, 7), (5, 5))";

    async fn plan(lake: &Lake, sql: &str) -> String {
        let session = lake.session();
        let plan = lake.engine.plan(&session, &format!("{TABLES} {sql}")).await;
        let plan = session.state().optimize(&plan.expect("a plan"));
        plan.expect("an optimised plan").display_indent().to_string()
    }

    /// Whether the semi join of a plan stands below an inner join.
    fn is_below(plan: &str) -> bool {
        let semi = plan.find("LeftSemi Join").expect("a semi join");
        plan.find("Inner Join").is_some_and(|inner| inner < semi)
    }

    // Goal: a semi join of some groups stands below the inner joins that it may stand below, and changes no answer. Method: keys of either
    // side, of several, computed ones and ones of the same names, beside the same written as a join with the distinct keys; nulls and
    // repeated rows are among them.
    #[tokio::test]
    async fn rows_are_left_out_before_they_are_joined() {
        let lake = Lake::new();
        let some = "SELECT g FROM c GROUP BY g HAVING count(*) > 1";
        let both = "SELECT g, max(h) FROM c GROUP BY g HAVING count(*) > 1";
        let joined = "a JOIN b ON a.k = b.k";
        let derived = "(SELECT b.k AS x, a.x AS k FROM a JOIN b ON a.k = b.k) AS q";
        let three = "a JOIN b ON a.k = b.k JOIN c AS o ON o.h = b.y";
        for (from, key, keys, below) in [
            (joined, "a.k", some, true),
            (joined, "b.k", some, true),
            (joined, "b.y", some, true),
            (joined, "a.k + 1", some, true),
            (joined, "a.k + b.y", some, false),
            (joined, "a.k, a.x", both, true),
            (joined, "a.k, b.y", both, false),
            (derived, "q.x", some, true),
            (derived, "k", some, true),
            (three, "a.x", some, true),
            (three, "o.g", some, true),
            (joined, "a.k", "SELECT g FROM c", false),
            (
                "a LEFT JOIN b ON a.k = b.k",
                "b.y",
                "SELECT g FROM c WHERE h > 1",
                false,
            ),
        ] {
            let columns: Vec<&str> = key.split(", ").collect();
            let pairs = columns.iter().enumerate();
            let equal: Vec<String> = pairs.map(|(at, column)| format!("{column} = s.c{at}")).collect();
            let names = ["c0", "c1"].get(..equal.len()).unwrap_or_default().join(", ");
            let asked = match columns.as_slice() {
                [_] => format!("SELECT * FROM {from} WHERE {key} IN ({keys})"),
                _ => format!(
                    "SELECT * FROM {from} WHERE EXISTS (SELECT 1 FROM ({keys}) AS s ({names}) WHERE {})",
                    equal.join(" AND ")
                ),
            };
            let from_names = if from == derived { "q.*" } else { "a.*, b.*" };
            let more = if from == three { ", o.*" } else { "" };
            let other = format!(
                "SELECT {from_names}{more} FROM {from} JOIN (SELECT DISTINCT * FROM ({keys}) AS d ({names})) AS s ON {}",
                equal.join(" AND ")
            );
            let (given, wanted) = (format!("{TABLES} {asked}"), format!("{TABLES} {other}"));
            let (mut given, mut wanted) = (lake.lines(&given).await, lake.lines(&wanted).await);
            given.sort();
            wanted.sort();
            assert_eq!(given, wanted, "{asked}");
            let plan = plan(&lake, &asked).await;
            assert_eq!(is_below(&plan), below, "{asked}: {plan}");
        }
    }
}
