use tidewater_core::{Coded, Namespace};
use tidewater_table::iceberg::spec::Schema;
use tidewater_table::{Catalog, NewView};

use super::{done, lake, refused, rows};

// Goal: a table is what its statement says. Method: made in each way, then asked for its columns, partitions and rows.
#[tokio::test]
async fn tables_are_made() {
    let lake = lake().await;
    done(
        &lake,
        "CREATE TABLE s.t (id bigint PRIMARY KEY, at timestamptz, tags array<string>, who struct<name: string, age: int>, \
         key uuid, four fixed(4), price decimal(10, 2) COMMENT 'in euros') PARTITIONED BY (day(at), bucket(4, id)) WRITE ORDERED BY at DESC \
         COMMENT 'things' TBLPROPERTIES ('a' = 'b')",
    )
    .await;
    let table = lake.load("s.t").await;
    let schema = table.metadata.current_schema();
    assert_eq!(schema.identifier_field_ids().count(), 1);
    assert!(schema.field_by_name("id").expect("a column").required);
    assert_eq!(
        schema.field_by_name("price").expect("a column").doc.as_deref(),
        Some("in euros")
    );
    assert!(schema.field_by_name("who.age").is_some());
    let partitions: Vec<&str> = table
        .metadata
        .default_partition_spec()
        .fields()
        .iter()
        .map(|field| field.name.as_str())
        .collect();
    assert_eq!(partitions, ["at_day", "id_bucket"]);
    assert_eq!(table.metadata.default_sort_order().fields.len(), 1);
    assert_eq!(
        table.metadata.properties().get("comment").map(String::as_str),
        Some("things")
    );

    assert_eq!(refused(&lake, "CREATE TABLE s.t (a int)").await.code(), "TBL-0031");
    done(&lake, "CREATE TABLE IF NOT EXISTS s.t (a int)").await;
    assert!(
        lake.load("s.t")
            .await
            .metadata
            .current_schema()
            .field_by_name("a")
            .is_none()
    );

    let made = done(
        &lake,
        "CREATE TABLE s.c AS SELECT 1 AS a, 'x' AS b UNION ALL SELECT 2, NULL",
    )
    .await;
    assert_eq!(made.rows, Some(2));
    assert_eq!(lake.lines("SELECT * FROM s.c").await, ["1,x", "2,"]);
    let again = done(
        &lake,
        "CREATE OR REPLACE TABLE s.c PARTITIONED BY (b) AS SELECT a + 10 AS a, 'y' AS b, 2.5 AS z FROM s.c",
    )
    .await;
    assert_eq!(again.rows, Some(2));
    assert_eq!(lake.lines("SELECT * FROM s.c").await, ["11,y,2.5", "12,y,2.5"]);
    assert_eq!(
        lake.load("s.c").await.metadata.snapshots().count(),
        2,
        "the history stays"
    );
    assert_eq!(
        refused(&lake, "CREATE TABLE s.d AS SELECT 1 AS a, 2 AS a").await.code(),
        "ENG-0017"
    );
    assert_eq!(
        refused(&lake, "CREATE TABLE s.d (a int) PARTITIONED BY (b)")
            .await
            .code(),
        "ENG-0017"
    );
    assert_eq!(
        refused(&lake, "CREATE TABLE s.d (a int, PRIMARY KEY (b))").await.code(),
        "ENG-0017"
    );
}

// Goal: what others write, SQL does not touch unless it is allowed. Method: a table with a writer's property, each statement, then the leave.
#[tokio::test]
async fn tables_of_others_are_left() {
    let lake = lake().await;
    done(
        &lake,
        "CREATE TABLE s.t (id int) TBLPROPERTIES ('tidewater.model-kind' = 'cdc')",
    )
    .await;
    for sql in [
        "INSERT INTO s.t VALUES (1)",
        "DELETE FROM s.t",
        "DROP TABLE s.t",
        "ALTER TABLE s.t RENAME TO u",
        "CREATE OR REPLACE TABLE s.t (a int)",
        "DROP SCHEMA s CASCADE",
    ] {
        assert_eq!(refused(&lake, sql).await.code(), "ENG-0018", "{sql}");
    }
    done(
        &lake,
        "CREATE TABLE s.u (id int) TBLPROPERTIES ('tidewater.model-kind' = 'cdc', 'tidewater.sql-writes' = 'allowed')",
    )
    .await;
    assert_eq!(rows(&lake, "INSERT INTO s.u VALUES (1)").await, 1);
}

