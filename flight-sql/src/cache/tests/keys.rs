//! Which statements are one, and which are not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use datafusion::arrow::array::{ArrayRef, BinaryArray, Int32Array, Int64Array, StringArray};
use tidewater_core::ManualClock;
use tidewater_engine::SessionOptions;
use tidewater_engine::pg_catalog::Postgres;

use crate::cache::{Bypass, Key};
use crate::service::QueryOptions;
use crate::service::tests::{Lake, row};

/// 2026-01-02 03:04:05.
const MORNING_MS: i64 = 1_767_323_045_000;

async fn key(lake: &Lake, sql: &str) -> Result<Key, Bypass> {
    lake.key(sql, Bytes::new(), &SessionOptions::default()).await
}

async fn kept(lake: &Lake, sql: &str) -> Key {
    key(lake, sql).await.unwrap_or_else(|reason| panic!("{sql}: {reason}"))
}

// Goal: statements that may be answered otherwise have keys of their own. Method: groups of statements that differ in one small
// thing, mostly one that their texts for people leave out or that leaves the columns as they are; all keys are compared.
#[tokio::test]
async fn other_statements_have_other_keys() {
    let lake = Lake::new().await;
    let conditions = [
        "id = 1",
        "id = 2",
        "id <> 1",
        "id = '1'",
        "id = 1.0",
        "CAST(id AS INT) = 1",
        "TRY_CAST(id AS INT) = 1",
        "CAST(id AS DECIMAL(10, 2)) = 1",
        "CAST(id AS DECIMAL(10, 3)) = 1",
        "id IN (1, 2)",
        "id IN (1, 3)",
        "id NOT IN (1, 2)",
        "id BETWEEN 1 AND 2",
        "id NOT BETWEEN 1 AND 2",
        "id IS NULL",
        "id IS NOT NULL",
        "(id = 1) IS TRUE",
        "(id = 1) IS NOT TRUE",
        "(id = 1) IS UNKNOWN",
        "id IS DISTINCT FROM 1",
        "NOT id = 1",
        "-id = 1",
        "name LIKE 'a!_%'",
        "name LIKE 'a!_%' ESCAPE '!'",
        "name ILIKE 'a!_%'",
        "name NOT LIKE 'a!_%'",
        "name SIMILAR TO 'a!_%'",
        "name ~ 'a!_%'",
        "name ~* 'a!_%'",
        "name = 'a''b'",
        "name = 'a\"b'",
        "name = 'a'",
        "name = 'a '",
        "arrow_cast(name, 'Binary') = X'00112233445566778899aabbccddeeff'",
        "arrow_cast(name, 'Binary') = X'00112233445566778899aabbccddeefe'",
        "CAST(id AS DOUBLE) = 0.1",
        "CAST(id AS DOUBLE) = 0.10000000000000002",
        "CAST(id AS DOUBLE) = CAST(0.0 AS DOUBLE)",
        "CAST(id AS DOUBLE) = CAST(-0.0 AS DOUBLE)",
        "at = TIMESTAMP '2026-01-01 00:00:00'",
        "at = DATE '2026-01-01'",
        "at < TIMESTAMP '2026-01-02' + INTERVAL '1 day'",
        "at < TIMESTAMP '2026-01-02' + INTERVAL '24 hours'",
        "CASE WHEN id = 1 THEN true END",
        "CASE WHEN id = 1 THEN true ELSE false END",
        "CASE id WHEN 1 THEN true END",
        "coalesce(id, 1) = 1",
        "nullif(id, 1) = 1",
        "make_array(1, 2) = make_array(id, 2)",
        "make_array(1, 3) = make_array(id, 2)",
        "EXISTS (SELECT 1 FROM numbers n WHERE n.id = numbers.id)",
        "NOT EXISTS (SELECT 1 FROM numbers n WHERE n.id = numbers.id)",
        "id IN (SELECT n.id FROM numbers n)",
        "id NOT IN (SELECT n.id FROM numbers n)",
        "id = (SELECT max(n.id) FROM numbers n)",
        "id = (SELECT min(n.id) FROM numbers n)",
        "id = 1 AND name = 'a'",
        "id = 1 OR name = 'a'",
    ];
    let expressions = [
        "count(id)",
        "count(DISTINCT id)",
        "count(*)",
        "count(id) FILTER (WHERE id > 1)",
        "count(id) FILTER (WHERE id > 2)",
        "count(id) OVER ()",
        "count(id) OVER (PARTITION BY id)",
        "count(id) OVER (ORDER BY id)",
        "count(id) OVER (ORDER BY id DESC)",
        "count(id) OVER (ORDER BY id NULLS FIRST)",
        "count(id) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)",
        "count(id) OVER (ORDER BY id ROWS BETWEEN 2 PRECEDING AND CURRENT ROW)",
        "count(id) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING)",
        "count(id) OVER (ORDER BY id RANGE BETWEEN 1 PRECEDING AND CURRENT ROW)",
        "count(id) OVER (ORDER BY id GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW)",
        "count(id) OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)",
        "lag(id) OVER (ORDER BY id)",
        "lag(id) IGNORE NULLS OVER (ORDER BY id)",
        "lag(id, 2) OVER (ORDER BY id)",
        "lead(id) OVER (ORDER BY id)",
        "first_value(id ORDER BY id)",
        "first_value(id ORDER BY id DESC)",
        "sum(id)",
        "sum(DISTINCT id)",
    ];
    let whole = [
        "SELECT id FROM numbers ORDER BY id",
        "SELECT id FROM numbers ORDER BY id DESC",
        "SELECT id FROM numbers ORDER BY id NULLS FIRST",
        "SELECT id FROM numbers ORDER BY name",
        "SELECT id FROM numbers LIMIT 1",
        "SELECT id FROM numbers LIMIT 2",
        "SELECT id FROM numbers OFFSET 1",
        "SELECT id FROM numbers LIMIT 1 OFFSET 1",
        "SELECT DISTINCT id FROM numbers",
        "SELECT DISTINCT ON (id) id FROM numbers",
        "SELECT DISTINCT ON (name) id FROM numbers",
        "SELECT id FROM numbers GROUP BY id",
        "SELECT id FROM numbers GROUP BY ROLLUP (id, name)",
        "SELECT id FROM numbers GROUP BY CUBE (id, name)",
        "SELECT id FROM numbers GROUP BY GROUPING SETS ((id), (id, name))",
        "SELECT id FROM numbers GROUP BY id HAVING count(*) > 1",
        "SELECT id FROM numbers UNION SELECT id FROM numbers",
        "SELECT id FROM numbers UNION ALL SELECT id FROM numbers",
        "SELECT id FROM numbers INTERSECT SELECT id FROM numbers",
        "SELECT id FROM numbers EXCEPT SELECT id FROM numbers",
        "SELECT a.id FROM numbers a JOIN numbers b ON a.id = b.id",
        "SELECT a.id FROM numbers a LEFT JOIN numbers b ON a.id = b.id",
        "SELECT a.id FROM numbers a RIGHT JOIN numbers b ON a.id = b.id",
        "SELECT a.id FROM numbers a JOIN numbers b ON a.id = b.id AND a.name < b.name",
        "SELECT b.id FROM numbers a JOIN numbers b ON a.id = b.id",
        "SELECT id FROM (VALUES (1), (2)) v(id)",
        "SELECT id FROM (VALUES (1), (3)) v(id)",
        "SELECT id FROM (VALUES (1), (NULL)) v(id)",
        "SELECT id FROM (SELECT unnest(make_array(1, 2)) AS id)",
        "SELECT id FROM (SELECT unnest(make_array(1, 3)) AS id)",
        "WITH RECURSIVE r(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM r WHERE id < 3) SELECT id FROM r",
        "WITH RECURSIVE r(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM r WHERE id < 4) SELECT id FROM r",
        "SELECT id AS x, name FROM numbers",
        "SELECT id AS \"x, name\", name FROM numbers",
        "SELECT id, name FROM numbers",
        "SELECT name, id FROM numbers",
        "SELECT CAST(id AS INT) AS id, name FROM numbers",
    ];
    let mut statements: Vec<String> = whole.iter().map(|sql| (*sql).to_owned()).collect();
    statements.extend(conditions.iter().map(|of| format!("SELECT id FROM numbers WHERE {of}")));
    statements.extend(expressions.iter().map(|of| format!("SELECT {of} AS v FROM numbers")));
    let mut seen: BTreeMap<[u8; 32], &str> = BTreeMap::new();
    for sql in &statements {
        let Key(key) = kept(&lake, sql).await;
        if let Some(other) = seen.insert(key, sql) {
            panic!("one key for\n{sql}\n{other}");
        }
    }
}

