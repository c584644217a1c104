use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::Int32Type;

use super::*;
use crate::statement::tests::{done, lake};
use crate::testing::Lake;

/// A table of several files, of which some have deleted rows, so that its rows come in several parts.
async fn filled() -> Lake {
    let lake = lake().await;
    for sql in [
        "CREATE TABLE s.t (id int, k int, v decimal(10, 2), g text) TBLPROPERTIES ('write.delete.mode' = 'merge-on-read')",
        "INSERT INTO s.t VALUES (1, 1, 2.50, 'a'), (2, NULL, NULL, 'bb'), (3, 7, -4.00, NULL)",
        "INSERT INTO s.t VALUES (4, 4, 30.00, 'ccc'), (5, 2, 9.00, ''), (9, 0, 0.00, 'z')",
        "INSERT INTO s.t VALUES (6, 3, NULL, 'dd'), (7, 6, 12.00, 'e'), (8, 0, 3.00, 'a')",
        "DELETE FROM s.t WHERE id IN (8, 9)",
    ] {
        done(&lake, sql).await;
    }
    lake
}

fn ids(rows: &[RecordBatch]) -> Vec<i32> {
    let columns = rows.iter().map(|batch| batch.column(0).as_primitive::<Int32Type>());
    columns.flat_map(|ids| ids.values().to_vec()).collect()
}

fn names(plan: &LogicalPlan) -> Vec<&String> {
    let fields = plan.schema().fields().iter();
    fields.map(|field| field.name()).collect()
}

/// Statements with what their first columns are, in order.
const ORDERS: [(&str, &[i32]); 17] = [
    (
        "SELECT id FROM s.t ORDER BY coalesce(v, 0) > 3, id LIMIT 5",
        &[1, 2, 3, 6, 4],
    ),
    (
        "SELECT id FROM s.t ORDER BY -coalesce(v, 0), id",
        &[4, 7, 5, 1, 2, 6, 3],
    ),
    ("SELECT id FROM s.t ORDER BY v / 3 > 1, id LIMIT 3", &[1, 3, 4]),
    (
        "SELECT id FROM s.t ORDER BY v / 3 > 1 DESC NULLS LAST, id DESC",
        &[7, 5, 4, 3, 1, 6, 2],
    ),
    ("SELECT id FROM s.t ORDER BY abs(k - 4), id", &[4, 6, 5, 7, 1, 3, 2]),
    (
        "SELECT id FROM s.t ORDER BY abs(k - 4), id LIMIT 3 OFFSET 2",
        &[5, 7, 1],
    ),
    (
        "SELECT id FROM s.t ORDER BY CASE WHEN coalesce(v, 0) > 10 THEN 0 ELSE 1 END, id",
        &[4, 7, 1, 2, 3, 5, 6],
    ),
    (
        "SELECT id FROM (SELECT id, g FROM s.t UNION ALL SELECT CAST(id + 10 AS int), g FROM s.t WHERE id < 3) AS u ORDER BY length(g) > 1, id",
        &[1, 5, 7, 11, 2, 4, 6, 12, 3],
    ),
    (
        "SELECT DISTINCT ON (abs(k - 4)) id FROM s.t ORDER BY abs(k - 4), id DESC",
        &[4, 6, 7, 3, 2],
    ),
    (
        "SELECT id FROM (SELECT id, rank() OVER (ORDER BY abs(nullif(k, 2))) AS r FROM s.t) AS q ORDER BY r, id",
        &[1, 6, 4, 7, 3, 2, 5],
    ),
    (
        "SELECT id FROM (SELECT id, rank() OVER (ORDER BY abs(v / 3)) AS r FROM s.t) AS q ORDER BY r, id",
        &[1, 3, 5, 7, 4, 2, 6],
    ),
    (
        "SELECT id FROM (SELECT id, rank() OVER (ORDER BY abs(CASE WHEN k > 1 THEN k END)) AS r FROM s.t) AS q ORDER BY r, id",
        &[5, 6, 4, 7, 3, 1, 2],
    ),
    (
        "SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY k % 2 ORDER BY v / 3 > 1 DESC NULLS LAST, id) AS n FROM s.t) AS q \
         WHERE n = 1 ORDER BY id",
        &[1, 2, 4],
    ),
    (
        "SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY abs(k - 4) ORDER BY id DESC) AS n, \
         sum(k) OVER (PARTITION BY abs(k - 4)) AS s FROM s.t) AS q WHERE n = 1 ORDER BY s, id",
        &[6, 4, 3, 7, 2],
    ),
    (
        "SELECT CAST(max(a) OVER (PARTITION BY abs(nullif(a - 4, 0))) AS int) AS m FROM (VALUES (1), (2), (6), (7)) AS v (a) ORDER BY m, a",
        &[6, 6, 7, 7],
    ),
    (
        "SELECT (array_agg(id ORDER BY length(g) > 1 DESC NULLS LAST, id))[1] AS f FROM s.t",
        &[2],
    ),
    (
        "SELECT first_value(id ORDER BY abs(k - 4) DESC NULLS LAST, id DESC) AS f FROM s.t GROUP BY v IS NULL ORDER BY f",
        &[3, 6],
    ),
];