// Goal: a view is what its text says wherever it is named, and its tables are of the statement's moment. Method: views over views, in
// queries and changes, replaced, dropped, and in a circle.
#[tokio::test]
async fn views_are_read() {
    let lake = lake().await;
    done(
        &lake,
        "CREATE TABLE s.t AS SELECT * FROM (VALUES (1, 10), (2, 20)) AS v (id, n)",
    )
    .await;
    done(
        &lake,
        "CREATE VIEW s.v (key COMMENT 'the id', twice) COMMENT 'of t' AS SELECT id, n * 2 FROM s.t",
    )
    .await;
    done(
        &lake,
        "CREATE VIEW s.w AS SELECT v.key, t.n FROM s.v AS v JOIN s.t AS t ON t.id = v.key WHERE v.twice > 20",
    )
    .await;
    assert_eq!(lake.lines("SELECT * FROM s.w").await, ["2,20"]);
    let listed = "SELECT t.table_name, t.table_type, string_agg(c.column_name, ' ') FROM information_schema.tables t
                  JOIN information_schema.columns c USING (table_name) WHERE t.table_schema = 's' GROUP BY 1, 2";
    assert_eq!(
        lake.lines(listed).await,
        ["t,BASE TABLE,id n", "v,VIEW,key twice", "w,VIEW,key n"]
    );
    let both = "SELECT count(*), bool_and(definition LIKE '%n * 2 FROM s.t%') FROM information_schema.views CROSS JOIN s.w WHERE table_name = 'v'";
    assert_eq!(lake.lines(both).await, ["1,true"]);
    assert_eq!(
        rows(&lake, "UPDATE s.t SET n = w.n + 1 FROM s.w AS w WHERE w.key = t.id").await,
        1
    );
    assert_eq!(lake.lines("SELECT * FROM s.v").await, ["1,20", "2,42"]);
    assert_eq!(
        refused(&lake, "CREATE VIEW s.v AS SELECT 1 AS a").await.code(),
        "TBL-0031"
    );
    done(&lake, "CREATE VIEW IF NOT EXISTS s.v AS SELECT 1 AS a").await;
    // Nothing is made that cannot be read.
    let over_what_there_is = "CREATE VIEW s.i AS SELECT table_name FROM information_schema.tables";
    assert_eq!(refused(&lake, over_what_there_is).await.code(), "ENG-0015");
    let schema = Schema::builder().build().expect("a schema");
    let made = NewView::new(
        "s.i".parse().expect("a name"),
        schema,
        "spark",
        "SELECT table_name FROM information_schema.tables",
    );
    lake.catalog.create_view(made).await.expect("a view of another engine");
    assert_eq!(lake.refused("SELECT * FROM s.i").await.code(), "ENG-0015");
    done(&lake, "CREATE OR REPLACE VIEW s.v AS SELECT key FROM s.w").await;
    let session = lake.session();
    let circle = lake
        .engine
        .plan(&session, "SELECT * FROM s.w")
        .await
        .expect_err("a circle");
    assert_eq!(circle.code(), "ENG-0017");
    done(&lake, "DROP VIEW s.v").await;
    assert_eq!(refused(&lake, "DROP VIEW s.v").await.code(), "TBL-0030");
    done(&lake, "DROP VIEW IF EXISTS s.v").await;
}

// Goal: objects go and change their names as they are told. Method: each statement once, then what there is.
#[tokio::test]
async fn objects_come_and_go() {
    let lake = lake().await;
    done(&lake, "CREATE TABLE s.t AS SELECT 1 AS a").await;
    done(&lake, "ALTER TABLE s.t RENAME TO u").await;
    assert_eq!(lake.lines("SELECT * FROM s.u").await, ["1"]);
    done(&lake, "CREATE VIEW s.v AS SELECT a + 1 AS b FROM s.u").await;
    done(&lake, "ALTER TABLE s.v RENAME TO w").await;
    done(&lake, "ALTER VIEW s.w RENAME TO x").await;
    assert_eq!(lake.lines("SELECT * FROM s.x").await, ["2"]);
    assert_eq!(refused(&lake, "ALTER TABLE s.v RENAME TO w").await.code(), "ENG-0001");
    done(&lake, "DROP VIEW s.x CASCADE").await;
    done(&lake, "ALTER SCHEMA s SET PROPERTIES ('owner' = 'ops')").await;
    done(&lake, "COMMENT ON SCHEMA s IS 'comes and goes'").await;
    let schema: Namespace = "s".parse().expect("a schema");
    let properties = lake.engine.catalog().namespace_properties(&schema).await;
    let properties = properties.expect("an answer");
    assert_eq!(properties.get("comment").map(String::as_str), Some("comes and goes"));
    assert_eq!(properties.get("owner").map(String::as_str), Some("ops"));
    assert_eq!(refused(&lake, "DROP SCHEMA s").await.code(), "TBL-0038");
    done(&lake, "DROP TABLE s.u").await;
    assert_eq!(refused(&lake, "DROP TABLE s.u").await.code(), "ENG-0001");
    done(&lake, "DROP TABLE IF EXISTS s.u").await;
    done(&lake, "CREATE TABLE s.x (a int)").await;
    done(&lake, "DROP SCHEMA s CASCADE").await;
    assert_eq!(refused(&lake, "DROP SCHEMA s").await.code(), "TBL-0030");
    done(&lake, "DROP SCHEMA IF EXISTS s").await;
}

