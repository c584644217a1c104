//! Comparisons with a query's rows that DataFusion 55.2 refuses or gets wrong, `(a, b) IN (SELECT …)` and `a < ALL (SELECT …)`, as the
//! existence of rows: where false and unknown are the same, as they are in conditions. Elsewhere they stay refused.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Query};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

/// The condition by existence; none for what is no such comparison. With `opposite` that which is true where it is false.
pub(super) fn written(condition: &Expr, opposite: bool) -> Option<Expr> {
    let text = match condition {
        Expr::Nested(inner) => return written(inner, opposite),
        Expr::InSubquery {
            expr,
            subquery,
            negated,
        } => among(row(expr)?, subquery, *negated == opposite),
        Expr::AnyOp {
            left,
            compare_op,
            right,
            ..
        } => compared(left, compare_op, right, false, opposite)?,
        Expr::AllOp {
            left,
            compare_op,
            right,
        } => compared(left, compare_op, right, true, opposite)?,
        _ => return None,
    };
    Parser::new(&GenericDialect {})
        .try_with_sql(&text)
        .ok()?
        .parse_expr()
        .ok()
}

/// The parts of a row; none of what is a value.
fn row(value: &Expr) -> Option<&[Expr]> {
    match value {
        Expr::Tuple(row) if !row.is_empty() => Some(row),
        Expr::Nested(inner) => row(inner),
        _ => None,
    }
}

/// That a row is among the query's, or is not.
fn among(row: &[Expr], query: &Query, present: bool) -> String {
    let matches: Vec<String> = row
        .iter()
        .enumerate()
        .map(|(at, part)| {
            let name = member(at);
            match present {
                true => format!("{name} = ({part})"),
                false => format!("({name} = ({part}) OR {name} IS NULL OR ({part}) IS NULL)"),
            }
        })
        .collect();
    let exists = exists(query, row.len(), &matches.join(" AND "));
    match present {
        true => exists,
        false => format!("NOT {exists}"),
    }
}

/// What a comparison with any or all rows of a query comes to. What is an `IN` is left to be one.
fn compared(left: &Expr, op: &BinaryOperator, right: &Expr, all: bool, opposite: bool) -> Option<String> {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    let Expr::Subquery(query) = right else { return None };
    if !matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq) || matches!((op, all), (Eq, false) | (NotEq, true)) {
        return None;
    }
    let holds = format!("(({left}) {op} {})", member(0));
    Some(match (all, opposite) {
        (false, false) => exists(query, 1, &holds),
        (false, true) => format!("NOT {}", exists(query, 1, &format!("{holds} IS NOT FALSE"))),
        (true, false) => format!("NOT {}", exists(query, 1, &format!("{holds} IS NOT TRUE"))),
        (true, true) => exists(query, 1, &format!("NOT {holds}")),
    })
}

/// A column of the query's rows. The names are no one's.
fn member(at: usize) -> String {
    format!("\"in$\".\"member${at}\"")
}

fn exists(query: &Query, columns: usize, condition: &str) -> String {
    let names: Vec<String> = (0..columns).map(|at| format!("\"member${at}\"")).collect();
    format!(
        "EXISTS (SELECT 1 FROM ({query}) AS \"in$\" ({}) WHERE {condition})",
        names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use crate::testing::Lake;

    // Goal: whether a row is among a query's rows is what SQL says of it: a null makes it unknown only where the rest does not differ.
    // Method: rows with nulls among them and looked for, as conditions that stand alone and beside others.
    #[tokio::test]
    async fn rows_among_rows() {
        let lake = Lake::new();
        let rows = "FROM (VALUES (1, 1), (1, 2), (2, NULL), (3, 3)) AS v (x, y)";
        let with = "(SELECT * FROM (VALUES (1, 1), (2, 2), (NULL, 3)) AS s (a, b))";
        let without = "(SELECT * FROM (VALUES (1, 1), (2, 2)) AS s (a, b))";
        let none = "(SELECT 1, 2 WHERE false)";
        for (condition, wanted) in [
            (format!("(x, y) IN {with}"), vec!["1,1"]),
            (format!("(x, y) NOT IN {with}"), vec!["1,2"]),
            (format!("(x, y) NOT IN {without}"), vec!["1,2", "3,3"]),
            (format!("NOT (x, y) IN {without}"), vec!["1,2", "3,3"]),
            (format!("NOT ((x, y) IN {with})"), vec!["1,2"]),
            (format!("(x, y) NOT IN {none}"), vec!["1,1", "1,2", "2,", "3,3"]),
            (format!("(x, y) IN {with} OR y = 2"), vec!["1,1", "1,2"]),
            (format!("(x, y) NOT IN {with} OR x = 9"), vec!["1,2"]),
            (format!("x > 0 AND (x, y) IN {with} AND y < 2"), vec!["1,1"]),
            (format!("NOT (x, y) IN {with} OR (x, y) IN {none}"), vec!["1,2"]),
        ] {
            let sql = format!("SELECT x, y {rows} WHERE {condition}");
            assert_eq!(lake.lines(&sql).await, wanted, "{condition}");
        }
    }

    // Goal: comparisons with any or all rows of a query are those of SQL: a null leaves unknown what the rest does not decide, and
    // anything holds of all of no rows. Method: each operator against rows with a null, without one, and none, as it stands and denied.
    #[tokio::test]
    async fn any_and_all_rows() {
        let lake = Lake::new();
        let rows = "FROM (VALUES (1), (2), (3), (NULL)) AS v (x)";
        let with = "(SELECT * FROM (VALUES (2), (NULL)) AS s (x))";
        let without = "(SELECT * FROM (VALUES (2), (3)) AS s (x))";
        let none = "(SELECT 1 WHERE false)";
        for (condition, wanted) in [
            (format!("x < ANY {without}"), vec!["1", "2"]),
            (format!("x < SOME {with}"), vec!["1"]),
            (format!("x >= ALL {without}"), vec!["3"]),
            (format!("x >= ALL {with}"), vec![]),
            (format!("x <> ANY {without}"), vec!["1", "2", "3"]),
            ("x = ALL (SELECT 2)".to_owned(), vec!["2"]),
            (format!("x = ANY {without}"), vec!["2", "3"]),
            (format!("x <> ALL {without}"), vec!["1"]),
            (format!("x > ALL {none}"), vec!["", "1", "2", "3"]),
            (format!("x > ANY {none}"), vec![]),
            (format!("NOT x > ANY {none}"), vec!["", "1", "2", "3"]),
            (format!("NOT x <= ALL {without}"), vec!["3"]),
            (format!("NOT x > ANY {without}"), vec!["1", "2"]),
            (format!("NOT x > ANY {with}"), vec![]),
            (format!("NOT (x > ANY {without})"), vec!["1", "2"]),
            (format!("NOT ((x > ANY {with}))"), vec![]),
            (format!("NOT (x <= ALL {without}) OR x = 1"), vec!["1", "3"]),
            (format!("x > 1 AND NOT (x > ANY {without})"), vec!["2"]),
            (format!("x > ALL {without} OR x = 1"), vec!["1"]),
            (format!("NOT x <= ALL {without} OR x = 1"), vec!["1", "3"]),
        ] {
            let sql = format!("SELECT x {rows} WHERE {condition}");
            assert_eq!(lake.lines(&sql).await, wanted, "{condition}");
        }
    }
}
