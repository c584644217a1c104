//! Which columns and tables of a query count as read.

use super::*;

const ALLOWED: &[&str] = &[
    "SELECT id FROM numbers",
    "SELECT n.id AS x FROM gold.numbers n WHERE n.id > 3 ORDER BY n.id LIMIT 2",
    "SELECT count(*) FROM numbers",
    "SELECT 1 FROM numbers",
    "SELECT sum(id) FROM numbers GROUP BY id % 2 HAVING max(id) > 1",
    "SELECT a.id FROM numbers a JOIN numbers b ON a.id = b.id",
    "SELECT id FROM numbers a JOIN numbers b USING (id)",
    "SELECT id, row_number() OVER (ORDER BY id) FROM numbers",
    "WITH x AS (SELECT id FROM numbers) SELECT * FROM x",
    "SELECT * FROM (SELECT id FROM numbers) x",
    "SELECT id FROM numbers UNION ALL SELECT id + 1 FROM numbers",
    "SELECT DISTINCT id FROM numbers",
    "SELECT (SELECT max(id) FROM numbers) FROM numbers",
    "SELECT id FROM numbers a WHERE EXISTS (SELECT 1 FROM numbers b WHERE b.id = a.id)",
    "SELECT id FROM numbers WHERE id IN (SELECT id + 1 FROM numbers)",
    "SELECT y.n FROM numbers x, LATERAL (SELECT x.id + 1 AS n) y",
    "EXPLAIN SELECT id FROM numbers",
    "SELECT upper('x')",
    "SELECT * FROM (VALUES (1)) v",
];

const DENIED: &[&str] = &[
    "SELECT * FROM numbers",
    "SELECT name FROM numbers",
    "SELECT id FROM numbers WHERE name = 'n1'",
    "SELECT id FROM numbers ORDER BY name",
    "SELECT count(name) FROM numbers",
    "SELECT count(*) FROM numbers GROUP BY name",
    "SELECT count(*) FROM numbers HAVING max(name) > 'a'",
    "SELECT DISTINCT ON (name) id FROM numbers",
    "SELECT a.id FROM numbers a JOIN numbers b ON a.id = b.id AND a.name = b.name",
    "SELECT a.id FROM numbers a JOIN numbers b USING (name)",
    "SELECT id FROM numbers a NATURAL JOIN numbers b",
    "SELECT id, row_number() OVER (PARTITION BY name ORDER BY id) FROM numbers",
    "WITH x AS (SELECT * FROM numbers) SELECT id FROM x",
    "SELECT id FROM (SELECT id, name FROM numbers) x",
    "SELECT id FROM numbers UNION ALL SELECT length(name) FROM numbers",
    "SELECT (SELECT max(name) FROM numbers)",
    "SELECT (SELECT a.name) FROM numbers a",
    "SELECT id FROM numbers a WHERE EXISTS (SELECT 1 FROM numbers b WHERE b.name = a.name)",
    "SELECT id FROM numbers a WHERE EXISTS (SELECT 1 FROM (VALUES ('n1')) v(x) WHERE v.x = a.name)",
    "SELECT id FROM numbers WHERE 'n1' IN (SELECT name FROM numbers)",
    "SELECT x.id FROM numbers x CROSS JOIN LATERAL (SELECT x.id, x.name AS z) y",
    "SELECT y.z FROM numbers x, LATERAL (SELECT max(x.name) AS z FROM numbers w WHERE w.id = x.id) y",
    "SELECT CASE WHEN name = 'n1' THEN 1 ELSE 0 END FROM numbers",
    "SELECT array_agg(id ORDER BY name) FROM numbers",
    "SELECT sum(id) FILTER (WHERE name = 'n1') FROM numbers",
    "EXPLAIN SELECT name FROM numbers",
    "EXPLAIN ANALYZE SELECT name FROM numbers",
    "SELECT * FROM \"numbers$files\"",
    "SELECT count(*) FROM \"numbers$snapshots\"",
    "SELECT id FROM numbers x, LATERAL (SELECT x.name) y",
    "SELECT y.n FROM numbers x, LATERAL (SELECT x.name AS n) y",
    "SELECT y.n FROM numbers x LEFT JOIN LATERAL (SELECT z.id, x.name AS n FROM numbers z WHERE z.id = x.id) y ON true",
    "SELECT x.id FROM numbers x, LATERAL (SELECT z.id FROM numbers z WHERE z.id = length(x.name)) y",
];

