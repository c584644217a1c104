use tidewater_core::Coded;

use super::*;

mod written;

fn command(sql: &str) -> Command {
    match parse(sql) {
        Ok(Sql::Command(command)) => *command,
        other => panic!("{sql}: {other:?}"),
    }
}

// Goal: statements of every kind are understood, in the words of Spark, Trino and PostgreSQL. Method: each once, with what it is said to be.
#[test]
fn statements_are_understood() {
    let understood = [
        (
            "CREATE TABLE a.t (id bigint NOT NULL PRIMARY KEY, n string COMMENT 'c', PRIMARY KEY (id));",
            "CREATE TABLE",
        ),
        (
            "create table if not exists t (a struct<x: int, y: array<string>>, m map<string, double>) using iceberg \
          partitioned by (days(ts), bucket(16, id), truncate(name, 3)) write ordered by (id desc nulls last, ts) \
          location 's3://b/t' comment 'of c' tblproperties ('format-version' = '3', write.delete.mode = 'merge-on-read')",
            "CREATE TABLE",
        ),
        ("CREATE OR REPLACE TABLE t AS SELECT 1 AS a", "CREATE TABLE"),
        ("CREATE TABLE t WITH (a = 1) AS VALUES (1)", "CREATE TABLE"),
        (
            "CREATE TABLE t (d decimal(12, 2) DEFAULT 0, b boolean DEFAULT true)",
            "CREATE TABLE",
        ),
        (
            "CREATE OR REPLACE VIEW v (a COMMENT 'x', b) COMMENT 'y' TBLPROPERTIES ('k' = 'v') AS SELECT 1, 2",
            "CREATE VIEW",
        ),
        (
            "CREATE SCHEMA IF NOT EXISTS a.b COMMENT 'c' WITH PROPERTIES ('k' = 'v')",
            "CREATE SCHEMA",
        ),
        ("CREATE NAMESPACE a", "CREATE SCHEMA"),
        ("DROP TABLE IF EXISTS a.t PURGE", "DROP TABLE"),
        ("DROP TABLE t CASCADE", "DROP TABLE"),
        ("DROP VIEW v", "DROP VIEW"),
        ("DROP VIEW IF EXISTS v RESTRICT", "DROP VIEW"),
        ("DROP SCHEMA a CASCADE", "DROP SCHEMA"),
        (
            "ALTER TABLE t ADD COLUMN a.b int COMMENT 'x' AFTER c, DROP COLUMN IF EXISTS d",
            "ALTER TABLE",
        ),
        ("ALTER TABLE t ADD COLUMNS (a int, b string)", "ALTER TABLE"),
        ("ALTER TABLE t RENAME COLUMN a TO b", "ALTER TABLE"),
        ("ALTER TABLE t RENAME TO u", "ALTER TABLE"),
        (
            "ALTER TABLE t ALTER COLUMN a TYPE bigint, ALTER COLUMN b SET NOT NULL, ALTER COLUMN b DROP NOT NULL",
            "ALTER TABLE",
        ),
        (
            "ALTER TABLE t ALTER COLUMN a SET DEFAULT -1, ALTER b.c DROP DEFAULT",
            "ALTER TABLE",
        ),
        ("ALTER TABLE t ALTER COLUMN a FIRST", "ALTER TABLE"),
        (
            "ALTER TABLE t ADD PARTITION FIELD bucket(8, id) AS shard",
            "ALTER TABLE",
        ),
        ("ALTER TABLE t DROP PARTITION FIELD shard", "ALTER TABLE"),
        (
            "ALTER TABLE t REPLACE PARTITION FIELD day(ts) WITH hour(ts)",
            "ALTER TABLE",
        ),
        ("ALTER TABLE t WRITE ORDERED BY a, b DESC", "ALTER TABLE"),
        ("ALTER TABLE t WRITE UNORDERED", "ALTER TABLE"),
        ("ALTER TABLE t SET IDENTIFIER FIELDS id", "ALTER TABLE"),
        (
            "ALTER TABLE t CREATE BRANCH IF NOT EXISTS audit AS OF VERSION 12 RETAIN 7 DAYS WITH SNAPSHOT RETENTION 3 SNAPSHOTS 2 DAYS",
            "ALTER TABLE",
        ),
        ("ALTER TABLE t CREATE OR REPLACE TAG eoy RETAIN 365 DAYS", "ALTER TABLE"),
        ("ALTER TABLE t DROP BRANCH audit", "ALTER TABLE"),
        (
            "ALTER TABLE t SET TBLPROPERTIES ('a' = 'b'), UNSET TBLPROPERTIES ('c')",
            "ALTER TABLE",
        ),
        ("ALTER VIEW v SET TBLPROPERTIES ('a' = 'b')", "ALTER VIEW"),
        (
            "ALTER VIEW s.v AS WITH w AS (SELECT 1 AS a) SELECT a FROM w",
            "ALTER VIEW",
        ),
        ("ALTER SCHEMA s SET DBPROPERTIES ('a' = 'b')", "ALTER SCHEMA"),
        ("COMMENT ON TABLE t IS 'x'", "COMMENT"),
        ("COMMENT ON VIEW s.v IS 'x'", "COMMENT"),
        ("COMMENT ON SCHEMA s IS NULL", "COMMENT"),
        ("COMMENT ON COLUMN s.t.c IS NULL", "COMMENT"),
        ("TRUNCATE t", "TRUNCATE TABLE"),
        ("INSERT INTO t VALUES (1, 'a')", "INSERT"),
        ("INSERT INTO t (a, b) SELECT 1, 2", "INSERT"),
        ("INSERT INTO t (SELECT 1)", "INSERT"),
        ("INSERT OVERWRITE TABLE t PARTITION (a = 1, b) SELECT 1", "INSERT"),
        (
            "INSERT INTO t VALUES (1) ON CONFLICT (id) DO UPDATE SET n = excluded.n WHERE t.n < 3",
            "INSERT",
        ),
        ("INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING", "INSERT"),
        (
            "UPDATE t SET a = a + 1, (b, c) = (1, 2) WHERE id IN (SELECT id FROM u)",
            "UPDATE",
        ),
        (
            "UPDATE s.t AS x SET a = u.a FROM u JOIN w ON u.i = w.i WHERE x.id = u.id",
            "UPDATE",
        ),
        ("DELETE FROM t", "DELETE"),
        ("DELETE FROM t x USING u WHERE x.id = u.id", "DELETE"),
        (
            "MERGE INTO t USING u ON t.id = u.id WHEN MATCHED AND u.op = 'd' THEN DELETE WHEN MATCHED THEN UPDATE SET * \
          WHEN NOT MATCHED THEN INSERT * WHEN NOT MATCHED BY SOURCE THEN UPDATE SET gone = true",
            "MERGE",
        ),
        (
            "MERGE INTO s.t a USING (SELECT 1 AS id) AS b ON a.id = b.id WHEN NOT MATCHED BY TARGET THEN INSERT (id) VALUES (b.id)",
            "MERGE",
        ),
        (
            "CALL system.rewrite_data_files(table => 's.t', options => map('a', 'b'))",
            "CALL",
        ),
        (
            "CALL lake.system.expire_snapshots('s.t', TIMESTAMP '2026-01-01 00:00:00', 5);",
            "CALL",
        ),
    ];
    for (sql, verb) in understood {
        assert_eq!(command(sql).verb(), verb, "{sql}");
    }
    for sql in [
        "SELECT 1;",
        "WITH a AS (SELECT 1) SELECT * FROM a",
        "WITH RECURSIVE a (x) AS (SELECT 1) SELECT * FROM a",
        "WITH insert AS (SELECT 1) SELECT * FROM insert",
        "EXPLAIN SELECT 1",
        "SHOW TABLES",
        "VALUES (1)",
    ] {
        assert!(matches!(parse(sql), Ok(Sql::Query)), "{sql}");
    }
}