// Goal: values and their types are part of a key. Method: one statement with values of each kind.
#[tokio::test]
async fn bound_values_are_part_of_keys() {
    let lake = Lake::new().await;
    let long = b"a value of many bytes, of which people are shown ten".to_vec();
    let mut other = long.clone();
    *other.last_mut().expect("bytes") = b'!';
    let values: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![7])),
        Arc::new(Int64Array::from(vec![8])),
        Arc::new(Int64Array::from(vec![None::<i64>])),
        Arc::new(Int32Array::from(vec![7])),
        Arc::new(StringArray::from(vec!["7"])),
        Arc::new(BinaryArray::from(vec![long.as_slice()])),
        Arc::new(BinaryArray::from(vec![other.as_slice()])),
    ];
    let mut seen = Vec::new();
    for value in values {
        let bound = row(vec![value]);
        let sql = "SELECT name FROM numbers WHERE arrow_cast($1, 'Utf8') = name";
        let found = lake.key(sql, bound, &SessionOptions::default()).await.expect("kept");
        assert!(!seen.contains(&found), "value {} has another's key", seen.len());
        seen.push(found);
    }
    assert_eq!(
        key(&lake, "SELECT name FROM numbers WHERE id = $1").await,
        Err(Bypass::Parameter)
    );
}

