//! Windows of aggregates with a filter, in a form that reaches executors.
//!
//! datafusion-proto 55.2 sends window functions without their filter. An aggregate that takes no notice of nulls can do without one: what it
//! is not to see is null for it, `sum(CASE WHEN c THEN x END) OVER w` in place of `sum(x) FILTER (WHERE c) OVER w`.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::{Case, WindowFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan, Window, WindowFunctionDefinition};

/// Aggregates that take no notice of nulls.
const BLIND_TO_NULLS: [&str; 5] = ["avg", "count", "max", "min", "sum"];

/// Whether it has a filter that it can do without.
pub(crate) fn can_do_without(window: &WindowFunction) -> bool {
    let known = match &window.fun {
        WindowFunctionDefinition::AggregateUDF(function) => BLIND_TO_NULLS.contains(&function.name()),
        WindowFunctionDefinition::WindowUDF(_) => false,
    };
    window.params.filter.is_some() && known && !window.params.args.is_empty()
}

/// The plan without the filters that its windows can do without, and columns of the same names.
pub(crate) fn without_filters(plan: &LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan.clone();
    if !has_any(&plan)? {
        return Ok(plan);
    }
    let rewritten = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::Window(window) = &node else {
            return Ok(Transformed::no(node));
        };
        let mut changed = false;
        let mut columns = Vec::with_capacity(window.window_expr.len());
        for column in &window.window_expr {
            let name = NamePreserver::new_for_projection().save(column);
            let without = column.clone().transform_up(|part| Ok(without_filter(part)))?;
            changed |= without.transformed;
            columns.push(name.restore(without.data));
        }
        match changed {
            true => {
                let window = Window::try_new(columns, Arc::clone(&window.input))?;
                Ok(Transformed::yes(LogicalPlan::Window(window)))
            }
            false => Ok(Transformed::no(node)),
        }
    })?;
    Ok(rewritten.data)
}

fn has_any(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|part| {
                found |= matches!(part, Expr::WindowFunction(window) if can_do_without(window));
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(found)
}

fn without_filter(part: Expr) -> Transformed<Expr> {
    match part {
        Expr::WindowFunction(mut window) if can_do_without(&window) => {
            // A row of which one argument is null is none for an aggregate of several.
            if let (Some(seen), Some(filter)) = (window.params.args.first_mut(), window.params.filter.take()) {
                let value = Box::new(seen.clone());
                *seen = Expr::Case(Case::new(None, vec![(filter, value)], None));
            }
            Transformed::yes(Expr::WindowFunction(window))
        }
        part => Transformed::no(part),
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::util::pretty::pretty_format_batches;
    use datafusion::prelude::SessionContext;

    use super::*;

    fn filters(plan: &LogicalPlan) -> usize {
        let mut count = 0;
        plan.apply_with_subqueries(|node| {
            node.apply_expressions(|expression| {
                expression.apply(|part| {
                    let has = matches!(part, Expr::WindowFunction(window) if window.params.filter.is_some());
                    count += usize::from(has);
                    Ok(TreeNodeRecursion::Continue)
                })
            })
        })
        .expect("it is looked at only");
        count
    }

    async fn rows(session: &SessionContext, plan: LogicalPlan) -> String {
        let frame = session.execute_logical_plan(plan).await.expect("a plan");
        let rows = frame.collect().await.expect("rows");
        pretty_format_batches(&rows).expect("text").to_string()
    }

    // Goal: windows answer the same without their filters, under the same names. Method: each aggregate over all rows, over those so far and over
    // frames that lose rows, with nulls and conditions that are null, twice in a query and within another; both forms run.
    #[tokio::test]
    async fn the_same_without() {
        let session = SessionContext::new();
        let from = "FROM (VALUES (1, 1, 10, 1.5), (1, 2, 3, NULL), (1, 3, NULL, 2.5), (1, 4, 7, 0.5), (2, 1, NULL, NULL), (2, 2, 4, 9.0)) \
                    AS t (g, o, x, y)";
        let windows = [
            "(PARTITION BY g)",
            "(PARTITION BY g ORDER BY o)",
            "(ORDER BY g, o ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)",
        ];
        for window in windows {
            for function in ["count(*)", "count(x)", "sum(x)", "min(y)", "max(x)", "avg(x)", "sum(y)"] {
                let sql = format!(
                    "SELECT g, o, {function} FILTER (WHERE x > 3) OVER {window}, 1 + {function} FILTER (WHERE y < 2) OVER {window} AS n \
                     {from} ORDER BY g, o"
                );
                let sql = format!("SELECT * FROM ({sql}) AS q ORDER BY g, o");
                let plan = session.sql(&sql).await.expect(&sql).into_unoptimized_plan();
                assert_eq!(filters(&plan), 2, "{sql}");
                let without = without_filters(&plan).expect(&sql);
                assert_eq!(filters(&without), 0, "{sql}");
                assert_eq!(without.schema().field_names(), plan.schema().field_names(), "{sql}");
                assert_eq!(rows(&session, without).await, rows(&session, plan).await, "{sql}");
            }
        }
    }

    // Goal: an aggregate that keeps nulls keeps its filter. Method: lists.
    #[tokio::test]
    async fn lists_keep_their_filter() {
        let session = SessionContext::new();
        let sql = "SELECT array_agg(x) FILTER (WHERE x > 1) OVER () FROM (VALUES (1), (2), (NULL)) AS t (x)";
        let plan = session.sql(sql).await.expect(sql).into_unoptimized_plan();
        let same = without_filters(&plan).expect(sql);
        assert_eq!(filters(&same), 1);
        assert_eq!(same, plan);
    }
}