// Goal: rows come in the order of what is computed, whichever parts they come from. Method: sorts, windows and ordered aggregates by what is
// compared, reckoned and chosen, over a table with deleted rows, over a union and over written rows, in this process and as plans travel.
#[tokio::test]
async fn rows_in_computed_orders() {
    let lake = filled().await;
    for (sql, wanted) in ORDERS {
        assert_eq!(ids(&lake.query(sql).await), wanted, "{sql}");
        let mut lines: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        lines.sort();
        let travelled = lake.travelled(sql).await;
        assert_eq!(
            travelled.unwrap_or_else(|error| panic!("{sql}: {error:?}")),
            lines,
            "{sql}"
        );
    }
}

// Goal: texts are put together in an order by what is computed, and different values in one by themselves; where nothing has to be sorted,
// keys are reckoned of the rows that a filter lets pass. Method: such aggregates, one of them beside one without an order, and a first value
// whose key is a division by zero in another row.
#[tokio::test]
async fn aggregates_in_computed_orders() {
    let lake = filled().await;
    for (sql, wanted) in [
        (
            "SELECT count(*) AS n, string_agg(CAST(id AS text), '-' ORDER BY length(g) > 1 DESC NULLS FIRST, id) AS ids FROM s.t",
            "7,3-2-4-6-1-5-7",
        ),
        (
            "SELECT string_agg(CAST(id AS text), '-' ORDER BY abs(nullif(k, 2)), id) AS ids FROM s.t",
            "1-6-4-7-3-2-5",
        ),
        (
            "SELECT array_to_string(array_agg(DISTINCT abs(nullif(k, 2)) ORDER BY abs(nullif(k, 2)) DESC NULLS LAST), '-') AS ks FROM s.t",
            "7-6-4-3-1",
        ),
        (
            "SELECT first_value(id ORDER BY 10 / k > 1, id) FILTER (WHERE k <> 0) AS f FROM (VALUES (1, 0), (2, 5), (3, 20)) AS v (id, k)",
            "3",
        ),
    ] {
        assert_eq!(lake.lines(sql).await, [wanted], "{sql}");
    }
}

// Goal: only what would not be known again becomes a column, and nobody sees it. Method: optimised plans, and their columns.
#[tokio::test]
async fn keys_that_are_known_stay() {
    let lake = filled().await;
    for (key, is_made) in [
        ("k", false),
        ("abs(k)", false),
        ("lower(g) = 'a'", false),
        ("abs(nullif(k, 2))", true),
        ("v / 3 > 1", true),
    ] {
        for sql in [
            format!("SELECT * FROM s.t ORDER BY {key}"),
            format!("SELECT id, rank() OVER (ORDER BY {key}) FROM s.t"),
            format!("SELECT array_agg(id ORDER BY {key}) FROM s.t"),
        ] {
            let session = lake.session();
            let plan = lake.engine.plan(&session, &sql).await.expect(&sql);
            let optimised = session.state().optimize(&plan).expect(&sql);
            let text = optimised.display_indent().to_string();
            assert_eq!(text.contains(KEY), is_made, "{sql}: {text}");
            assert_eq!(names(&optimised), names(&plan), "{sql}");
        }
    }
}
