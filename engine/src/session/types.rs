//! The types of a plan's columns. The planner takes those of a union from its first part, and those of a `CASE` from its first branch,
//! and widens them when it optimises; a client that was told the columns before would get the wide values cast back to what it was told.

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::analyzer::type_coercion::TypeCoercion;

use crate::error::Result;

/// The plan with the types that its columns will have.
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
    let options = state.config_options();
    if has_union {
        return Ok(TypeCoercion::new().analyze(plan, options)?);
    }
    // What cannot be typed yet (parameters) or at all is told where it is optimised.
    Ok(match TypeCoercion::new().analyze(plan.clone(), options) {
        Ok(typed) if !same_types(&plan, &typed) => typed,
        _ => plan,
    })
}

fn same_types(left: &LogicalPlan, right: &LogicalPlan) -> bool {
    let types = |plan: &LogicalPlan| -> Vec<_> {
        let fields = plan.schema().fields().iter();
        fields.map(|field| field.data_type().clone()).collect()
    };
    types(left) == types(right)
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::DataType;

    use crate::testing::Lake;
    use crate::{Class, SessionOptions};

    // Goal: what columns are told to be is what the rows are. Method: parts of unions and branches of several types, with the wider one
    // second.
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
            (
                "SELECT CASE WHEN v.n > 0 THEN length('abc') ELSE v.n END AS x FROM (VALUES (-5000000000), (1)) AS v (n)",
                DataType::Int64,
                ["-5000000000", "3"],
            ),
        ] {
            let plan = lake.engine.plan(&session, sql).await.expect(sql);
            assert_eq!(plan.schema().field(0).data_type(), &told, "{sql}");
            assert_eq!(lake.lines(sql).await, rows, "{sql}");
        }
    }
}
