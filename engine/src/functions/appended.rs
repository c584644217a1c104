//! `array || element` as our functions of that name: the planner takes the query engine's own, whatever a session has registered.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{Expr, ScalarUDF};

/// What they are called.
const NAMES: [&str; 2] = ["array_append", "array_prepend"];

/// Puts these functions in the places of the query engine's.
#[derive(Debug)]
pub(super) struct Appended(Vec<Arc<ScalarUDF>>);

impl Appended {
    /// Of the functions of a session, the later of two that are called the same.
    pub(super) fn of(known: &[Arc<ScalarUDF>]) -> Self {
        let found = |name: &&str| known.iter().rev().find(|function| function.name() == *name);
        Self(NAMES.iter().filter_map(found).cloned().collect())
    }
}

impl FunctionRewrite for Appended {
    fn name(&self) -> &str {
        "elements_put_to_arrays"
    }

    fn rewrite(&self, expr: Expr, _: &DFSchema, _: &ConfigOptions) -> Result<Transformed<Expr>> {
        let call = match expr {
            Expr::ScalarFunction(call) => call,
            other => return Ok(Transformed::no(other)),
        };
        let ours = self.0.iter().find(|ours| ours.name() == call.func.name());
        Ok(match ours {
            Some(ours) => Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(
                Arc::clone(ours),
                call.args,
            ))),
            None => Transformed::no(Expr::ScalarFunction(call)),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Lake;

    // Goal: an array that is null has no elements, also where others lie beneath it. Method: arrays that a function or a condition makes
    // null, with an element before and behind them, as functions and as the operator; in this process and of a plan that travelled.
    #[tokio::test]
    async fn a_null_array_has_no_elements() {
        let lake = Lake::new();
        let rows = "FROM (VALUES (1, make_array(1, 2)), (2, make_array(3)), (3, make_array(4, 5))) AS t (k, a)";
        for (list, wanted) in [
            ("CASE WHEN k <> 2 THEN a END", ["1,[1, 2]", "2,", "3,[4, 5]"]),
            ("CASE WHEN k > 2 THEN a END", ["1,", "2,", "3,[4, 5]"]),
        ] {
            let sql = format!("SELECT k, {list} AS b {rows} ORDER BY k");
            assert_eq!(lake.lines(&sql).await, wanted, "{sql}");
        }
        for (columns, wanted) in [
            (
                "k, array_append(CASE WHEN k <> 2 THEN a END, 9)",
                ["1,[1, 2, 9]", "2,[9]", "3,[4, 5, 9]"],
            ),
            (
                "k, array_prepend(9, CASE WHEN k <> 2 THEN a END)",
                ["1,[9, 1, 2]", "2,[9]", "3,[9, 4, 5]"],
            ),
            (
                "k, (CASE WHEN k <> 2 THEN a END) || 9",
                ["1,[1, 2, 9]", "2,[9]", "3,[4, 5, 9]"],
            ),
            (
                "k, (CASE WHEN k > 2 THEN a END) || 9",
                ["1,[9]", "2,[9]", "3,[4, 5, 9]"],
            ),
            (
                "k, 9 || (CASE WHEN k > 2 THEN a END)",
                ["1,[9]", "2,[9]", "3,[9, 4, 5]"],
            ),
            ("k, a || 9", ["1,[1, 2, 9]", "2,[3, 9]", "3,[4, 5, 9]"]),
        ] {
            let sql = format!("SELECT {columns} {rows} ORDER BY k");
            assert_eq!(lake.lines(&sql).await, wanted, "{sql}");
            assert_eq!(lake.travelled(&sql).await.expect("rows"), wanted, "{sql}");
        }
    }
}
