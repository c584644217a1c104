//! `(a, b) IN (SELECT …)`, which DataFusion 55.2 refuses, as the existence of an equal row: where false and unknown are the same, as they
//! are in conditions. Elsewhere it stays refused.

use datafusion::sql::sqlparser::ast::{Expr, Query};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

/// What is asked of a row that is looked for among others.
#[derive(Clone, Copy)]
pub(super) enum Asked {
    /// That it is there. Unknown is false.
    Present,
    /// That it is not there. Unknown is false.
    Absent,
}

/// The condition by existence; none if what is looked for is no row.
pub(super) fn written(value: &Expr, query: &Query, asked: Asked) -> Option<Expr> {
    let row = match value {
        Expr::Tuple(row) if !row.is_empty() => row,
        Expr::Nested(inner) => return written(inner, query, asked),
        _ => return None,
    };
    // The names are no one's.
    let names: Vec<String> = (0..row.len()).map(|at| format!("\"member${at}\"")).collect();
    let exists = |matches: &dyn Fn(&str, &Expr) -> String| {
        let parts: Vec<String> = names.iter().zip(row).map(|(name, part)| matches(name, part)).collect();
        format!(
            "EXISTS (SELECT 1 FROM ({query}) AS \"in$\" ({}) WHERE {})",
            names.join(", "),
            parts.join(" AND ")
        )
    };
    let equal = || exists(&|name, part| format!("\"in$\".{name} = ({part})"));
    let not_different =
        || exists(&|name, part| format!("(\"in$\".{name} = ({part}) OR \"in$\".{name} IS NULL OR ({part}) IS NULL)"));
    let text = match asked {
        Asked::Present => equal(),
        Asked::Absent => format!("NOT {}", not_different()),
    };
    Parser::new(&GenericDialect {})
        .try_with_sql(&text)
        .ok()?
        .parse_expr()
        .ok()
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
}
