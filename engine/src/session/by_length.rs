//! `ORDER BY` of intervals, which goes by their lengths in PostgreSQL, and part by part in the query engine.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::{Distinct, Expr, ExprSchemable, LogicalPlan, SortExpr};

use crate::functions::interval_length::length;

/// The plan with lengths as the keys of its sorts, where these are intervals.
pub(super) fn sorted(plan: LogicalPlan) -> Result<LogicalPlan> {
    let sorted = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Sort(mut sort) => {
            let schema = Arc::clone(sort.input.schema());
            let changed = by_length(&mut sort.expr, &schema, &[]);
            Ok(Transformed::new_transformed(LogicalPlan::Sort(sort), changed))
        }
        LogicalPlan::Distinct(Distinct::On(mut first)) => {
            let schema = Arc::clone(first.input.schema());
            let changed = match &mut first.sort_expr {
                // The first keys are what rows are told apart by.
                Some(keys) => by_length(keys, &schema, &first.on_expr),
                None => false,
            };
            let first = LogicalPlan::Distinct(Distinct::On(first));
            Ok(Transformed::new_transformed(first, changed))
        }
        node => Ok(Transformed::no(node)),
    })?;
    Ok(sorted.data)
}

fn by_length(keys: &mut [SortExpr], schema: &DFSchema, but: &[Expr]) -> bool {
    let mut changed = false;
    for key in keys {
        if matches!(key.expr.get_type(schema), Ok(DataType::Interval(_))) && !but.contains(&key.expr) {
            key.expr = length(key.expr.clone());
            changed = true;
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use crate::testing::Lake;

    // Goal: rows are sorted by the lengths of intervals, nulls where they belong. Method: the row at each place, both ways, of a query, of
    // one within another and of the first of each group, against answers of PostgreSQL 15.
    #[tokio::test]
    async fn sorted_by_length() {
        let lake = Lake::new();
        let rows = "(VALUES (1, 1, INTERVAL '1 month'), (2, 1, INTERVAL '31 days'), (3, 2, INTERVAL '25 hours'), \
                    (4, 2, INTERVAL '1 day'), (5, 3, NULL)) AS v (k, g, i)";
        for (order, wanted) in [
            ("i", ["4", "3", "1", "2", "5"]),
            ("i DESC, k", ["5", "2", "1", "3", "4"]),
        ] {
            for (at, wanted) in wanted.iter().enumerate() {
                let sql = format!("SELECT k FROM {rows} ORDER BY {order} LIMIT 1 OFFSET {at}");
                assert_eq!(lake.lines(&sql).await, [*wanted], "{sql}");
                let within = format!("SELECT k FROM ({sql}) AS q");
                assert_eq!(lake.lines(&within).await, [*wanted], "{within}");
            }
        }
        let first = format!("SELECT DISTINCT ON (g) g, k FROM {rows} ORDER BY g, i");
        assert_eq!(lake.lines(&first).await, ["1,1", "2,4", "3,5"]);
    }
}
