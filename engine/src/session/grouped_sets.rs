//! Columns of grouping sets are null in the rows of a set that leaves them out, whatever the input says of them.
//!
//! DataFusion 55.2 tells of such groups what it knows of their input: a column that a condition fixes, or a literal, is constant, columns
//! that are equal stay equal, what is sorted stays sorted, and the columns without their set are unique. So totals are given away before
//! they are whole, windows lose a part of `PARTITION BY`, and sorts are left out. What makes the sets, in parts, stands between two nodes
//! that tell nothing: below it, as it goes by an order of its input, and above it, as a literal needs no input. What puts the parts
//! together groups by the set too, and has no other fault.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::{ExecutionPlan, replace_children_if_necessary};

use super::outer_sides::UntoldExec;

/// What makes grouping sets, with nothing told of it nor to it.
pub(super) fn untold(plan: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let sets = plan.downcast_ref::<AggregateExec>();
    let Some(sets) = sets.filter(|groups| groups.group_expr().has_grouping_set()) else {
        return Ok(Transformed::no(plan));
    };
    if sets.input().downcast_ref::<UntoldExec>().is_some() {
        return Ok(Transformed::no(plan));
    }
    let below: Arc<dyn ExecutionPlan> = Arc::new(UntoldExec::new(Arc::clone(sets.input())));
    let sets = replace_children_if_necessary(plan, vec![below])?;
    Ok(Transformed::yes(Arc::new(UntoldExec::new(sets))))
}

#[cfg(test)]
mod tests {
    use datafusion::config::ConfigOptions;
    use datafusion::physical_optimizer::PhysicalOptimizerRule;
    use datafusion::physical_plan::displayable;
    use datafusion::prelude::SessionContext;

    use super::super::outer_sides::UntoldSides;
    use crate::testing::Lake;

    /// Rows of a column that is always 1, and of one of six values.
    const ROWS: &str = "(SELECT 1 AS a, v % 6 AS b, v FROM (SELECT unnest(range(0, 1000)) AS v) AS r) AS w";

    // Goal: a cluster is told nothing of grouping sets, and all of other groups. Method: its rule over plans of both, twice, as it is asked
    // again after each stage.
    #[tokio::test]
    async fn a_cluster_is_told_nothing_of_sets() {
        let session = SessionContext::new();
        for (groups, untold) in [
            ("ROLLUP (x, y)", 2),
            ("CUBE (x, y)", 2),
            ("GROUPING SETS ((x), (y))", 2),
            ("x, y", 0),
        ] {
            let sql = format!("SELECT x, y, count(*) FROM (VALUES (1, 2)) AS v (x, y) WHERE x = 1 GROUP BY {groups}");
            let frame = session.sql(&sql).await.unwrap();
            let mut plan = frame.create_physical_plan().await.unwrap();
            for _ in 0..2 {
                plan = UntoldSides.optimize(plan, &ConfigOptions::new()).unwrap();
                let shown = displayable(plan.as_ref()).indent(false).to_string();
                assert_eq!(shown.matches("UntoldExec").count(), untold, "{shown}");
                assert!(untold == 0 || !shown.contains("ordering_mode"), "{shown}");
            }
        }
    }

    // Goal: totals come once, and what goes by the columns of sets sees their nulls, in process and after a journey. Method: columns that a
    // condition, a literal, a join or an order fixes; groups, windows, sorts and first rows over them.
    #[tokio::test]
    async fn columns_of_sets_are_null_too() {
        let lake = Lake::new();
        let fixed = format!("{ROWS} WHERE a = 1");
        let told = format!("(SELECT 'x' AS k, b FROM {ROWS}) AS q");
        let joined =
            format!("(SELECT v AS p FROM {ROWS}) AS l JOIN (SELECT v AS q FROM {ROWS}) AS r ON p = q WHERE p < 3");
        let sorted = format!("(SELECT b, v FROM {ROWS} ORDER BY b LIMIT 400) AS s");
        let first = |groups: &str, key: &str| {
            let window = format!("row_number() OVER (PARTITION BY {key} ORDER BY n DESC) AS place");
            format!("SELECT {key}, n FROM (SELECT {key}, n, {window} FROM ({groups}) AS g) AS z WHERE place = 1")
        };
        for (sql, rows) in [
            (
                format!("SELECT a, v, count(*) AS n FROM {fixed} GROUP BY ROLLUP (a, v) ORDER BY 3 DESC LIMIT 2"),
                vec![",,1000", "1,,1000"],
            ),
            (
                format!("SELECT count(*) FROM (SELECT a, v, count(*) FROM {fixed} GROUP BY CUBE (a, v)) AS g"),
                vec!["2002"],
            ),
            (
                first(
                    &format!("SELECT a, b, count(*) AS n FROM {fixed} GROUP BY CUBE (a, b)"),
                    "a",
                ),
                vec![",1000", "1,1000"],
            ),
            (
                first(
                    &format!("SELECT k, b, count(*) AS n FROM {told} GROUP BY CUBE (k, b)"),
                    "k",
                ),
                vec![",1000", "x,1000"],
            ),
            (
                format!(
                    "SELECT a, b FROM {fixed} GROUP BY ROLLUP (a, b) ORDER BY a NULLS FIRST, b NULLS FIRST LIMIT 3"
                ),
                vec![",", "1,", "1,0"],
            ),
            (
                format!(
                    "SELECT p, q FROM {joined} GROUP BY CUBE (p, q) ORDER BY p NULLS FIRST, q DESC NULLS LAST LIMIT 3"
                ),
                vec![",0", ",1", ",2"],
            ),
            (
                format!(
                    "SELECT b, v, count(*) AS n FROM {sorted} GROUP BY GROUPING SETS ((b), (v), ()) ORDER BY 3 DESC LIMIT 1"
                ),
                vec![",,400"],
            ),
        ] {
            assert_eq!(lake.lines(&sql).await, rows, "{sql}");
            assert_eq!(lake.travelled(&sql).await.expect("rows"), rows, "{sql}");
        }
    }
}
