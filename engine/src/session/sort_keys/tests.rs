//! What names in `ORDER BY` mean, and that no hidden key is shown.

use tidewater_core::Coded;

use crate::testing::Lake;

const T: &str = "FROM (VALUES (1, 5), (2, NULL), (3, -7)) AS t (k, i)";

// Goal: within an expression a name is that of a column that is read, alone it is that of the result. Method: the first row by columns
// whose order the result's is not, at the top and within other queries, with groups, windows and joins.
#[tokio::test]
async fn names_in_expressions_are_of_what_is_read() {
    let lake = Lake::new();
    let first = format!("SELECT k, coalesce(-i, 0) AS i {T} ORDER BY i + 0 LIMIT 1");
    let other = format!("SELECT 4 - k AS k {T} ORDER BY k + 0 LIMIT 1");
    for (sql, rows) in [
        (
            format!("SELECT k, coalesce(i, 0) AS i {T} ORDER BY i IS NULL DESC, k LIMIT 1"),
            vec!["2,0"],
        ),
        (
            format!("SELECT k, coalesce(-i, 0) AS i {T} ORDER BY i LIMIT 1"),
            vec!["1,-5"],
        ),
        (
            format!("SELECT k, coalesce(-i, 0) AS i {T} ORDER BY (i) LIMIT 1"),
            vec!["1,-5"],
        ),
        (first.clone(), vec!["3,7"]),
        (
            format!("(SELECT k, coalesce(-i, 0) AS i {T}) ORDER BY i + 0 LIMIT 1"),
            vec!["3,7"],
        ),
        (format!("SELECT q.k FROM ({first}) AS q"), vec!["3"]),
        (format!("SELECT * FROM ({first}) AS q"), vec!["3,7"]),
        (format!("WITH q AS ({first}) SELECT i FROM q"), vec!["7"]),
        (format!("SELECT ({other})"), vec!["3"]),
        (
            format!("SELECT m FROM (VALUES (1), (3)) AS b (m) WHERE m IN ({other})"),
            vec!["3"],
        ),
        (format!("({other}) UNION ALL SELECT 9"), vec!["3", "9"]),
        (
            format!("SELECT k, sum(-i) AS i {T} GROUP BY k ORDER BY sum(i) LIMIT 1"),
            vec!["3,7"],
        ),
        (
            format!("SELECT k, sum(-i) AS i {T} GROUP BY k ORDER BY sum(-i) LIMIT 1"),
            vec!["1,-5"],
        ),
        (
            format!("SELECT coalesce(-i, 0) AS i {T} GROUP BY i ORDER BY i + 0 LIMIT 1"),
            vec!["7"],
        ),
        (
            format!("SELECT k, row_number() OVER (ORDER BY k) AS i {T} ORDER BY i + 0 LIMIT 1"),
            vec!["3,3"],
        ),
        (
            format!("SELECT k, -i AS i {T} JOIN (VALUES (1), (3)) AS b (m) ON b.m = t.k ORDER BY i + 0, m + k LIMIT 1"),
            vec!["3,7"],
        ),
        (
            "SELECT lower(s) AS s FROM (VALUES ('B'), ('a')) AS t (s) ORDER BY s COLLATE \"C\" LIMIT 1".to_owned(),
            vec!["b"],
        ),
        (format!("SELECT -i AS i {T} ORDER BY t.i LIMIT 1"), vec!["7"]),
        (
            format!("SELECT q.i FROM (SELECT coalesce(i, 0) AS i {T} ORDER BY t.i IS NULL DESC LIMIT 1) AS q"),
            vec!["0"],
        ),
        (
            format!("SELECT k, sum(-i) AS i {T} GROUP BY k ORDER BY sum(t.i) LIMIT 1"),
            vec!["3,7"],
        ),
        (format!("SELECT DISTINCT -i AS i {T} ORDER BY -i LIMIT 1"), vec!["-5"]),
        (
            format!("SELECT DISTINCT i + 1 AS m {T} ORDER BY t.i + 1 LIMIT 1"),
            vec!["-6"],
        ),
        (
            format!("SELECT DISTINCT i + 1 AS i {T} ORDER BY (T.i + 1) LIMIT 1"),
            vec!["-6"],
        ),
        (
            format!("SELECT DISTINCT t.i + 1 AS m {T} ORDER BY i + 1 DESC NULLS LAST LIMIT 1"),
            vec!["6"],
        ),
        (
            "SELECT DISTINCT s, lower(s) FROM (VALUES ('B'), ('a')) AS t (s) ORDER BY s COLLATE \"C\" LIMIT 1"
                .to_owned(),
            vec!["B,b"],
        ),
        (
            format!("SELECT DISTINCT ABS(I) AS i {T} ORDER BY abs(\"i\") LIMIT 1"),
            vec!["5"],
        ),
        (
            format!("SELECT t.i AS i {T} JOIN (VALUES (1, 9), (3, 7)) AS b (m, i) ON b.m = t.k ORDER BY b.i LIMIT 1"),
            vec!["-7"],
        ),
    ] {
        assert_eq!(lake.lines(&sql).await, rows, "{sql}");
    }
}

// Goal: what a key is sorted by is in no answer, under no name. Method: columns of one name beside it, and all columns of a query.
#[tokio::test]
async fn keys_are_not_shown() {
    let lake = Lake::new();
    let sql = format!(
        "SELECT t.k, b.k, -i AS i {T} JOIN (VALUES (1), (3)) AS b (k) ON b.k = t.k ORDER BY i + 0, t.k + 1 LIMIT 2"
    );
    let plan = lake.engine.plan(&lake.session(), &sql).await.expect(&sql);
    let columns = plan.schema().fields().iter();
    let columns: Vec<&str> = columns.map(|field| field.name().as_str()).collect();
    assert_eq!(columns, ["k", "k", "i"]);
    assert_eq!(lake.lines(&sql).await, ["1,1,-5", "3,3,7"]);
}

// Goal: names that only the result has are its own, and what cannot be told apart is refused. Method: each kind, beside a column of the
// table's, and rows that are told once.
#[tokio::test]
async fn names_of_the_result() {
    let lake = Lake::new();
    for (sql, rows) in [
        (format!("SELECT k, -i AS n {T} ORDER BY n + 0 LIMIT 1"), vec!["1,-5"]),
        ("SELECT 1 AS i ORDER BY i + 1".to_owned(), vec!["1"]),
        (
            format!("SELECT k, count(*) AS n {T} GROUP BY k ORDER BY n + 0, k DESC LIMIT 1"),
            vec!["3,1"],
        ),
        (
            format!(
                "SELECT t.k AS k, -i AS n {T} JOIN (VALUES (1), (3)) AS b (m) ON b.m = t.k \
                 ORDER BY CASE WHEN n > 0 THEN k END LIMIT 1"
            ),
            vec!["3,7"],
        ),
    ] {
        assert_eq!(lake.lines(&sql).await, rows, "{sql}");
    }
    for sql in [
        format!("SELECT -k AS n, -i AS i {T} ORDER BY i + n"),
        format!("SELECT DISTINCT -i AS i {T} ORDER BY i + 0"),
        format!("SELECT count(*) AS i {T} GROUP BY k ORDER BY i + 0"),
        format!("SELECT -i AS i {T} GROUP BY ALL ORDER BY i + 0"),
        format!("SELECT -t.i AS i {T} JOIN (VALUES (1)) AS b (i) ON b.i = t.k ORDER BY i + 0"),
    ] {
        assert_eq!(lake.refused(&sql).await.code(), "ENG-0003", "{sql}");
    }
}
