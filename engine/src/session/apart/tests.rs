//! Columns that are called alike: which are shown so, and which names are refused.

use tidewater_core::Coded;

use super::shown_name;
use crate::testing::Lake;

const T: &str = "FROM (VALUES (1, 5), (2, 7)) AS t (k, i)";

// Goal: columns are called as the query says, however many are called so. Method: each way to say one name twice, at the top and within
// other queries, with the rows beside the names.
#[tokio::test]
async fn names_twice() {
    let lake = Lake::new();
    for (sql, names, rows) in [
        (format!("SELECT k AS k, k {T}"), "k,k", vec!["1,1", "2,2"]),
        ("SELECT 1 AS a, 2 AS a".to_owned(), "a,a", vec!["1,2"]),
        (format!("SELECT CAST(k AS text) AS k, k {T}"), "k,k", vec!["1,1", "2,2"]),
        (format!("SELECT k, k + 1 AS k {T}"), "k,k", vec!["1,2", "2,3"]),
        (format!("SELECT *, k {T}"), "k,i,k", vec!["1,5,1", "2,7,2"]),
        (
            format!("SELECT *, 0 AS k {T} ORDER BY i"),
            "k,i,k",
            vec!["1,5,0", "2,7,0"],
        ),
        (
            format!("SELECT count(*), count(*) {T}"),
            "count(*),count(*)",
            vec!["2,2"],
        ),
        (
            "SELECT a.*, b.* FROM (VALUES (1, 2)) AS a (k, x) JOIN (VALUES (1, 3)) AS b (k, y) ON a.k = b.k".to_owned(),
            "k,x,k,y",
            vec!["1,2,1,3"],
        ),
        (
            format!("SELECT k AS a, i AS a {T} ORDER BY 1 DESC LIMIT 1"),
            "a,a",
            vec!["2,7"],
        ),
        (
            format!("SELECT k AS a, t.k AS a {T} ORDER BY a DESC LIMIT 1"),
            "a,a",
            vec!["2,2"],
        ),
        (
            format!("SELECT k AS i, i AS i {T} GROUP BY k, i HAVING max(i) > 5"),
            "i,i",
            vec!["2,7"],
        ),
        (
            format!("SELECT k AS i, t.k AS i {T} GROUP BY k, i HAVING max(i) > 5 ORDER BY i"),
            "i,i",
            vec!["2,2"],
        ),
        (
            format!("SELECT count(*) AS k, sum(i) AS k {T} HAVING max(k) = 2"),
            "k,k",
            vec!["2,12"],
        ),
        (
            "SELECT 1 AS a, 2 AS a UNION ALL SELECT 3, 4".to_owned(),
            "a,a",
            vec!["1,2", "3,4"],
        ),
        (
            format!("SELECT * FROM (SELECT k AS a, i AS a, 3 AS b {T}) AS q WHERE b = 3"),
            "a,a,b",
            vec!["1,5,3", "2,7,3"],
        ),
        (
            format!("SELECT b FROM (SELECT k AS a, i AS a, 3 AS b {T} LIMIT 1) AS q"),
            "b",
            vec!["3"],
        ),
        (
            "WITH q AS (SELECT 1 AS a, 2 AS a) SELECT * FROM q".to_owned(),
            "a,a",
            vec!["1,2"],
        ),
        (
            "SELECT y FROM (SELECT 1 AS a, 2 AS a) AS q (x, y)".to_owned(),
            "y",
            vec!["2"],
        ),
        (
            "SELECT a FROM (SELECT 1 AS a, 2 AS a) AS q (x, a)".to_owned(),
            "a",
            vec!["2"],
        ),
        (
            "WITH q (x, a) AS (SELECT 1 AS a, 2 AS a) SELECT a FROM q".to_owned(),
            "a",
            vec!["2"],
        ),
    ] {
        let plan = lake.engine.plan(&lake.session(), &sql).await.expect(&sql);
        let fields = plan.schema().fields().iter();
        let shown: Vec<&str> = fields.map(|field| shown_name(field.name())).collect();
        assert_eq!(shown.join(","), names, "{sql}");
        assert_eq!(lake.lines(&sql).await, rows, "{sql}");
    }
}