// Goal: a table becomes what it is altered to, and rows that are there stay readable. Method: each kind of alteration, then columns,
// partitions and rows; refusals with their codes.
#[tokio::test]
async fn tables_are_altered() {
    let lake = lake().await;
    done(
        &lake,
        "CREATE TABLE s.t AS SELECT arrow_cast(1, 'Int32') AS id, 'x' AS name, DATE '2026-01-31' AS day",
    )
    .await;
    done(
        &lake,
        "ALTER TABLE s.t ADD COLUMN n int COMMENT 'count' AFTER id, RENAME COLUMN name TO label, ALTER COLUMN id TYPE bigint, \
         ADD COLUMN who struct<name: string>",
    )
    .await;
    done(
        &lake,
        "ALTER TABLE s.t ADD COLUMN who.age int, ADD COLUMN IF NOT EXISTS n int",
    )
    .await;
    let columns =
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 't' AND column_name <> 'who'";
    assert_eq!(
        lake.lines(columns).await,
        ["day,Date32", "id,Int64", "label,Utf8", "n,Int32"]
    );
    rows(&lake, "INSERT INTO s.t (id, n) VALUES (5000000000, 7)").await;
    assert_eq!(
        lake.lines("SELECT id, n, label FROM s.t").await,
        ["1,,x", "5000000000,7,"]
    );
    done(
        &lake,
        "ALTER TABLE s.t ADD PARTITION FIELD month(day), WRITE ORDERED BY id DESC",
    )
    .await;
    rows(&lake, "INSERT INTO s.t (id, day) VALUES (3, DATE '2026-02-01')").await;
    done(
        &lake,
        "ALTER TABLE s.t REPLACE PARTITION FIELD month(day) WITH day(day)",
    )
    .await;
    rows(&lake, "UPDATE s.t SET n = 1 WHERE n IS NULL").await;
    assert_eq!(
        lake.lines("SELECT id, n FROM s.t").await,
        ["1,1", "3,1", "5000000000,7"]
    );
    done(
        &lake,
        "ALTER TABLE s.t SET TBLPROPERTIES ('a' = 'b', 'c' = 'd'), UNSET TBLPROPERTIES ('c')",
    )
    .await;
    done(&lake, "COMMENT ON COLUMN s.t.id IS 'the key'").await;
    done(&lake, "COMMENT ON TABLE s.t IS 'all of it'").await;
    let table = lake.load("s.t").await;
    assert_eq!(table.metadata.properties().get("a").map(String::as_str), Some("b"));
    assert_eq!(table.metadata.properties().get("c"), None);
    assert_eq!(
        table.metadata.properties().get("comment").map(String::as_str),
        Some("all of it")
    );
    let id = table
        .metadata
        .current_schema()
        .field_by_name("id")
        .expect("a column")
        .doc
        .clone();
    assert_eq!(id.as_deref(), Some("the key"));
    done(&lake, "ALTER TABLE s.t DROP COLUMN label, DROP COLUMN IF EXISTS nope").await;
    for sql in [
        "ALTER TABLE s.t DROP COLUMN nope",
        "ALTER TABLE s.t DROP COLUMN day",
        "ALTER TABLE s.t ALTER COLUMN id TYPE int",
        "ALTER TABLE s.t ADD COLUMN id int",
        "ALTER TABLE s.t ADD COLUMN m int NOT NULL",
        "ALTER TABLE s.t RENAME COLUMN id TO n",
        "ALTER TABLE s.t ADD COLUMN z int, CREATE TAG x",
    ] {
        let error = refused(&lake, sql).await;
        assert!(
            matches!(
                error.kind(),
                tidewater_core::ErrorKind::Invalid
                    | tidewater_core::ErrorKind::NotFound
                    | tidewater_core::ErrorKind::Conflict
                    | tidewater_core::ErrorKind::Unsupported
            ),
            "{sql}: {error:?}"
        );
    }
    done(&lake, "ALTER TABLE IF EXISTS s.nope ADD COLUMN a int").await;
}

