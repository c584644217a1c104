//! Floating-point numbers beside decimal numbers. The planner compares both as decimals, which have no room for large numbers, NaN and
//! infinities; SQL compares both as floating-point numbers.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::{Expr, ExprSchemable, Operator};

use super::beside::aligned;
use super::decimals;

/// Reads decimal numbers as floating-point ones where such a number stands beside them.
pub(super) fn beside(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let of = |op| decimals::compares(op) || reckons(op);
    aligned(expr, of, |sides| align(sides, schema))
}

fn reckons(op: Operator) -> bool {
    use Operator::{Divide, Minus, Modulo, Multiply, Plus};
    matches!(op, Plus | Minus | Multiply | Divide | Modulo)
}

fn align(sides: &mut [&mut Expr], schema: &DFSchema) -> bool {
    let types: Vec<Option<DataType>> = sides.iter().map(|side| side.get_type(schema).ok()).collect();
    let is_decimal = |of: &DataType| matches!(of, DataType::Decimal128(..) | DataType::Decimal256(..));
    let floats = types.iter().flatten().any(DataType::is_floating);
    if !floats || !types.iter().flatten().any(is_decimal) {
        return false;
    }
    for (side, of) in sides.iter_mut().zip(&types) {
        if of.as_ref().is_some_and(|of| is_decimal(of) || *of == DataType::Float32) {
            let number = std::mem::take(*side);
            **side = Expr::Cast(Cast::new(Box::new(number), DataType::Float64));
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use crate::testing::Lake;

    // Goal: floating-point numbers beside decimals are floating-point numbers. Method: those that no decimal is, in each place.
    #[tokio::test]
    async fn no_decimal_has_room_for_them() {
        let lake = Lake::new();
        let rows = "FROM (VALUES (CAST('NaN' AS double)), (1e300), (0.5)) AS v (f)";
        let half = "CAST(0.5 AS decimal(3, 1))";
        for (select, wanted) in [
            (format!("SELECT f > {half}"), ["false", "true", "true"]),
            (format!("SELECT f IN ({half})"), ["false", "false", "true"]),
            (
                format!("SELECT f BETWEEN {half} AND CAST(9 AS decimal(3, 1))"),
                ["false", "false", "true"],
            ),
            (format!("SELECT f * {half} = f / 2"), ["true", "true", "true"]),
        ] {
            assert_eq!(lake.lines(&format!("{select} {rows}")).await, wanted, "{select}");
        }
    }
}