// Goal: what makes no difference makes no other key. Method: pairs of texts, values and fronts that mean the same.
#[tokio::test]
async fn the_same_statement_has_one_key() {
    let lake = Lake::new().await;
    let sql = "SELECT name, count(*) AS n FROM numbers WHERE id > 3 GROUP BY name";
    let one = kept(&lake, sql).await;
    for same in [
        "select  NAME, COUNT(*) n\nfrom Numbers where ID > 3 group by 1",
        "-- Metabase:: userID: 7 queryType: MBQL queryHash: 0a1b\nSELECT name, count(*) AS n FROM numbers WHERE id > 3 GROUP BY name",
        "/* x */ SELECT name, count(*) AS \"n\" FROM numbers WHERE id > 3 GROUP BY name -- y",
    ] {
        assert_eq!(kept(&lake, same).await, one, "{same}");
    }
    let bound = row(vec![Arc::new(Int64Array::from(vec![3]))]);
    let bound_sql = "SELECT name, count(*) AS n FROM numbers WHERE id > ? GROUP BY name";
    let bound = lake.key(bound_sql, bound, &SessionOptions::default()).await;
    assert_eq!(bound, Ok(one), "a value that is bound");
    let aliased = kept(&lake, "SELECT n.id, max(n.name) FROM numbers n GROUP BY n.id").await;
    for name in [
        "gold.numbers".to_owned(),
        format!("{}.gold.numbers", lake.service.catalog_name()),
    ] {
        let same = format!("SELECT n.id, max(n.name) FROM {name} AS n GROUP BY n.id");
        assert_eq!(kept(&lake, &same).await, aliased, "{same}");
    }
    let postgres = SessionOptions {
        postgres: Some(Arc::new(Postgres::default())),
        ..SessionOptions::default()
    };
    assert_eq!(lake.key(sql, Bytes::new(), &postgres).await, Ok(one), "the other front");
    let schema = SessionOptions::default().default_schema("other");
    let qualified = sql.replace("numbers", "gold.numbers");
    assert_eq!(
        lake.key(&qualified, Bytes::new(), &schema).await,
        key(&lake, &qualified).await,
        "the default schema is of names, not of answers"
    );
}