// Goal: a view gets another text and stays what it is besides, and only a view that is there does. Method: a view with a comment, a
// property and readers, altered, read and altered wrongly; the same text by replacing it.
#[tokio::test]
async fn views_are_altered() {
    let lake = lake().await;
    done(&lake, "CREATE TABLE s.t AS SELECT 1 AS a, 2 AS b").await;
    done(
        &lake,
        "CREATE VIEW s.v (a COMMENT 'first') COMMENT 'of t' TBLPROPERTIES ('owner' = 'me', 'tidewater.default-catalog' = 'lake') AS SELECT a FROM s.t",
    )
    .await;
    done(&lake, "CREATE VIEW s.w AS SELECT * FROM s.v").await;
    let load = async |name: &str| {
        let view = lake.engine.catalog().load_view(&crate::testing::table_name(name)).await;
        view.expect("an answer").expect("a view")
    };
    let before = load("s.v").await;
    done(&lake, "ALTER VIEW s.v AS SELECT b, a + b AS c FROM s.t WHERE a > 0").await;
    assert_eq!(lake.lines("SELECT * FROM s.v").await, ["2,3"]);
    let altered = load("s.v").await;
    assert_eq!((altered.uuid, &altered.properties), (before.uuid, &before.properties));
    assert_eq!(altered.default_catalog.as_deref(), Some("lake"));
    assert!(altered.version_id > before.version_id);
    done(
        &lake,
        "CREATE OR REPLACE VIEW s.v AS SELECT b, a + b AS c FROM s.t WHERE a > 0",
    )
    .await;
    let replaced = load("s.v").await;
    assert_eq!(
        (
            &replaced.queries,
            &replaced.default_catalog,
            &replaced.default_namespace
        ),
        (&altered.queries, &altered.default_catalog, &altered.default_namespace)
    );
    assert_eq!(replaced.schema.as_struct(), altered.schema.as_struct());
    done(&lake, "ALTER VIEW s.v SET TBLPROPERTIES ('team' = 'one')").await;
    done(&lake, "ALTER VIEW s.v UNSET TBLPROPERTIES ('owner')").await;
    let properties = load("s.v").await.properties;
    assert_eq!(properties.get("team").map(String::as_str), Some("one"));
    assert!(!properties.contains_key("owner") && properties.contains_key("comment"));
    done(&lake, "COMMENT ON VIEW s.v IS 'other columns of t'").await;
    let properties = load("s.v").await.properties;
    assert_eq!(
        properties.get("comment").map(String::as_str),
        Some("other columns of t")
    );
    done(&lake, "COMMENT ON VIEW s.v IS NULL").await;
    assert!(!load("s.v").await.properties.contains_key("comment"));
    for (sql, code) in [
        ("ALTER VIEW s.nope AS SELECT 1 AS a", "TBL-0030"),
        ("COMMENT ON VIEW s.t IS 'x'", "TBL-0030"),
        ("ALTER VIEW s.t AS SELECT 1 AS a", "TBL-0030"),
        ("ALTER VIEW s.v AS SELECT nope FROM s.t", "ENG-0003"),
    ] {
        assert_eq!(refused(&lake, sql).await.code(), code, "{sql}");
    }
    assert_eq!(lake.lines("SELECT * FROM s.v").await, ["2,3"]);
    assert_eq!(lake.lines("SELECT * FROM s.t").await, ["1,2"]);
}

// Goal: views tell other engines the catalog's name that the configuration says, unless they say one themselves. Method: views made without
// it, with it, and with a property; each then gets another text.
#[tokio::test]
async fn views_tell_the_name_of_the_catalog() {
    let mut lake = lake().await;
    done(&lake, "CREATE VIEW s.v1 AS SELECT 1 AS a").await;
    lake.call_catalog("lake");
    done(&lake, "CREATE VIEW s.v2 AS SELECT 1 AS a").await;
    done(
        &lake,
        "CREATE VIEW s.v3 TBLPROPERTIES ('tidewater.default-catalog' = 'other') AS SELECT 1 AS a",
    )
    .await;
    let called = async |name: &str| {
        let view = lake.engine.catalog().load_view(&crate::testing::table_name(name)).await;
        view.expect("an answer").expect("a view").default_catalog
    };
    for (name, expected) in [("s.v1", None), ("s.v2", Some("lake")), ("s.v3", Some("other"))] {
        assert_eq!(called(name).await.as_deref(), expected, "{name}");
    }
    for (name, expected) in [("s.v1", "lake"), ("s.v2", "lake"), ("s.v3", "other")] {
        done(&lake, &format!("ALTER VIEW {name} AS SELECT 2 AS a")).await;
        assert_eq!(called(name).await.as_deref(), Some(expected), "{name}");
        assert_eq!(lake.lines(&format!("SELECT * FROM {name}")).await, ["2"], "{name}");
    }
}
