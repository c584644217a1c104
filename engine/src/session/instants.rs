//! Days beside moments. The planner brings both to nanoseconds, which end in the year 2262: a day that stands for "without end" could
//! not be compared.

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Cast, ScalarFunction};
use datafusion::logical_expr::{Expr, ExprSchemable, Operator};

use super::beside::aligned;
use super::decimals;
use crate::pg_catalog;

/// Reads a day as a moment with microseconds where a moment stands beside it, or a function wants one; and shows moments that are
/// cast to a text with a blank between day and time, as other engines do.
pub(super) fn beside(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::ScalarFunction(mut function) if function.name() == "date_trunc" => {
            let ScalarFunction { args, .. } = &mut function;
            let mut changed = false;
            if let [_, day] = args.as_mut_slice()
                && matches!(day.get_type(schema), Ok(DataType::Date32))
            {
                cast(day, DataType::Timestamp(TimeUnit::Microsecond, None));
                changed = true;
            }
            Ok(Transformed::new_transformed(Expr::ScalarFunction(function), changed))
        }
        // The planner makes a cast of it only where it folds constants, and that ends where one cannot be cast.
        Expr::ScalarFunction(mut function) if function.name() == "arrow_cast" => {
            let wanted = match function.args.as_slice() {
                [_, Expr::Literal(ScalarValue::Utf8(Some(name)), _)] => name.parse::<DataType>().ok(),
                _ => None,
            };
            match wanted {
                Some(wanted) => {
                    let value = function.args.swap_remove(0);
                    Ok(Transformed::yes(Expr::Cast(Cast::new(Box::new(value), wanted))))
                }
                None => Ok(Transformed::no(Expr::ScalarFunction(function))),
            }
        }
        Expr::Cast(Cast { expr, field })
            if field.data_type() == &DataType::Utf8
                && matches!(expr.get_type(schema), Ok(DataType::Timestamp(..) | DataType::Time64(_))) =>
        {
            Ok(Transformed::yes(pg_catalog::shown_as_text(*expr)?))
        }
        expr => {
            let of = |op| decimals::compares(op) || op == Operator::Minus;
            Ok(aligned(expr, of, |sides| align(sides, schema)))
        }
    }
}

/// Makes moments of the days among these if one is a moment with less than nanoseconds.
fn align(sides: &mut [&mut Expr], schema: &DFSchema) -> bool {
    let types: Vec<Option<DataType>> = sides.iter().map(|side| side.get_type(schema).ok()).collect();
    let moment = types.iter().flatten().find_map(|of| match of {
        DataType::Timestamp(unit, zone) if *unit != TimeUnit::Nanosecond => {
            Some(DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))
        }
        _ => None,
    });
    let Some(moment) = moment else { return false };
    let mut changed = false;
    for (side, of) in sides.iter_mut().zip(types) {
        if of == Some(DataType::Date32) {
            cast(side, moment.clone());
            changed = true;
        }
    }
    changed
}

fn cast(expr: &mut Expr, to: DataType) {
    let day = std::mem::take(expr);
    *expr = Expr::Cast(Cast::new(Box::new(day), to));
}

#[cfg(test)]
mod tests {
    use crate::testing::Lake;

    // Goal: days and moments beyond the reach of nanoseconds are compared and shown. Method: the days that stand for an end that never
    // comes and for a beginning long ago, in each place.
    #[tokio::test]
    async fn far_days_beside_moments() {
        let lake = Lake::new();
        let rows = "FROM (VALUES (DATE '9999-12-31', TIMESTAMP '2026-01-01 10:00:00'), (DATE '1600-02-29', TIMESTAMP '2500-06-01 00:00:00.5')) AS v (d, ts)";
        for (select, wanted) in [
            ("SELECT d > ts", vec!["false", "true"]),
            ("SELECT ts BETWEEN DATE '1500-01-01' AND d", vec!["false", "true"]),
            (
                "SELECT d IN (ts, TIMESTAMP '9999-12-31 00:00:00')",
                vec!["false", "true"],
            ),
            (
                "SELECT CAST(ts AS VARCHAR)",
                vec!["2026-01-01 10:00:00", "2500-06-01 00:00:00.5"],
            ),
            (
                "SELECT CAST(TIME '10:20:30.5' AS VARCHAR) || CAST(count(*) AS VARCHAR)",
                vec!["10:20:30.52"],
            ),
        ] {
            assert_eq!(lake.lines(&format!("{select} {rows}")).await, wanted, "{select}");
        }
    }
}
