//! The types of a union's columns. The planner takes them from its first part and widens them when it optimises; a client that was told
//! the columns before would get the wide values cast back to what it was told.

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::analyzer::type_coercion::TypeCoercion;

use crate::error::Result;

/// The plan with the types that its unions will have.
pub(super) fn typed(plan: LogicalPlan, state: &SessionState) -> Result<LogicalPlan> {
    let mut has_union = false;
    plan.apply_with_subqueries(|part| {
        has_union |= matches!(part, LogicalPlan::Union(_) | LogicalPlan::RecursiveQuery(_));
        Ok(if has_union {
            TreeNodeRecursion::Stop
        } else {
            TreeNodeRecursion::Continue
        })
    })?;
    if !has_union {
        return Ok(plan);
    }
    Ok(TypeCoercion::new().analyze(plan, state.config_options())?)
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::DataType;

    use crate::testing::Lake;
    use crate::{Class, SessionOptions};

    // Goal: what a union's columns are told to be is what its rows are. Method: parts of several types, with the wider one second.
    #[tokio::test]
    async fn the_wider_type_is_told() {
        let lake = Lake::new();
        let session = lake.engine.session(Class::Interactive, &SessionOptions::default());
        for (sql, told, rows) in [
            ("SELECT 1 AS x UNION ALL SELECT 1.5", DataType::Float64, ["1.0", "1.5"]),
            (
                "SELECT CAST(1 AS INT) AS x UNION SELECT 5000000000",
                DataType::Int64,
                ["1", "5000000000"],
            ),
            (
                "SELECT x FROM (SELECT 1 AS x UNION ALL SELECT 1.5) AS u",
                DataType::Float64,
                ["1.0", "1.5"],
            ),
        ] {
            let plan = lake.engine.plan(&session, sql).await.expect(sql);
            assert_eq!(plan.schema().field(0).data_type(), &told, "{sql}");
            assert_eq!(lake.lines(sql).await, rows, "{sql}");
        }
    }
}
