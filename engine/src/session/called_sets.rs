//! What the sets of a `ROLLUP`, `CUBE` or `GROUPING SETS` are made of is found by what it is called, and `grouping` finds it by what it is.
//!
//! So `grouping` is told what it asks for before anything is written otherwise. And DataFusion 55.2 makes `NOT LIKE` of `NOT (… LIKE …)` as
//! it finds types, likewise of `IN`, which within a set would be called otherwise from then on: such an element keeps its name.

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::analyzer::resolve_grouping_function::ResolveGroupingFunction;

/// The plan with what is asked of its sets, and with elements that keep their names. It has to come from the planner.
pub(super) fn known(plan: LogicalPlan, options: &ConfigOptions) -> Result<LogicalPlan> {
    let plan = ResolveGroupingFunction::new().analyze(plan, options)?;
    Ok(plan.transform_up_with_subqueries(named)?.data)
}

fn named(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    if !matches!(node, LogicalPlan::Aggregate(_)) {
        return Ok(Transformed::no(node));
    }
    node.map_expressions(|expr| match expr {
        Expr::GroupingSet(_) => expr.map_children(under_its_name),
        other => Ok(Transformed::no(other)),
    })
}

fn under_its_name(element: Expr) -> Result<Transformed<Expr>> {
    if matches!(element, Expr::Alias(_)) || !element.exists(|part| Ok(matches!(part, Expr::Not(_))))? {
        return Ok(Transformed::no(element));
    }
    let (table, name) = element.qualified_name();
    Ok(Transformed::yes(element.alias_qualified(table, name)))
}

#[cfg(test)]
mod tests {
    use crate::testing::Lake;

    // Goal: elements of sets are grouped by whatever becomes of them. Method: negations that are written otherwise, alone, within others and
    // beside `grouping`, and a comparison that is given another type.
    #[tokio::test]
    async fn elements_keep_their_names() {
        let lake = Lake::new();
        let rows = "(VALUES ('Ab', DATE '2024-01-01'), ('b', DATE '2024-03-01'), ('ac', NULL)) AS v (s, d)";
        for (element, wanted) in [
            ("NOT lower(s) LIKE 'a%'", [",1,3", "false,0,2", "true,0,1"]),
            ("NOT (s IN ('b', 'ac'))", [",1,3", "false,0,2", "true,0,1"]),
            ("NOT (s = 'b')", [",1,3", "false,0,1", "true,0,2"]),
            (
                "CASE WHEN NOT s LIKE 'A%' THEN 1 ELSE 2 END",
                [",1,3", "1,0,2", "2,0,1"],
            ),
            ("coalesce(d > '2024-02-01', true)", [",1,3", "false,0,1", "true,0,2"]),
        ] {
            let sql = format!(
                "SELECT {element} AS e, grouping({element}) AS g, count(*) FROM {rows} GROUP BY ROLLUP ({element})"
            );
            assert_eq!(lake.lines(&sql).await, wanted, "{sql}");
        }
    }

    // Goal: `grouping` is refused what is no group. Method: a column that is none.
    #[tokio::test]
    async fn other_columns_are_no_groups() {
        let lake = Lake::new();
        let rows = "(VALUES (1, 2)) AS v (a, b)";
        lake.refused(&format!("SELECT a, grouping(b) FROM {rows} GROUP BY ROLLUP (a)"))
            .await;
    }
}
