//! The rows of an `INSERT` as the planner takes them.

use datafusion::arrow::datatypes::Schema;
use datafusion::sql::sqlparser::ast::{Query, SetExpr, Values};

use super::exponents;
use super::row_sql::has_query;
use crate::sql::Insert;

/// The query of an `INSERT` into a table with these columns, as text. Rows that ask for something are queries: the planner knows none
/// within `VALUES`.
pub(super) fn query(insert: &Insert, schema: &Schema) -> String {
    let query = exponents::read(insert, schema);
    match query.body.as_ref() {
        SetExpr::Values(values) if is_bare(&query) && asks(values) => selects(values),
        _ => query.to_string(),
    }
}

/// Whether there is nothing around the rows.
fn is_bare(query: &Query) -> bool {
    query.with.is_none() && query.order_by.is_none() && query.limit_clause.is_none() && query.fetch.is_none()
}

fn asks(values: &Values) -> bool {
    values.rows.iter().any(|row| row.iter().any(has_query))
}

fn selects(values: &Values) -> String {
    let rows = values.rows.iter().map(|row| {
        let cells = row.iter().enumerate();
        let cells: Vec<String> = cells.map(|(at, cell)| format!("{cell} AS \"v{at}\"")).collect();
        format!("SELECT {}", cells.join(", "))
    });
    rows.collect::<Vec<_>>().join(" UNION ALL ")
}

#[cfg(test)]
mod tests {
    use crate::statement::tests::{done, lake, rows};

    // Goal: a value that is added may be asked for. Method: queries for values, alone and within others, in one row and beside others, and
    // with a key.
    #[tokio::test]
    async fn rows_may_ask() {
        let lake = lake().await;
        done(&lake, "CREATE TABLE s.r (id int, n bigint, s text)").await;
        assert_eq!(
            rows(&lake, "INSERT INTO s.r VALUES (1, 10, 'a'), (2, 20, 'b')").await,
            2
        );
        for (sql, count) in [
            ("INSERT INTO s.r VALUES (3, (SELECT max(n) FROM s.r), 'c')", 1),
            (
                "INSERT INTO s.r (n, id) VALUES (1 + (SELECT max(n) FROM s.r), 4), (5, 5)",
                2,
            ),
            (
                "INSERT INTO s.r (id, s) VALUES (6, (SELECT s FROM s.r WHERE id = 2)) ON CONFLICT (id) DO NOTHING",
                1,
            ),
        ] {
            assert_eq!(rows(&lake, sql).await, count, "{sql}");
        }
        assert_eq!(
            lake.lines("SELECT * FROM s.r WHERE id > 2 ORDER BY id").await,
            ["3,20,c", "4,21,", "5,5,", "6,,b"]
        );
    }
}
