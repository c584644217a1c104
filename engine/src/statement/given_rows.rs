//! The rows of an `INSERT` as the planner takes them.

use std::borrow::Cow;

use datafusion::arrow::datatypes::Schema;
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::common::DataFusionError;
use datafusion::sql::sqlparser::ast::{Expr, Ident, Query, SetExpr, Value, Values};
use tidewater_table::schema::write_default;

use super::exponents;
use super::parameters::columns_of;
use super::row_sql::{as_sql, has_query, is_default, is_text};
use crate::error::Result;
use crate::sql::Insert;

/// The query of an `INSERT` into a table with these columns, as text. `DEFAULT` is the default of its column. Rows that ask for something
/// are queries: the planner knows none within `VALUES`.
pub(super) fn query(insert: &Insert, schema: &Schema) -> Result<String> {
    let mut query = exponents::read(insert, schema);
    if has_defaults(&query) {
        let values = defaults(insert, &query, schema)?;
        let value = |at: usize| values.get(at).cloned().unwrap_or_else(null);
        query = Cow::Owned(filled(&query, value));
    }
    Ok(match query.body.as_ref() {
        SetExpr::Values(values) if is_bare(&query) && asks(values) => match &query.with {
            Some(with) => format!("{with} {}", selects(values)),
            None => selects(values),
        },
        _ => query.to_string(),
    })
}

/// The query of an `INSERT` with null for each `DEFAULT`, which the planner does not know.
pub(super) fn without_defaults(query: &Query) -> Cow<'_, Query> {
    match has_defaults(query) {
        true => Cow::Owned(filled(query, |_| null())),
        false => Cow::Borrowed(query),
    }
}

fn has_defaults(query: &Query) -> bool {
    match query.body.as_ref() {
        SetExpr::Values(values) => values.rows.iter().any(|row| row.iter().any(is_default)),
        _ => false,
    }
}

fn filled(query: &Query, value: impl Fn(usize) -> Expr) -> Query {
    let mut query = query.clone();
    if let SetExpr::Values(values) = query.body.as_mut() {
        for row in &mut values.rows {
            for (at, cell) in row.iter_mut().enumerate() {
                if is_default(cell) {
                    *cell = value(at);
                }
            }
        }
    }
    query
}

/// What each of the columns that are given is where nothing is said of it.
fn defaults(insert: &Insert, query: &Query, schema: &Schema) -> Result<Vec<Expr>> {
    let rows = match query.body.as_ref() {
        SetExpr::Values(values) => values.rows.as_slice(),
        _ => &[],
    };
    let all = schema.fields().iter().map(|field| field.name().as_str());
    let mut values = Vec::new();
    for (at, name) in columns_of(insert, all.collect()).into_iter().enumerate() {
        let default = match schema.field_with_name(name) {
            Ok(field) => write_default(field)?,
            // It is refused when its rows are written.
            Err(_) => None,
        };
        let beside_text = || rows.iter().any(|row| row.get(at).is_some_and(is_text));
        values.push(match default {
            // The planner finds no type for a text and a date, say.
            Some(value) if !value.data_type().is_binary() && beside_text() => {
                let text = array_value_to_string(&value, 0).map_err(DataFusionError::from)?;
                Expr::value(Value::SingleQuotedString(text))
            }
            // The query is made into text, in which a name without quotes stands as it is.
            Some(value) => Expr::Identifier(Ident::new(as_sql(&value)?)),
            None => null(),
        });
    }
    Ok(values)
}

fn null() -> Expr {
    Expr::value(Value::Null)
}

/// Whether there is nothing behind the rows.
fn is_bare(query: &Query) -> bool {
    query.order_by.is_none() && query.limit_clause.is_none() && query.fetch.is_none()
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

    // Goal: a value that is added may be asked for. Method: queries for values, alone and within others, in one row and beside others, of
    // what WITH names, and with a key.
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
            (
                "WITH q AS (SELECT max(n) AS m FROM s.r) INSERT INTO s.r VALUES (7, (SELECT m + 1 FROM q), 'd'), (8, 8, 'e')",
                2,
            ),
        ] {
            assert_eq!(rows(&lake, sql).await, count, "{sql}");
        }
        assert_eq!(
            lake.lines("SELECT * FROM s.r WHERE id > 2 ORDER BY id").await,
            ["3,20,c", "4,21,", "5,5,", "6,,b", "7,22,d", "8,8,e"]
        );
    }

    // Goal: a default in one row takes nothing from the others, whatever is written there. Method: defaults of several types beside texts, numbers
    // and each other.
    #[tokio::test]
    async fn defaults_stand_beside_values() {
        let lake = lake().await;
        done(
            &lake,
            "CREATE TABLE s.d (id int, n bigint, day date, s text) TBLPROPERTIES ('format-version' = '3')",
        )
        .await;
        done(
            &lake,
            "ALTER TABLE s.d ALTER COLUMN n SET DEFAULT 7, ALTER COLUMN day SET DEFAULT '2026-01-31', ALTER COLUMN s SET DEFAULT 'x'",
        )
        .await;
        for (sql, count) in [
            (
                "INSERT INTO s.d VALUES (1, DEFAULT, '2026-02-01', DEFAULT), (2, 20, DEFAULT, 'b')",
                2,
            ),
            (
                "INSERT INTO s.d VALUES (3, DEFAULT, DATE '2026-03-01', NULL), (4, 40, DEFAULT, DEFAULT)",
                2,
            ),
            ("INSERT INTO s.d (day, id) VALUES (DEFAULT, 5)", 1),
            (
                "INSERT INTO s.d (id, n) VALUES ((SELECT max(id) + 1 FROM s.d), DEFAULT)",
                1,
            ),
        ] {
            assert_eq!(rows(&lake, sql).await, count, "{sql}");
        }
        assert_eq!(
            lake.lines("SELECT id, n, day, s FROM s.d").await,
            [
                "1,7,2026-02-01,x",
                "2,20,2026-01-31,b",
                "3,7,2026-03-01,",
                "4,40,2026-01-31,x",
                "5,7,2026-01-31,x",
                "6,7,2026-01-31,x"
            ]
        );
    }
}
