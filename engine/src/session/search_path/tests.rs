use std::sync::Arc;

use tidewater_security::{Access, Grant, Grantee, Object, Policy, Privilege, Resource};

use super::*;
use crate::statement::tests::{done, lake};

// Goal: a name gets its schema wherever it stands for a table, and nowhere else. Method: statements of each kind, with columns, texts,
// functions and expressions of WITH that are called like the tables.
#[test]
fn names_of_tables_get_their_schemas() {
    let schemas: BTreeMap<String, &str> = ["t", "u", "T"].map(|name| (name.to_owned(), "h 2")).into();
    for (sql, wanted) in [
        ("SELECT t.a, 't', \"t\" FROM {}t, x AS u", true),
        ("SELECT * FROM {}T AS x JOIN {}\"T\" USING (t) -- t\n, {}\"u\"", true),
        ("SELECT * FROM s.t, t.u, lake.s.u", false),
        ("SELECT * FROM t(1), generate_series(1, 2) AS u", false),
        ("SELECT extract(day FROM t), trim(BOTH FROM t), t\nFROM {}t", true),
        ("SELECT t BETWEEN SYMMETRIC 3 AND 1 AS \"é\" FROM {}t", true),
        ("SELECT t FROM {}t, {}u GROUP BY ROLLUP ((t + 1) % 2)", true),
        ("WITH t AS (SELECT * FROM {}t) SELECT * FROM t, {}u", true),
        ("WITH u AS (SELECT 1), v AS (SELECT * FROM u) SELECT * FROM u, v", false),
        (
            "WITH RECURSIVE t AS (SELECT 1 UNION ALL SELECT * FROM t) SELECT * FROM t",
            false,
        ),
        ("SELECT (WITH u AS (SELECT 1) SELECT * FROM u) FROM {}u", true),
        (
            "SELECT * FROM {}t FOR VERSION AS OF 5 JOIN {}\"t@6\" AS o ON true JOIN {}u ON true",
            true,
        ),
        ("SELECT 1 FROM s.a WHERE EXISTS (SELECT 1 FROM {}t)", true),
        ("EXPLAIN SELECT * FROM {}t", true),
        ("INSERT INTO {}t (u) SELECT u FROM {}u", true),
        ("WITH q AS (SELECT u FROM {}u) INSERT INTO {}t SELECT * FROM q", true),
        ("WITH t AS (SELECT u FROM {}u) INSERT INTO {}t SELECT * FROM t", true),
        ("UPDATE {}t SET u = (SELECT max(u) FROM {}u) WHERE t.u = 1", true),
        ("DELETE FROM {}t USING {}u WHERE t.a = u.a", true),
        ("MERGE INTO {}t USING {}u ON t.a = u.a WHEN MATCHED THEN DELETE", true),
        ("CREATE TABLE t AS SELECT * FROM {}u", true),
        ("CREATE VIEW u AS SELECT * FROM {}t", true),
        ("CREATE TABLE t (u int)", false),
        ("DROP TABLE IF EXISTS {}t", true),
        ("drop view {}u", true),
        ("DROP TABLE s.t", false),
        ("ALTER TABLE {}t ADD COLUMN u int", true),
        ("TRUNCATE {}t", true),
        ("COMMENT ON COLUMN {}t.u IS 't'", true),
        ("COMMENT ON COLUMN s.t.u IS 't'", false),
        ("GRANT SELECT, INSERT ON {}t TO u", true),
        ("REVOKE SELECT (a, u) ON TABLE {}t FROM ROLE u", true),
        ("GRANT SELECT ON s.t TO u", false),
        ("GRANT SELECT ON SCHEMA t TO u", false),
        ("GRANT SELECT ON t-1 TO u", false),
        ("GRANT t TO u", false),
        ("SELECT FROM WHERE t,", false),
    ] {
        let bare = sql.replace("{}", "");
        let found = Bare::of(&bare).and_then(|bare| bare.within(&schemas));
        let wanted = wanted.then(|| sql.replace("{}", "\"h 2\"."));
        assert_eq!(found, wanted, "{sql}");
    }
}

// Goal: a name means the table or view of the first schema that has one which is seen, and tables of PostgreSQL's catalog stay what they
// are. Method: names that each schema has, or some, or none; then somebody who sees nothing of the first schema.
#[tokio::test]
async fn the_first_schema_that_has_a_name_counts() {
    let lake = lake().await;
    for sql in [
        "CREATE SCHEMA u",
        "CREATE TABLE s.a (id bigint)",
        "CREATE TABLE u.a (id bigint)",
        "CREATE TABLE u.b (id bigint)",
        "CREATE VIEW u.v AS SELECT id FROM u.b",
        "CREATE TABLE u.pg_class (id bigint)",
    ] {
        done(&lake, sql).await;
    }
    let path = ["s", "nowhere", "u", "s"].map(str::to_owned);
    let views: [TableName; 1] = ["u.live".parse().expect("a name")];
    let options = SessionOptions::default().default_schema("s");
    for (sql, wanted) in [
        ("SELECT * FROM a", None),
        ("SELECT * FROM a, b", Some("SELECT * FROM a, \"u\".b")),
        ("SELECT * FROM v", Some("SELECT * FROM \"u\".v")),
        ("SELECT * FROM live", Some("SELECT * FROM \"u\".live")),
        ("SELECT * FROM none", None),
        ("SELECT * FROM pg_class", None),
    ] {
        let found = lake.engine.on_path(&options, &path, &views, sql).await;
        assert_eq!(found.expect(sql).as_deref(), wanted, "{sql}");
    }
    let alone = lake
        .engine
        .on_path(&options, &path[..1], &views, "SELECT * FROM b")
        .await;
    assert_eq!(alone.expect("one schema"), None);

    let uuid = lake.load("u.a").await.metadata.uuid();
    let policy = Policy {
        in_force: true,
        objects: vec![Object {
            id: uuid,
            uuid,
            namespace: vec!["u".into()],
            name: "a".into(),
        }],
        grants: vec![Grant {
            to: Grantee::User("ana".into()),
            on: Resource::Object(uuid),
            privileges: Privilege::Select.into(),
        }],
        ..Policy::default()
    };
    let granted = SessionOptions {
        access: Some(Arc::new(Access::compile(&policy, "ana"))),
        ..options
    };
    let found = lake.engine.on_path(&granted, &path, &[], "SELECT * FROM a, b").await;
    let wanted = Some("SELECT * FROM \"u\".a, b".to_owned());
    assert_eq!(found.expect("names"), wanted, "what is not seen is passed by");
}