// Goal: what a statement reads is counted as PostgreSQL counts it: every column that any of its expressions names. Method: a user with
// one column, statements that need no other and statements that need one, in every clause.
#[tokio::test]
async fn columns_are_counted_where_they_are_named() {
    let (_lake, service) = with_grants(&[], &[1]).await;
    let mut wrong = Vec::new();
    for sql in ALLOWED {
        wrong.extend(code(&service, sql).await.map(|code| format!("{sql}: {code}")));
    }
    for sql in DENIED {
        let code = code(&service, sql).await;
        if !matches!(code, Some("SEC-0008" | "ENG-0006" | "ENG-0001" | "ENG-0004")) || code.is_none() {
            wrong.push(format!("{sql}: {code:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

// Goal: a session in another zone counts the same columns, and instants only where they are named. Method: the statements of the test
// above as PostgreSQL's in such a session, and some about the column of instants.
#[tokio::test]
async fn columns_are_counted_in_every_zone() {
    let (_lake, service) = with_grants(&[], &[1]).await;
    let zoned = SessionOptions {
        postgres: Some(Arc::new(Postgres {
            zone: Some("America/New_York".into()),
            ..Postgres::default()
        })),
        ..SessionOptions::default()
    };
    let code = async |sql: &str| {
        let told = service.tell(&ana(), sql, &zoned).await;
        told.err().map(|error| error.code())
    };
    let denied = [
        "SELECT at FROM numbers",
        "SELECT id FROM numbers WHERE at > '2024-01-01'",
        "SELECT max(at) FROM numbers",
    ];
    let mut wrong = Vec::new();
    for sql in ALLOWED {
        wrong.extend(code(sql).await.map(|code| format!("{sql}: {code}")));
    }
    for sql in DENIED.iter().chain(&denied) {
        let code = code(sql).await;
        if !matches!(
            code,
            Some("SEC-0008" | "ENG-0006" | "ENG-0001" | "ENG-0003" | "ENG-0004")
        ) {
            wrong.push(format!("{sql}: {code:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

// Goal: whoever may read the whole table reads all of it, and who has nothing hears that it is not there. Method: every statement of the
// test above by both.
#[tokio::test]
async fn all_or_nothing() {
    let (_lake, reader) = with_grants(&[Privilege::Select], &[]).await;
    let (_other, stranger) = with_grants(&[], &[]).await;
    for sql in ALLOWED.iter().chain(DENIED).filter(|sql| sql.contains("numbers")) {
        let error = reader.prepare(&ana(), sql).await.err().map(|error| error.code());
        assert_ne!(error, Some("SEC-0008"), "{sql}");
        let hidden = stranger.prepare(&ana(), sql).await.expect_err(sql).chain();
        let missing = sql.replace("numbers", "nothing");
        let missing = stranger.prepare(&ana(), &missing).await.expect_err(sql).chain();
        assert_eq!(hidden.replace("numbers", "nothing"), missing, "{sql}");
    }
}

// Goal: nothing reads a table behind the check's back: the check sees each scan of a plan. Method: for every statement, the scans it
// counts against those of the plan's own walk.
#[tokio::test]
async fn every_scan_is_seen() {
    let lake = Lake::new().await;
    for sql in ALLOWED.iter().chain(DENIED).filter(|sql| !sql.contains('$')) {
        let Ok((_, plan)) = lake.service.plan(&Principal::local(), sql).await else {
            continue;
        };
        let mut scans = 0;
        plan.apply_with_subqueries(|node| {
            scans += usize::from(matches!(node, LogicalPlan::TableScan(_)));
            Ok(TreeNodeRecursion::Continue)
        })
        .expect("a walk");
        assert_eq!(crate::service::authorise::scans_seen(&plan), scans, "{sql}");
    }
}
