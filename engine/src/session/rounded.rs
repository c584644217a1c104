//! Casts of numbers with a point to whole numbers, which round. DataFusion 55.2 cuts off, and where a decimal is compared after such a
//! cast it compares it as it was before (`CAST(d AS int) = 2` misses 2.50).

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Cast, TryCast};
use datafusion::logical_expr::{Expr, ExprSchemable};

use crate::functions::rounded::{is_rounded_first, rounded};
use crate::functions::rounded_within::{is_rounded, rounded_within, rounds};
use crate::functions::wide;

/// The cast of a rounded number, or of a list or struct of them. What is written out with a point is a decimal, as in PostgreSQL, of which
/// half goes away from zero.
pub(super) fn cast(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    of_whole(expr, schema, whole)
}

/// The same of a value that was not written in the statement.
pub(super) fn cast_of_value(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    of_whole(expr, schema, rounded)
}

fn of_whole(expr: Expr, schema: &DFSchema, whole: fn(Expr) -> Expr) -> Result<Transformed<Expr>> {
    let (value, kind) = match &expr {
        Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => (expr, field.data_type()),
        _ => return Ok(Transformed::no(expr)),
    };
    if kind.is_integer() && of_fractions(value, schema) {
        return Ok(Transformed::yes(match expr {
            Expr::Cast(Cast { expr, field }) => Expr::Cast(Cast::new_from_field(Box::new(whole(*expr)), field)),
            Expr::TryCast(TryCast { expr, field }) => {
                let of = expr.get_type(schema).unwrap_or(DataType::Null);
                let steps = wide::steps(&of, field.data_type());
                let value = match steps.is_empty() {
                    true => whole(*expr),
                    // What is too large for any of them is null.
                    false => steps
                        .into_iter()
                        .fold(*expr, |value, step| Expr::TryCast(TryCast::new(Box::new(value), step))),
                };
                Expr::TryCast(TryCast::new_from_field(Box::new(value), field))
            }
            other => other,
        }));
    }
    let within = kind.is_nested() && !is_rounded(value) && value.get_type(schema).is_ok_and(|of| rounds(&of, kind));
    if !within {
        return Ok(Transformed::no(expr));
    }
    Ok(Transformed::yes(match expr {
        Expr::Cast(Cast { expr, field }) => {
            let value = rounded_within(*expr, field.data_type())?;
            Expr::Cast(Cast::new_from_field(Box::new(value), field))
        }
        Expr::TryCast(TryCast { expr, field }) => {
            let value = rounded_within(*expr, field.data_type())?;
            Expr::TryCast(TryCast::new_from_field(Box::new(value), field))
        }
        other => other,
    }))
}

fn whole(value: Expr) -> Expr {
    match value {
        Expr::Literal(ScalarValue::Float64(Some(number)), metadata) => {
            Expr::Literal(ScalarValue::Float64(Some(number.round())), metadata)
        }
        value => rounded(value),
    }
}

