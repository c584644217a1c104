mod writers;

use std::collections::BTreeMap;

use tidewater_core::{Coded, Rng, SeededRng};

use super::{Done, Workshop};
use crate::error::{EngineError, Result};
use crate::sql::{Sql, parse};
use crate::testing::Lake;
use crate::{Class, SessionOptions};

async fn tried(lake: &Lake, sql: &str) -> Result<Done> {
    let Sql::Command(command) = parse(sql)? else {
        panic!("{sql} is no command");
    };
    let shop = Workshop {
        engine: &lake.engine,
        runner: &lake.engine.local_runner(),
        options: &SessionOptions::default(),
        deadline: None,
    };
    shop.execute(&command).await
}

async fn done(lake: &Lake, sql: &str) -> Done {
    tried(lake, sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error:?}"))
}

async fn rows(lake: &Lake, sql: &str) -> u64 {
    done(lake, sql)
        .await
        .rows
        .unwrap_or_else(|| panic!("{sql} is about no rows"))
}

async fn refused(lake: &Lake, sql: &str) -> EngineError {
    tried(lake, sql).await.expect_err(sql)
}

/// A lake with the schema `s`.
async fn lake() -> Lake {
    let lake = Lake::new();
    done(&lake, "CREATE SCHEMA s").await;
    lake
}

const MODES: &[&str] = &[
    "'format-version' = '2'",
    "'format-version' = '2', 'write.update.mode' = 'merge-on-read', 'write.delete.mode' = 'merge-on-read', 'write.merge.mode' = 'merge-on-read'",
    "'format-version' = '3', 'write.update.mode' = 'merge-on-read', 'write.delete.mode' = 'merge-on-read', 'write.merge.mode' = 'merge-on-read'",
];

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
        "ENG-0003"
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

// Goal: inserted rows are in the columns they were meant for, and what overwrites takes the place of what it must. Method: each form
// once, then the rows.
#[tokio::test]
async fn rows_are_inserted() {
    let lake = lake().await;
    done(
        &lake,
        "CREATE TABLE s.t (id bigint NOT NULL, region string, n int) PARTITIONED BY (region)",
    )
    .await;
    assert_eq!(
        rows(&lake, "INSERT INTO s.t VALUES (1, 'a', 10), (2, 'b', 20)").await,
        2
    );
    assert_eq!(rows(&lake, "INSERT INTO s.t (n, id) SELECT 30, 3").await, 1);
    assert_eq!(
        rows(&lake, "INSERT INTO s.t SELECT id + 10, region, n FROM s.t WHERE n < 0").await,
        0
    );
    assert_eq!(lake.lines("SELECT * FROM s.t").await, ["1,a,10", "2,b,20", "3,,30"]);

    assert_eq!(rows(&lake, "INSERT OVERWRITE s.t VALUES (4, 'a', 40)").await, 1);
    assert_eq!(lake.lines("SELECT * FROM s.t").await, ["2,b,20", "3,,30", "4,a,40"]);
    assert_eq!(
        rows(
            &lake,
            "INSERT OVERWRITE s.t PARTITION (region = 'b') (id, n) VALUES (5, 50), (6, 60)"
        )
        .await,
        2
    );
    assert_eq!(
        lake.lines("SELECT * FROM s.t").await,
        ["3,,30", "4,a,40", "5,b,50", "6,b,60"]
    );

    done(
        &lake,
        "CREATE TABLE s.e AS SELECT 1e300 AS a, -2.5e-3 AS b, 12345678901234567890.5 AS c",
    )
    .await;
    assert_eq!(
        lake.lines("SELECT * FROM s.e").await,
        ["1e300,-0.0025,12345678901234567890.5"]
    );

    assert_eq!(refused(&lake, "INSERT INTO s.t VALUES (1)").await.code(), "ENG-0011");
    assert_eq!(
        refused(&lake, "INSERT INTO s.t (id, nope) VALUES (1, 2)").await.code(),
        "ENG-0011"
    );
    assert_eq!(
        refused(&lake, "INSERT INTO s.t (region) VALUES ('a')").await.code(),
        "ENG-0011"
    );
    refused(&lake, "INSERT INTO s.t VALUES (NULL, 'a', 1)").await;
    refused(&lake, "INSERT INTO s.t VALUES (1, 'a', 99999999999)").await;
    assert_eq!(refused(&lake, "INSERT INTO s.nope VALUES (1)").await.code(), "ENG-0001");
    assert_eq!(lake.lines("SELECT count(*) FROM s.t").await, ["4"]);
}