// Goal: a name of several columns that are not one is nobody's. Method: it alone in what rows are sorted and grouped by, and a column of a
// query that another one names, with and without its table, and joins by.
#[tokio::test]
async fn names_of_several_columns() {
    let lake = Lake::new();
    let q = format!("(SELECT k AS a, i AS a {T}) AS q");
    for sql in [
        format!("SELECT k AS a, i AS a {T} ORDER BY a"),
        format!("SELECT *, -k AS k {T} ORDER BY k"),
        format!("SELECT k + 1 AS a, k + 2 AS a {T} GROUP BY a"),
        format!("SELECT count(*) AS a, sum(i) AS a {T} HAVING a > 1"),
        format!("SELECT k AS a, i AS a {T} GROUP BY k, i HAVING max(a) > 1"),
        "SELECT 1 AS a, 2 AS a UNION ALL SELECT 3, 4 ORDER BY a".to_owned(),
        format!("SELECT q.a FROM {q}"),
        format!("SELECT a FROM {q}, (SELECT 3 AS a) AS r"),
        format!("SELECT count(*) FROM {q} NATURAL JOIN (SELECT 3 AS a) AS r"),
        format!("SELECT count(*) FROM (SELECT 3 AS a) AS r JOIN {q} USING (a)"),
    ] {
        assert_eq!(lake.refused(&sql).await.code(), "ENG-0003", "{sql}");
    }
}

// Goal: of columns that `*` gives one name within a query in FROM none has it, and all other names mean what they did. Method: the name with
// and without the query's, in each clause, from a query around it and through another one; then all columns, other names, the same name of
// another table, one that others are joined by, and a query around that is called the same.
#[tokio::test]
async fn names_that_all_columns_double() {
    let lake = Lake::new();
    let rows = "SELECT a.*, b.* FROM (VALUES (1, 2)) AS a (k, x) JOIN (VALUES (1, 3)) AS b (k, y) ON a.k = b.k";
    let (q, c) = (format!("({rows}) AS q"), "(VALUES (9, 2)) AS c (k, x)");
    for sql in [
        format!("SELECT q.k FROM {q}"),
        format!("SELECT k FROM {q}"),
        format!("SELECT x FROM {q} WHERE k = 1"),
        format!("SELECT max(q.k) FROM {q}"),
        format!("SELECT x FROM {q} ORDER BY q.k"),
        format!("SELECT (SELECT k FROM {q}) FROM {c}"),
        format!("SELECT x FROM {q} WHERE EXISTS (SELECT 1 FROM {c} WHERE c.k > q.k)"),
        format!("SELECT r.k FROM (SELECT * FROM {q}) AS r"),
        format!("WITH q AS ({rows}) SELECT k FROM q"),
        format!("WITH q AS ({rows}) SELECT z.k FROM q AS z"),
        format!("SELECT count(*) FROM {q} JOIN {c} USING (k)"),
        format!("SELECT count(*) FROM {q} NATURAL JOIN {c}"),
        format!("SELECT x AS k FROM {q} GROUP BY x, k"),
    ] {
        assert_eq!(lake.refused(&sql).await.code(), "ENG-0003", "{sql}");
    }
    for (sql, wanted) in [
        (format!("SELECT * FROM {q}"), "1,2,1,3"),
        (format!("SELECT q.* FROM {q}"), "1,2,1,3"),
        (format!("SELECT y, q.x FROM {q}"), "3,2"),
        (format!("SELECT y, c.k FROM {q} JOIN {c} ON c.x = q.x"), "3,9"),
        (format!("SELECT c.k, q.* FROM {q} JOIN {c} ON c.x = q.x"), "9,1,2,1,3"),
        (format!("SELECT k FROM {c} WHERE x IN (SELECT q.x FROM {q})"), "9"),
        (
            format!("SELECT k FROM {c} WHERE EXISTS (SELECT * FROM {q} WHERE q.x = c.x)"),
            "9",
        ),
        (format!("WITH q AS ({rows}) SELECT z.y, c.k FROM q AS z, {c}"), "3,9"),
        (
            format!(
                "SELECT q.x, e.k FROM {q} JOIN (SELECT * FROM (VALUES (1, 2)) AS d (k, x) \
                 JOIN (VALUES (1, 5)) AS f (k, z) USING (k)) AS e ON e.x = q.x"
            ),
            "2,1",
        ),
        (
            format!("SELECT q.k FROM (SELECT c.k, q.x FROM {q} JOIN {c} ON c.x = q.x) AS q"),
            "9",
        ),
    ] {
        assert_eq!(lake.lines(&sql).await, [wanted], "{sql}");
    }
}