// Goal: what makes no sense is refused with the place or the reason, and never a panic. Method: a wrong statement of each kind.
#[test]
fn nonsense_is_refused() {
    let refused = [
        ("CREATE TABLE t", "columns, or AS and a query"),
        ("CREATE OR REPLACE TABLE IF NOT EXISTS t (a int)", "contradict"),
        ("CREATE TABLE t (a interval)", "INTERVAL"),
        ("CREATE TABLE t (a int) PARTITIONED BY (cube(a))", "cube(a)"),
        ("CREATE TABLE t (a int) PARTITIONED BY (bucket(0, a))", "bucket(0, a)"),
        ("CREATE TABLE t (a int DEFAULT 'x')", "default"),
        ("CREATE TABLE t (a decimal(50, 2))", "DECIMAL(50,2)"),
        ("CREATE TABLE t (a int) USING parquet", "ICEBERG"),
        ("DROP TABLE t, u", "end of the statement"),
        ("DELETE t", "FROM"),
        ("UPDATE t SET a = 1, a = 2", "column a once"),
        ("UPDATE t SET u.a = 1", "a column of t"),
        ("MERGE INTO t USING u ON t.id = u.id", "WHEN"),
        (
            "MERGE INTO t USING (SELECT 1) ON true WHEN MATCHED THEN DELETE",
            "alias",
        ),
        ("MERGE INTO t USING u ON true WHEN NOT MATCHED THEN DELETE", "INSERT"),
        (
            "MERGE INTO t USING u ON true WHEN NOT MATCHED THEN INSERT (a, b) VALUES (1)",
            "as many values",
        ),
        ("INSERT INTO t PARTITION (a = 1) SELECT 1", "OVERWRITE"),
        (
            "WITH q AS (SELECT 1) INSERT INTO t SELECT * FROM q ON CONFLICT (a) DO UPDATE SET a = (SELECT 2 FROM q)",
            "ON CONFLICT",
        ),
        ("CALL rewrite_data_files('t')", "CALL system."),
        ("ALTER VIEW v AS 1", "SELECT"),
        ("ALTER TABLE t AS SELECT 1 AS a", "altered"),
        ("ALTER VIEW v (a) AS SELECT 1", "altered"),
        ("ALTER TABLE t CREATE BRANCH b RETAIN 99999999999999 DAYS", "shorter"),
    ];
    for (sql, reason) in refused {
        let error = parse(sql).expect_err(sql);
        let told = format!(
            "{error}: {}",
            std::error::Error::source(&error)
                .map(ToString::to_string)
                .unwrap_or_default()
        );
        assert!(told.contains(reason), "{sql}: {told}");
        assert_eq!(error.code(), "ENG-0003", "{sql}");
    }
    let deep = format!("DELETE FROM t WHERE {}1{}", "(".repeat(5000), ")".repeat(5000));
    assert!(parse(&deep).is_err());
}