// Goal: a key that is there already is changed or left, one that is not is added. Method: both forms, keys by name and from the table.
#[tokio::test]
async fn conflicts_are_told_apart() {
    let lake = lake().await;
    done(&lake, "CREATE TABLE s.t (id bigint PRIMARY KEY, n int)").await;
    rows(&lake, "INSERT INTO s.t VALUES (1, 1), (2, 2)").await;
    let sql = "INSERT INTO s.t VALUES (2, 20), (3, 30) ON CONFLICT (id) DO UPDATE SET n = t.n + excluded.n";
    assert_eq!(rows(&lake, sql).await, 2);
    assert_eq!(lake.lines("SELECT * FROM s.t").await, ["1,1", "2,22", "3,30"]);
    assert_eq!(
        rows(&lake, "INSERT INTO s.t VALUES (3, 0), (4, 40) ON CONFLICT DO NOTHING").await,
        1
    );
    assert_eq!(lake.lines("SELECT * FROM s.t").await, ["1,1", "2,22", "3,30", "4,40"]);
    let twice = "INSERT INTO s.t VALUES (5, 0), (5, 1) ON CONFLICT DO NOTHING";
    assert_eq!(refused(&lake, twice).await.code(), "ENG-0019");
}

// Goal: UPDATE and DELETE touch the rows of their condition and no other, in every mode. Method: conditions of all kinds (nulls,
// subqueries, other tables, none), then the rows.
#[tokio::test]
async fn rows_are_changed_and_deleted() {
    for mode in MODES {
        let lake = lake().await;
        done(
            &lake,
            &format!("CREATE TABLE s.t (id bigint NOT NULL, n int, d decimal(20, 4)) TBLPROPERTIES ({mode})"),
        )
        .await;
        for first in [1, 4, 7] {
            rows(&lake, &format!("INSERT INTO s.t VALUES ({first}, 1, 0.1), ({first} + 1, NULL, 12345678901234.5678), ({first} + 2, 3, 0.3)")).await;
        }
        done(
            &lake,
            "CREATE TABLE s.u AS SELECT * FROM (VALUES (1, 100), (5, 500)) AS v (id, n)",
        )
        .await;
        assert_eq!(
            rows(
                &lake,
                "UPDATE s.t SET n = n + 1, d = id * 1.5 WHERE n = 1 AND s.t.id < 7"
            )
            .await,
            2
        );
        assert_eq!(
            lake.lines("SELECT * FROM s.t").await,
            [
                "1,2,1.5000",
                "2,,12345678901234.5678",
                "3,3,0.3000",
                "4,2,6.0000",
                "5,,12345678901234.5678",
                "6,3,0.3000",
                "7,1,0.1000",
                "8,,12345678901234.5678",
                "9,3,0.3000"
            ],
            "{mode}"
        );
        assert_eq!(
            rows(&lake, "UPDATE s.t AS x SET n = u.n FROM s.u AS u WHERE x.id = u.id").await,
            2
        );
        assert_eq!(
            rows(&lake, "UPDATE s.t SET n = 0 WHERE id IN (SELECT id + 1 FROM s.u)").await,
            2
        );
        assert_eq!(rows(&lake, "DELETE FROM s.t WHERE n = 3").await, 2);
        assert_eq!(
            lake.lines("SELECT id, n FROM s.t").await,
            ["1,100", "2,0", "4,2", "5,500", "6,0", "7,1", "8,"],
            "{mode}"
        );
        assert_eq!(
            rows(
                &lake,
                "DELETE FROM s.t WHERE id NOT IN (SELECT n FROM s.t WHERE n IS NOT NULL) AND id < 5"
            )
            .await,
            1
        );
        assert_eq!(rows(&lake, "DELETE FROM s.t USING s.u WHERE t.id = u.id").await, 2);
        assert_eq!(rows(&lake, "DELETE FROM s.t WHERE n > 1000").await, 0);
        assert_eq!(
            lake.lines("SELECT id, n FROM s.t").await,
            ["2,0", "6,0", "7,1", "8,"],
            "{mode}"
        );
        let before = lake.load("s.t").await.metadata.snapshots().count();
        assert_eq!(rows(&lake, "UPDATE s.t SET n = 7").await, 4);
        assert_eq!(
            lake.load("s.t").await.metadata.snapshots().count(),
            before + 1,
            "one snapshot"
        );
        assert_eq!(rows(&lake, "DELETE FROM s.t").await, 4);
        assert_eq!(rows(&lake, "TRUNCATE TABLE s.t").await, 0);
        assert_eq!(lake.lines("SELECT count(*) FROM s.t").await, ["0"], "{mode}");
    }
}

