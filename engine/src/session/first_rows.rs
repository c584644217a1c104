//! `DISTINCT ON (a) … ORDER BY a, b, a`. The first rows of DataFusion 55.2 panic where a key stands twice among those that they are
//! sorted by; behind its first place it decides nothing.

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan};

/// The plan with each such key once.
pub(super) fn sorted_once(plan: LogicalPlan) -> Result<LogicalPlan> {
    let once = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Distinct(Distinct::On(mut first)) => {
            let mut fewer = false;
            if let Some(keys) = &mut first.sort_expr {
                let before = keys.len();
                let mut seen: Vec<Expr> = Vec::new();
                keys.retain(|key| {
                    let is_new = !seen.contains(&key.expr);
                    if is_new {
                        seen.push(key.expr.clone());
                    }
                    is_new
                });
                fewer = keys.len() < before;
            }
            let first = LogicalPlan::Distinct(Distinct::On(first));
            Ok(Transformed::new_transformed(first, fewer))
        }
        node => Ok(Transformed::no(node)),
    })?;
    Ok(once.data)
}

#[cfg(test)]
mod tests {
    use crate::testing::Lake;

    // Goal: the first row of each group is that of the order as it is written, whatever stands in it twice. Method: keys again under the
    // same name, another name, a number and the other way round, in a query and in a subquery.
    #[tokio::test]
    async fn a_key_twice_is_a_key() {
        let lake = Lake::new();
        let rows = "FROM (VALUES (1, 2), (1, 1), (2, 5)) AS v (k, n)";
        for (order, wanted) in [
            ("k, n, k", ["1,1", "2,5"]),
            ("k, n DESC, v.n", ["1,2", "2,5"]),
            ("k, n DESC, n ASC, 1", ["1,2", "2,5"]),
            ("k DESC, n, k ASC", ["1,1", "2,5"]),
        ] {
            let sql = format!("SELECT DISTINCT ON (k) k, n {rows} ORDER BY {order}");
            assert_eq!(lake.lines(&sql).await, wanted, "{sql}");
            let within = format!("SELECT q.k, q.n FROM ({sql}) AS q");
            assert_eq!(lake.lines(&within).await, wanted, "{within}");
        }
    }
}