// Goal: what WITH names before an INSERT is known to its query, and to all of it. Method: the query as it is written out, with names of its
// own too.
#[test]
fn names_before_an_insert_are_those_of_its_query() {
    for (sql, written) in [
        (
            "WITH q AS (SELECT 1 AS a) INSERT INTO t SELECT a FROM q EXCEPT ALL SELECT a FROM q",
            "WITH q AS (SELECT 1 AS a) SELECT a FROM q EXCEPT ALL SELECT a FROM q",
        ),
        (
            "WITH RECURSIVE q AS (SELECT 1 AS a), r AS (SELECT a FROM q) INSERT INTO s.t (a) SELECT a FROM r",
            "WITH RECURSIVE q AS (SELECT 1 AS a), r AS (SELECT a FROM q) SELECT a FROM r",
        ),
        (
            "WITH q AS (SELECT 1 AS a) INSERT INTO t WITH r AS (SELECT a FROM q) SELECT a FROM r",
            "WITH q AS (SELECT 1 AS a) (WITH r AS (SELECT a FROM q) SELECT a FROM r)",
        ),
    ] {
        match command(sql) {
            Command::Insert(insert) => assert_eq!(insert.query.to_string(), written),
            other => panic!("{other:?}"),
        }
    }
}

// Goal: names count as SQL says. Method: quoted and unquoted ones, with and without schemas.
#[test]
fn names_count_as_written() {
    let table = |sql: &str| match command(sql) {
        Command::Truncate { name, .. } => name.table("main").map(|name| name.to_string()).ok(),
        other => panic!("{other:?}"),
    };
    assert_eq!(table("TRUNCATE Users").as_deref(), Some("main.users"));
    assert_eq!(table("TRUNCATE \"Users\"").as_deref(), Some("main.Users"));
    assert_eq!(table("TRUNCATE lake.Gold.t").as_deref(), Some("gold.t"));
    assert_eq!(table("TRUNCATE a.b.t").as_deref(), Some("a.b.t"));
    assert_eq!(table("TRUNCATE \"\""), None);
}

// Goal: operators of PostgreSQL alone are read in changes of data, and are the same when they are written and read again. Method: each of
// them in each kind of statement, as it is written out; then in a view, and where nobody reads them.
#[test]
fn operators_of_postgres_are_known_in_changes() {
    for (sql, written) in [
        (
            "INSERT INTO t SELECT j ? 'a', @ -5 FROM u WHERE j ?| ARRAY['b']",
            "SELECT j ? 'a', @ -5 FROM u WHERE j ?| ARRAY['b']",
        ),
        (
            "WITH q AS (SELECT j ? 'a' AS x FROM u) INSERT INTO t SELECT x FROM q",
            "WITH q AS (SELECT j ? 'a' AS x FROM u) SELECT x FROM q",
        ),
        ("INSERT INTO t VALUES (|/ 25.0, ||/ -8)", "VALUES (|/25.0, ||/ -8)"),
        ("CREATE TABLE t AS SELECT |/ (25.0) AS a", "SELECT |/(25.0) AS a"),
        ("DELETE FROM t WHERE j ?& ARRAY['a', 'b']", "j ?& ARRAY['a', 'b']"),
        ("UPDATE t SET a = $1 WHERE j ? $2 AND a > @ -1", "j ? $2 AND a > @ -1"),
        (
            "MERGE INTO t USING u ON t.j ? u.k WHEN MATCHED THEN DELETE",
            "t.j ? u.k",
        ),
    ] {
        let found = match command(sql) {
            Command::Insert(insert) => insert.query.to_string(),
            Command::Merge(merge) => merge.on.expect("a condition").to_string(),
            Command::CreateTable(create) => create.query.expect("a query").to_string(),
            other => panic!("{sql}: {other:?}"),
        };
        assert_eq!(found, written, "{sql}");
    }
    for sql in [
        "CREATE VIEW v AS SELECT j ? 'a' AS b FROM t",
        "UPDATE t SET a = 1 WHERE j ?",
        "DELETE FROM t WHERE a 'x' ?",
    ] {
        assert!(parse(sql).is_err(), "{sql}");
    }
}
