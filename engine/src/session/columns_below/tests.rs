use tidewater_core::Coded;

use crate::testing::{AROUND, Lake};

// Goal: a query that names what is around it is asked for each row there, wherever it stands. Method: aggregates, groups, windows, first
// rows and joins of each kind, with PostgreSQL's answers.
#[tokio::test]
async fn queries_are_asked_below() {
    let lake = Lake::new();
    for (sql, rows) in [
        ("SELECT sum((SELECT max(x) FROM u WHERE u.k = t.k)) FROM t", vec!["18"]),
        (
            "SELECT sum((SELECT max(x) FROM u WHERE u.k = t.k)) FROM t WHERE id > 99",
            vec![""],
        ),
        (
            "SELECT g, sum((SELECT max(x) FROM u WHERE u.k = t.k)), count(*) FROM t GROUP BY g",
            vec![",,1", "a,12,2", "b,6,2", "c,,2"],
        ),
        (
            "SELECT count(DISTINCT (SELECT count(*) FROM u WHERE u.k = t.k)) FROM t",
            vec!["4"],
        ),
        (
            "SELECT count(*) FILTER (WHERE EXISTS (SELECT 1 FROM u WHERE u.k = t.k)) FROM t",
            vec!["5"],
        ),
        (
            "SELECT g, count(*) FILTER (WHERE t.k IN (SELECT u.k FROM u WHERE u.k > 1)) FROM t GROUP BY g",
            vec![",1", "a,0", "b,2", "c,0"],
        ),
        (
            "SELECT g FROM t GROUP BY g HAVING sum((SELECT count(*) FROM u WHERE u.k = t.k)) > 4",
            vec!["a"],
        ),
        (
            "SELECT (SELECT max(x) FROM u WHERE u.k = t.k) AS m, count(*) FROM t GROUP BY 1",
            vec![",3", "3,2", "6,2"],
        ),
        (
            "SELECT max((SELECT sum(x) FROM u WHERE u.k = t.k) + n) FROM t",
            vec!["26"],
        ),
        (
            "SELECT id, sum((SELECT count(*) FROM u WHERE u.k = t.k)) OVER (ORDER BY id) FROM t",
            vec!["1,3", "2,6", "3,8", "4,10", "5,11", "6,11", "7,11"],
        ),
        (
            "SELECT id, rank() OVER (PARTITION BY (SELECT max(x) FROM u WHERE u.k = t.k) ORDER BY id DESC) FROM t",
            vec!["1,2", "2,1", "3,2", "4,1", "5,3", "6,2", "7,1"],
        ),
        (
            "SELECT DISTINCT ON (g) g, id, (SELECT count(*) FROM u WHERE u.k = t.k) FROM t ORDER BY g, id",
            vec![",5,1", "a,1,3", "b,3,2", "c,6,0"],
        ),
        (
            "SELECT DISTINCT ON ((SELECT count(*) FROM u WHERE u.k = t.k)) id FROM t ORDER BY (SELECT count(*) FROM u WHERE u.k = t.k), id",
            vec!["1", "3", "5", "6"],
        ),
        (
            "SELECT t.id, u.id FROM t JOIN u ON u.k = t.k AND u.x = (SELECT max(v.x) FROM u AS v WHERE v.k = t.k)",
            vec!["1,2", "1,3", "2,2", "2,3", "3,5", "4,5"],
        ),
        (
            "SELECT t.id, u.id FROM t JOIN u ON u.k = t.k AND EXISTS (SELECT 1 FROM u AS v WHERE v.k = t.k AND v.x > u.x)",
            vec!["1,1", "2,1"],
        ),
        (
            "SELECT t.id, u.id FROM t JOIN u ON u.k = t.k AND (u.x > 5 OR NOT EXISTS (SELECT 1 FROM u AS v WHERE v.k = u.k AND v.id > u.id))",
            vec!["1,2", "1,3", "2,2", "2,3", "3,5", "4,5", "5,7"],
        ),
        (
            "SELECT t.id, u.id FROM t JOIN u ON u.k = t.k AND t.n + u.x IN (SELECT n + 4 FROM t)",
            vec!["1,1"],
        ),
        (
            "SELECT t.id, u.id FROM t LEFT JOIN u ON u.k = t.k AND EXISTS (SELECT 1 FROM u AS v WHERE v.k = t.k AND v.x > 4)",
            vec!["1,1", "1,2", "1,3", "2,1", "2,2", "2,3", "3,", "4,", "5,", "6,", "7,"],
        ),
        (
            "SELECT t.id, u.id FROM t LEFT JOIN u ON u.k = t.k AND EXISTS (SELECT 1 FROM u AS v WHERE v.k = u.k AND v.x > u.x)",
            vec!["1,1", "2,1", "3,", "4,", "5,", "6,", "7,"],
        ),
        (
            "SELECT t.id, u.id FROM t LEFT JOIN u ON u.k = t.k AND u.x = (SELECT max(v.x) FROM u AS v WHERE v.k = u.k)",
            vec!["1,2", "1,3", "2,2", "2,3", "3,5", "4,5", "5,", "6,", "7,"],
        ),
        (
            "SELECT t.id, u.id FROM t LEFT JOIN u ON u.k = t.k AND t.n IN (SELECT n FROM t WHERE n > 5)",
            vec!["1,1", "1,2", "1,3", "2,", "3,", "4,", "5,7", "6,", "7,"],
        ),
        (
            "SELECT t.id, u.id FROM t RIGHT JOIN u ON u.k = t.k AND EXISTS (SELECT 1 FROM u AS v WHERE v.k = u.k AND v.x > 4)",
            vec![",4", ",5", ",6", ",7", "1,1", "1,2", "1,3", "2,1", "2,2", "2,3"],
        ),
        (
            "SELECT t.id, u.id FROM t FULL JOIN u ON u.k = t.k AND (SELECT count(*) FROM t AS s WHERE s.k = t.k) = 2",
            vec![
                ",6", ",7", "1,1", "1,2", "1,3", "2,1", "2,2", "2,3", "3,4", "3,5", "4,4", "4,5", "5,", "6,", "7,",
            ],
        ),
    ] {
        assert_eq!(lake.lines(&format!("{AROUND} {sql}")).await, rows, "{sql}");
    }
}

// Goal: what cannot be a column of one side stays refused. Method: conditions of outer joins that depend on both.
#[tokio::test]
async fn what_cannot_be_there_is_refused() {
    let lake = Lake::new();
    for sql in [
        "SELECT t.id FROM t LEFT JOIN u ON u.k = t.k AND EXISTS (SELECT 1 FROM u AS v WHERE v.k = t.k AND v.x > u.x)",
        "SELECT t.id FROM t LEFT JOIN u ON u.k = t.k AND u.x NOT IN (SELECT v.x FROM u AS v WHERE v.k = t.k)",
    ] {
        assert_eq!(
            lake.refused(&format!("{AROUND} {sql}")).await.code(),
            "ENG-0004",
            "{sql}"
        );
    }
}
