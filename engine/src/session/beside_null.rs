//! `tags || NULL`: a null without a type is a list where it stands beside one, and a list that no list is put to stays as it is. DataFusion
//! 55.2 takes such a null for an element.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable};
use datafusion::sql::sqlparser::ast::BinaryOperator;

/// Plans `||` of a list and such a null.
#[derive(Debug)]
pub(super) struct BesideNull;

impl ExprPlanner for BesideNull {
    fn plan_binary_op(&self, raw: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let is_list = |side: &Expr| {
            let kind = side.get_type(schema);
            kind.is_ok_and(|kind| {
                matches!(
                    kind,
                    DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..)
                )
            })
        };
        if raw.op == BinaryOperator::StringConcat {
            if is_null(&raw.right) && is_list(&raw.left) {
                return Ok(PlannerResult::Planned(raw.left));
            }
            if is_null(&raw.left) && is_list(&raw.right) {
                return Ok(PlannerResult::Planned(raw.right));
            }
        }
        Ok(PlannerResult::Original(raw))
    }
}

fn is_null(side: &Expr) -> bool {
    matches!(side, Expr::Literal(ScalarValue::Null, _))
}

#[cfg(test)]
mod tests {
    use crate::testing::Lake;

    // Goal: nothing is put to a list by a null without a type, and one with a type is an element. Method: either side, beside lists and in
    // a row of them, against lengths.
    #[tokio::test]
    async fn a_null_is_no_element() {
        let lake = Lake::new();
        for (list, length) in [
            ("[1, 2] || NULL", "2"),
            ("NULL || [1, 2]", "2"),
            ("[1, 2] || NULL || 3", "3"),
            ("[1, 2] || CAST(NULL AS bigint)", "3"),
            ("v.list || NULL", "2"),
        ] {
            let sql = format!("SELECT array_length({list}) FROM (VALUES ([7, 8])) AS v (list)");
            assert_eq!(lake.lines(&sql).await, [length], "{sql}");
        }
        assert_eq!(lake.lines("SELECT 'a' || NULL IS NULL").await, ["true"]);
    }
}