// Goal: each row meets the first clause that is for it. Method: all kinds of clauses over one source, in every mode.
#[tokio::test]
async fn rows_are_merged() {
    for mode in MODES {
        let lake = lake().await;
        done(
            &lake,
            &format!(
                "CREATE TABLE s.t (id int, n int, note string) PARTITIONED BY (bucket(3, id)) TBLPROPERTIES ({mode})"
            ),
        )
        .await;
        rows(
            &lake,
            "INSERT INTO s.t SELECT value, value * 10, 'old' FROM generate_series(1, 8) AS g (value)",
        )
        .await;
        done(&lake, "CREATE TABLE s.c AS SELECT * FROM (VALUES (2, 2, 'd'), (3, 3, 'u'), (4, 4, 'n'), (9, 9, 'i'), (10, 10, 'x')) AS v (id, n, op)").await;
        let sql = "MERGE INTO s.t AS t USING s.c AS c ON t.id = c.id \
            WHEN MATCHED AND c.op = 'd' THEN DELETE \
            WHEN MATCHED AND c.op = 'n' THEN DO NOTHING \
            WHEN MATCHED THEN UPDATE SET n = t.n + c.n, note = 'new' \
            WHEN NOT MATCHED AND c.op = 'i' THEN INSERT (id, n) VALUES (c.id, c.n * 100) \
            WHEN NOT MATCHED BY SOURCE AND t.id > 7 THEN DELETE \
            WHEN NOT MATCHED BY SOURCE AND t.id = 1 THEN UPDATE SET note = 'alone'";
        assert_eq!(rows(&lake, sql).await, 5, "{mode}");
        assert_eq!(
            lake.lines("SELECT * FROM s.t").await,
            [
                "1,10,alone",
                "3,33,new",
                "4,40,old",
                "5,50,old",
                "6,60,old",
                "7,70,old",
                "9,900,"
            ],
            "{mode}"
        );
        let whole = "MERGE INTO s.t USING (SELECT id, n, 'all' AS note FROM s.c) AS c ON t.id = c.id \
            WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *";
        assert_eq!(rows(&lake, whole).await, 5);
        assert_eq!(
            lake.lines("SELECT * FROM s.t WHERE note = 'all'").await,
            ["10,10,all", "2,2,all", "3,3,all", "4,4,all", "9,9,all"],
            "{mode}"
        );
        let many =
            "MERGE INTO s.t USING (SELECT 3 AS id UNION ALL SELECT 3) AS c ON t.id = c.id WHEN MATCHED THEN DELETE";
        assert_eq!(refused(&lake, many).await.code(), "ENG-0019", "{mode}");
        assert_eq!(
            refused(&lake, "DELETE FROM s.t WHERE random() < 0.5").await.code(),
            "ENG-0017"
        );
        assert_eq!(refused(&lake, "UPDATE s.t SET nope = 1").await.code(), "ENG-0017");
    }
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

// Goal: any history of statements leaves the rows that a map would hold. Method: random statements over few keys, so that they meet,
// in every mode; after each the whole table is compared.
#[tokio::test]
async fn histories_end_like_a_map() {
    for (seed, mode) in MODES.iter().enumerate() {
        let rng = SeededRng::new(seed as u64 + 1);
        let lake = lake().await;
        done(
            &lake,
            &format!(
                "CREATE TABLE s.t (id int NOT NULL, n int) PARTITIONED BY (truncate(5, id)) TBLPROPERTIES ({mode})"
            ),
        )
        .await;
        let mut model: BTreeMap<i64, Option<i64>> = BTreeMap::new();
        for step in 0..40 {
            let (key, low, n) = (rng.below(20) as i64, rng.below(20) as i64, rng.below(100) as i64);
            let (sql, count) = match rng.below(5) {
                0 => {
                    let count = model
                        .values()
                        .filter(|value| value.is_some_and(|value| value < n))
                        .count();
                    model.retain(|_, value| !value.is_some_and(|value| value < n));
                    (format!("DELETE FROM s.t WHERE n < {n}"), count)
                }
                1 => {
                    let touched = model.iter_mut().filter(|(id, _)| **id >= low);
                    let count = touched
                        .map(|(_, value)| *value = value.map(|value| (value + n) % 100))
                        .count();
                    (format!("UPDATE s.t SET n = (n + {n}) % 100 WHERE id >= {low}"), count)
                }
                2 => {
                    let count = usize::from(model.contains_key(&key));
                    model.entry(key).and_modify(|value| *value = None);
                    (
                        format!("UPDATE s.t SET n = NULL WHERE id IN (SELECT id FROM s.t WHERE id = {key})"),
                        count,
                    )
                }
                3 => {
                    let keys: Vec<i64> = (low..(low + 3).min(20)).collect();
                    let count = keys.len();
                    for key in &keys {
                        model.insert(*key, Some(n));
                    }
                    let values: Vec<String> = keys.iter().map(|key| format!("({key}, {n})")).collect();
                    (
                        format!(
                            "INSERT INTO s.t VALUES {} ON CONFLICT (id) DO UPDATE SET n = excluded.n",
                            values.join(", ")
                        ),
                        count,
                    )
                }
                _ => {
                    let before = model.len();
                    let count =
                        usize::from(!model.contains_key(&key)) + usize::from(model.contains_key(&low) && low != key);
                    if low != key {
                        model.remove(&low);
                    }
                    model.entry(key).or_insert(Some(n));
                    assert!(model.len() <= before + 1);
                    let sql = format!(
                        "MERGE INTO s.t USING (SELECT {key} AS id, 'i' AS op UNION SELECT {low}, CASE WHEN {low} = {key} THEN 'i' ELSE 'd' END) AS c \
                         ON t.id = c.id WHEN MATCHED AND c.op = 'd' THEN DELETE WHEN NOT MATCHED AND c.op = 'i' THEN INSERT (id, n) VALUES (c.id, {n})"
                    );
                    (sql, count)
                }
            };
            assert_eq!(rows(&lake, &sql).await, count as u64, "{mode}, step {step}: {sql}");
            let mut wanted: Vec<String> = model
                .iter()
                .map(|(id, n)| format!("{id},{}", n.map(|n| n.to_string()).unwrap_or_default()))
                .collect();
            wanted.sort();
            assert_eq!(
                lake.lines("SELECT id, n FROM s.t").await,
                wanted,
                "{mode}, step {step}: {sql}"
            );
        }
    }
}

// Goal: a time is the same in all of a statement. Method: the plan of a query that asks for it, with a time of ours.
#[tokio::test]
async fn the_time_stands_still() {
    let lake = lake().await;
    let session = lake.engine.session(Class::Batch, &SessionOptions::default());
    let sql = "SELECT now(), current_date, a FROM (VALUES (1)) AS v (a) WHERE now() > TIMESTAMP '2020-01-01' AND a IN (SELECT date_part('year', now()))";
    let plan = lake.engine.plan(&session, sql).await.expect("a plan");
    let names = plan.schema().field_names();
    let settled = super::settled::settled(plan, 1_700_000_000_123).expect("a plan");
    assert_eq!(settled.schema().field_names(), names);
    let told = settled.display_indent().to_string();
    assert!(
        !told.contains("now()\n") && told.contains("1700000000123000000"),
        "{told}"
    );
    assert!(told.contains("2023-11-14") || told.contains("19675"), "{told}");
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
    done(&lake, "ALTER SCHEMA s SET PROPERTIES ('owner' = 'ops')").await;
    assert_eq!(refused(&lake, "DROP SCHEMA s").await.code(), "TBL-0034");
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

// Goal: branches, tags and heads go where procedures send them. Method: a tag, a rollback, a set-back and a forward, each seen in the rows.
#[tokio::test]
async fn heads_are_moved() {
    let lake = lake().await;
    done(&lake, "CREATE TABLE s.t AS SELECT 1 AS a").await;
    let first = lake
        .load("s.t")
        .await
        .metadata
        .current_snapshot_id()
        .expect("a snapshot");
    done(&lake, "ALTER TABLE s.t CREATE TAG one RETAIN 30 DAYS").await;
    rows(&lake, "INSERT INTO s.t VALUES (2)").await;
    let second = lake
        .load("s.t")
        .await
        .metadata
        .current_snapshot_id()
        .expect("a snapshot");
    done(&lake, "ALTER TABLE s.t CREATE BRANCH two").await;
    let moved = done(&lake, &format!("CALL system.rollback_to_snapshot('s.t', {first})")).await;
    let answer = moved.answer.expect("rows");
    assert_eq!(crate::testing::lines(&[answer]), [format!("{second},{first}")]);
    assert_eq!(lake.lines("SELECT * FROM s.t").await, ["1"]);
    done(
        &lake,
        "CALL system.fast_forward(table => 's.t', branch => 'main', to => 'two')",
    )
    .await;
    assert_eq!(lake.lines("SELECT * FROM s.t").await, ["1", "2"]);
    done(&lake, "CALL system.set_current_snapshot(table => 's.t', ref => 'one')").await;
    assert_eq!(lake.lines("SELECT * FROM s.t").await, ["1"]);
    done(&lake, &format!("CALL system.cherrypick_snapshot('s.t', {second})")).await;
    assert_eq!(lake.lines("SELECT * FROM s.t").await, ["1", "2"]);
    done(&lake, "ALTER TABLE s.t DROP TAG one").await;
    for wrong in [
        "CALL system.nope('s.t')",
        "CALL system.fast_forward('s.t', 'main', 'two', 'more')",
        "CALL system.fast_forward('s.t', tabel => 'x')",
        "CALL system.rollback_to_snapshot('s.t', 'x')",
        "CALL system.rollback_to_timestamp('s.t', 'yesterday')",
    ] {
        assert_eq!(refused(&lake, wrong).await.code(), "ENG-0017", "{wrong}");
    }
}

// Goal: procedures tidy a table and change none of its rows. Method: many small files and deletes, compacted and expired; then files, snapshots
// and rows.
#[tokio::test]
async fn tables_are_tidied() {
    let lake = lake().await;
    done(
        &lake,
        "CREATE TABLE s.t (a int) TBLPROPERTIES ('write.delete.mode' = 'merge-on-read')",
    )
    .await;
    for a in 0..6 {
        rows(&lake, &format!("INSERT INTO s.t VALUES ({a}), ({a} + 10)")).await;
    }
    rows(&lake, "DELETE FROM s.t WHERE a = 3").await;
    let before = lake.lines("SELECT * FROM s.t").await;
    let told = done(
        &lake,
        "CALL system.rewrite_data_files(table => 's.t', options => map('min-input-files', '2'))",
    )
    .await;
    let told = crate::testing::lines(&[told.answer.expect("rows")]);
    assert!(told[0].starts_with("6,1,"), "{told:?}");
    assert_eq!(lake.lines("SELECT * FROM s.t").await, before);
    assert_eq!(lake.lines("SELECT count(*) FROM s.\"t$files\"").await, ["1"]);
    let told = done(
        &lake,
        "CALL system.expire_snapshots('s.t', TIMESTAMP '2100-01-01 00:00:00', 2)",
    )
    .await;
    let told = crate::testing::lines(&[told.answer.expect("rows")]);
    assert!(told[0].ends_with(",6"), "{told:?}");
    assert_eq!(lake.load("s.t").await.metadata.snapshots().count(), 2);
    done(&lake, "CALL system.rewrite_manifests('s.t')").await;
    let told = done(
        &lake,
        "CALL system.compute_table_stats(table => 's.t', columns => array('a'))",
    )
    .await;
    let told = crate::testing::lines(&[told.answer.expect("rows")]);
    assert!(told[0].ends_with(".stats") || told[0].ends_with(".puffin"), "{told:?}");
    let stray = format!("{}/data/stray.parquet", lake.load("s.t").await.metadata.location());
    lake.store.put_new(&stray, "nobody's".into()).await.expect("written");
    // Too young to tell: its writer may be at work.
    let told = done(
        &lake,
        "CALL system.remove_orphan_files(table => 's.t', dry_run => true)",
    )
    .await;
    assert_eq!(told.answer.expect("rows").num_rows(), 0);
    assert_eq!(lake.lines("SELECT * FROM s.t").await, before);
}

// Goal: a change reads the files that its condition reaches, and no other. Method: the plan of its look at the rows, over a table of ten files.
#[tokio::test]
async fn files_out_of_reach_are_not_read() {
    let lake = lake().await;
    done(&lake, "CREATE TABLE s.t (a int, b int)").await;
    for a in 0..10 {
        rows(&lake, &format!("INSERT INTO s.t VALUES ({a}, 1), ({a}, 2)")).await;
    }
    let name = crate::testing::table_name("s.t");
    let table = lake.load("s.t").await;
    let session = lake.session();
    super::give(
        &session,
        vec![(
            super::row_sql::TARGET,
            lake.engine.all_rows_provider(&table).expect("rows"),
        )],
    )
    .expect("given");
    let Sql::Command(command) = parse("DELETE FROM s.t WHERE a = 4 AND b = 2").expect("a command") else {
        panic!("a query");
    };
    let crate::sql::Command::Merge(merge) = *command else {
        panic!("no change of rows");
    };
    let columns = tidewater_table::schema::to_arrow(table.metadata.current_schema()).expect("columns");
    let sql = super::row_sql::RowSql::new(&merge, columns.into()).expect("columns that are there");
    let plan = lake.engine.plan(&session, &sql.counts()).await.expect("a plan");
    let plan = session
        .state()
        .create_physical_plan(&plan)
        .await
        .expect("a physical plan");
    let told = datafusion::physical_plan::displayable(plan.as_ref())
        .indent(false)
        .to_string();
    assert_eq!(told.matches(".parquet").count(), 1, "{told}");
    assert_eq!(rows(&lake, "DELETE FROM s.t WHERE a = 4 AND b = 2").await, 1, "{name}");
}

// Goal: rows of a table of format 3 keep their ids, or nothing is done. Method: a change that asks for whole files to be written anew, an overwrite
// of a part of a file, and one of whole files.
#[tokio::test]
async fn row_ids_are_not_lost() {
    let lake = lake().await;
    let properties = "'format-version' = '3', 'write.delete.mode' = 'copy-on-write'";
    done(
        &lake,
        &format!("CREATE TABLE s.t (a int, b int) PARTITIONED BY (a) TBLPROPERTIES ({properties})"),
    )
    .await;
    rows(&lake, "INSERT INTO s.t VALUES (1, 1), (1, 2), (2, 3)").await;
    for sql in [
        "DELETE FROM s.t WHERE b = 1",
        "INSERT OVERWRITE s.t PARTITION (b = 1) (a) VALUES (3)",
    ] {
        assert_eq!(refused(&lake, sql).await.code(), "ENG-0015", "{sql}");
    }
    assert_eq!(lake.lines("SELECT * FROM s.t").await, ["1,1", "1,2", "2,3"]);
    assert_eq!(
        rows(&lake, "INSERT OVERWRITE s.t PARTITION (a = 1) (b) VALUES (9)").await,
        1
    );
    assert_eq!(rows(&lake, "UPDATE s.t SET b = 4 WHERE b = 3").await, 1);
    assert_eq!(lake.lines("SELECT * FROM s.t").await, ["1,9", "2,4"]);
}