// Goal: what is made of the time is part of a key as it is now, where it lasts; otherwise nothing is kept. Method: statements of the
// day at two moments of it and on the next one, and statements of the moment.
#[tokio::test]
async fn the_time_is_told_by_its_grain() {
    let days = [
        "SELECT id FROM numbers WHERE at < date_trunc('day', now())",
        "SELECT id FROM numbers WHERE at BETWEEN date_trunc('month', now()) - INTERVAL '1 month' AND date_trunc('month', now())",
        "SELECT id, CAST(now() AS DATE) AS d FROM numbers",
        "SELECT count(*), current_date AS d FROM numbers GROUP BY current_date",
        "SELECT sum(CASE WHEN at > current_date - INTERVAL '7 days' THEN 1 ELSE 0 END) FROM numbers",
        "SELECT id FROM numbers WHERE extract(year FROM now()) = id",
    ];
    for sql in days {
        let clock = Arc::new(ManualClock::new(MORNING_MS));
        let lake = Lake::with(QueryOptions::default(), clock.clone()).await;
        let morning = kept(&lake, sql).await;
        clock.advance(Duration::from_secs(5 * 3600));
        assert_eq!(kept(&lake, sql).await, morning, "{sql}");
        clock.advance(Duration::from_secs(370 * 24 * 3600));
        assert_ne!(kept(&lake, sql).await, morning, "{sql} a year later");
    }
    let lake = Lake::new().await;
    for sql in [
        "SELECT now()",
        "SELECT id FROM numbers WHERE at < now()",
        "SELECT id FROM numbers WHERE at < now() - INTERVAL '1 day'",
        "SELECT id FROM numbers WHERE date_trunc('second', now()) > at",
    ] {
        assert_eq!(key(&lake, sql).await, Err(Bypass::Time), "{sql}");
    }
}

// Goal: nothing is kept whose rows do not follow from its plan. Method: a statement of each kind, with the reason.
#[tokio::test]
async fn what_varies_passes_by() {
    let lake = Lake::new().await;
    for (sql, reason) in [
        ("SELECT random()", "random()"),
        ("SELECT id FROM numbers WHERE random() < 0.5", "random()"),
        ("SELECT uuid(), id FROM numbers", "uuid()"),
        ("SELECT * FROM \"numbers$snapshots\"", "has no snapshot"),
        ("SELECT * FROM information_schema.tables", "has no snapshot"),
        ("SHOW COLUMNS FROM numbers", "has no snapshot"),
        ("EXPLAIN SELECT 1", "an explanation"),
        ("EXPLAIN ANALYZE SELECT 1", "an explanation"),
        ("SELECT * FROM generate_series(1, 3)", "has no snapshot"),
    ] {
        let told = key(&lake, sql).await.expect_err(sql).to_string();
        assert!(told.contains(reason), "{sql}: {told}");
    }
    let deep = format!("SELECT {} FROM numbers", vec!["id"; 200].join(" + "));
    assert_eq!(key(&lake, &deep).await, Err(Bypass::Huge));
    let postgres = SessionOptions {
        postgres: Some(Arc::new(Postgres::default())),
        ..SessionOptions::default()
    };
    let told = lake.key("SELECT pg_backend_pid()", Bytes::new(), &postgres).await;
    assert_eq!(
        told,
        Err(Bypass::Session {
            function: "pg_backend_pid".into()
        })
    );
}