/// Whether a value is rounded first. The branches of a `CASE` are of several types yet.
fn of_fractions(value: &Expr, schema: &DFSchema) -> bool {
    match value {
        Expr::Case(case) => {
            let branches = case.when_then_expr.iter().map(|(_, then)| then);
            let branches = branches.chain(&case.else_expr);
            let kinds: Result<Vec<DataType>> = branches.map(|then| then.get_type(schema)).collect();
            kinds.is_ok_and(|kinds| {
                kinds.iter().all(|of| of.is_null() || of.is_numeric()) && kinds.iter().any(is_rounded_first)
            })
        }
        value => value.get_type(schema).is_ok_and(|of| is_rounded_first(&of)),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Lake;

    // Goal: a cast to a whole number rounds as PostgreSQL's does: half away from zero for decimals and what is written with a point, to
    // the even one for floating-point numbers. Method: a table of values, of both signs and several types.
    #[tokio::test]
    async fn casts_to_whole_numbers_round() {
        let lake = Lake::new();
        for (sql, wanted) in [
            ("CAST(1.5 AS int)", "2"),
            ("CAST(2.5 AS bigint)", "3"),
            ("CAST(-0.5 AS smallint)", "-1"),
            ("CAST(1.4999 AS int)", "1"),
            ("CAST(1.5 AS tinyint)", "2"),
            ("CAST(CAST('2.5' AS decimal(10, 2)) AS int)", "3"),
            ("CAST(CAST('-2.5' AS decimal(10, 2)) AS int)", "-3"),
            ("CAST(CAST('2.49' AS decimal(10, 2)) AS int)", "2"),
            ("CAST(CAST('0.99' AS decimal(2, 2)) AS int)", "1"),
            ("CAST(CAST('2.5' AS double) AS int)", "2"),
            ("CAST(CAST('3.5' AS double) AS int)", "4"),
            ("CAST(CAST('-0.5' AS real) AS bigint)", "0"),
            ("CAST(CAST('7' AS decimal(10, 0)) AS int)", "7"),
            ("CAST(CAST(NULL AS decimal(10, 2)) AS int)", ""),
            ("CAST('12' AS int)", "12"),
            ("CAST(CASE WHEN length('a') = 2 THEN 1 ELSE 1.5e0 END AS int)", "2"),
            ("arrow_typeof(CAST(1.5 AS smallint))", "Int16"),
            ("TRY_CAST(2.5 AS int)", "3"),
            ("TRY_CAST(CAST('2.5' AS decimal(10, 2)) AS int)", "3"),
            ("TRY_CAST(32767.5 AS smallint)", ""),
            (
                "CAST(arrow_cast('9223372036854775807', 'Decimal256(50, 0)') AS bigint)",
                "9223372036854775807",
            ),
            ("CAST(arrow_cast('-2.5', 'Decimal256(50, 30)') AS int)", "-3"),
            ("TRY_CAST(arrow_cast('2.5', 'Decimal256(50, 1)') AS int)", "3"),
            (
                "TRY_CAST(arrow_cast('18446744073709551616', 'Decimal256(50, 0)') AS bigint)",
                "",
            ),
            (
                "TRY_CAST(arrow_cast('18446744073709551616000000000000000000000', 'Decimal256(50, 0)') AS bigint)",
                "",
            ),
            (
                "CAST(arrow_cast('18446744073709551616', 'Decimal256(50, 0)') AS decimal(20, 0))",
                "18446744073709551616",
            ),
            ("CAST([1.6, -1.6, NULL] AS bigint[])", "[2, -2, ]"),
            ("CAST([[1.6], [-2.6]] AS int[][])", "[[2], [-3]]"),
        ] {
            assert_eq!(lake.lines(&format!("SELECT {sql}")).await, [wanted], "{sql}");
        }
        for sql in [
            "CAST(32767.5 AS smallint)",
            "CAST(CAST('32767.50' AS decimal(10, 2)) AS smallint)",
            "CAST(arrow_cast('18446744073709551616', 'Decimal256(50, 0)') AS bigint)",
            "CAST(arrow_cast('100000000000000000000000000000000000000', 'Decimal256(50, 0)') AS bigint)",
            "CAST(arrow_cast('4294967296', 'Decimal256(50, 0)') AS int)",
            "arrow_cast(arrow_cast('18446744073709551616', 'Decimal256(50, 0)'), 'Int64')",
            "CAST(CASE WHEN length('a') = 1 THEN arrow_cast('18446744073709551616', 'Decimal256(50, 0)') END AS bigint)",
            "CAST([arrow_cast('18446744073709551616', 'Decimal256(50, 0)')] AS bigint[])",
        ] {
            assert!(lake.answered(&format!("SELECT {sql}")).await.is_err(), "{sql}");
        }
    }

    // Goal: what is rounded is so wherever it stands. Method: conditions, groups, groupings, sorts, windows and subqueries of a column.
    #[tokio::test]
    async fn casts_round_wherever_they_stand() {
        let lake = Lake::new();
        let rows = "(SELECT id, CAST(t AS decimal(10, 2)) AS d FROM (VALUES (1, '1.50'), (2, '2.50'), (3, '2.49'), (4, '-2.50')) \
                    AS v (id, t)) AS t";
        for (sql, wanted) in [
            (
                format!("SELECT id FROM {rows} WHERE CAST(d AS int) = 2"),
                vec!["1", "3"],
            ),
            (
                format!("SELECT id FROM {rows} WHERE CAST(d AS bigint) IN (3, -3)"),
                vec!["2", "4"],
            ),
            (
                format!("SELECT id FROM {rows} WHERE TRY_CAST(d AS int) = 2"),
                vec!["1", "3"],
            ),
            (format!("SELECT id FROM {rows} WHERE CAST(d AS int) > 2"), vec!["2"]),
            (
                format!("SELECT CAST(d AS int), count(*) FROM {rows} GROUP BY CAST(d AS int)"),
                vec!["-3,1", "2,2", "3,1"],
            ),
            (
                format!("SELECT CAST(d AS int), count(*) FROM {rows} GROUP BY ROLLUP (CAST(d AS int))"),
                vec![",4", "-3,1", "2,2", "3,1"],
            ),
            (format!("SELECT sum(CAST(d AS int)) FROM {rows}"), vec!["4"]),
            (
                format!("SELECT id, max(CAST(d AS int)) OVER () FROM {rows} ORDER BY CAST(d AS int), id LIMIT 1"),
                vec!["4,3"],
            ),
            (
                format!("SELECT id FROM {rows} WHERE id = (SELECT max(CAST(d AS int)) FROM {rows})"),
                vec!["3"],
            ),
        ] {
            assert_eq!(lake.lines(&sql).await, wanted, "{sql}");
        }
    }
}
