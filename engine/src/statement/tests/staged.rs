use datafusion::arrow::array::RecordBatch;
use tidewater_core::Coded;

use super::super::{BulkLoad, IfExists, Workshop};
use super::{MODES, done, lake, refused, tried_with};
use crate::error::EngineError;
use crate::testing::{Lake, table_name};
use crate::{Result, SessionOptions};

fn staging(wap_id: &str) -> SessionOptions {
    SessionOptions {
        wap_id: Some(wap_id.to_owned()),
        ..SessionOptions::default()
    }
}

async fn written(lake: &Lake, wap_id: &str, sql: &str) {
    tried_with(lake, &staging(wap_id), sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

async fn ids(lake: &Lake) -> Vec<String> {
    lake.lines("SELECT id FROM s.t").await
}

// Goal: what a session stages is seen by nobody until it is published, whatever statement wrote it, and only where the table stages.
// Method: each kind of write under an id, in every mode; rows before and after its publication.
#[tokio::test]
async fn writes_wait_to_be_published() {
    for mode in MODES {
        for (sql, wanted) in [
            ("INSERT INTO s.t VALUES (4)", vec!["1", "2", "3", "4"]),
            ("DELETE FROM s.t WHERE id = 2", vec!["1", "3"]),
            ("UPDATE s.t SET id = 9 WHERE id = 2", vec!["1", "3", "9"]),
            (
                "MERGE INTO s.t USING (SELECT 2 AS k UNION ALL SELECT 7) AS n ON id = k WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id) VALUES (k)",
                vec!["1", "3", "7"],
            ),
            ("INSERT OVERWRITE s.t VALUES (5)", vec!["5"]),
            ("DELETE FROM s.t", vec![]),
        ] {
            let lake = lake().await;
            let table = format!("CREATE TABLE s.t (id int) TBLPROPERTIES ({mode}, 'write.wap.enabled' = 'true')");
            done(&lake, &table).await;
            done(&lake, "INSERT INTO s.t VALUES (1), (2), (3)").await;
            written(&lake, "night-1", sql).await;
            assert_eq!(ids(&lake).await, ["1", "2", "3"], "{mode}: {sql}");
            done(&lake, "CALL system.publish_changes('s.t', 'night-1')").await;
            assert_eq!(ids(&lake).await, wanted, "{mode}: {sql}");
            let error = refused(&lake, "CALL system.publish_changes('s.t', 'night-1')").await;
            assert!(error.to_string().contains("nothing is staged"), "{error}");
        }
    }
}

// Goal: rows that were staged join what was written meanwhile; what cannot join is refused and stays; an id that stands for two
// snapshots names none. Method: writes to main between staging and publication.
#[tokio::test]
async fn main_may_go_on_meanwhile() {
    let lake = lake().await;
    done(
        &lake,
        "CREATE TABLE s.t (id int) TBLPROPERTIES ('write.wap.enabled' = 'true')",
    )
    .await;
    done(&lake, "INSERT INTO s.t VALUES (1)").await;
    written(&lake, "added", "INSERT INTO s.t VALUES (2)").await;
    written(&lake, "taken", "DELETE FROM s.t WHERE id = 1").await;
    written(&lake, "twice", "INSERT INTO s.t VALUES (8)").await;
    written(&lake, "twice", "INSERT INTO s.t VALUES (9)").await;
    done(&lake, "INSERT INTO s.t VALUES (3)").await;
    done(&lake, "CALL system.publish_changes('s.t', 'added')").await;
    assert_eq!(ids(&lake).await, ["1", "2", "3"]);
    for (id, says) in [
        ("taken", "did more than append"),
        ("twice", "2 snapshots"),
        ("other", "nothing"),
    ] {
        let error = refused(&lake, &format!("CALL system.publish_changes('s.t', '{id}')")).await;
        let text = format!("{error:?} {error} {:?}", error.hint());
        assert!(text.contains(says), "{id}: {text}");
    }
    assert_eq!(ids(&lake).await, ["1", "2", "3"]);
}

// Goal: an id means nothing to tables that do not stage, and nothing to a branch that is named. Method: writes under an id to both.
#[tokio::test]
async fn only_tables_that_stage() {
    let lake = lake().await;
    done(&lake, "CREATE TABLE s.t (id int)").await;
    written(&lake, "night-1", "INSERT INTO s.t VALUES (1)").await;
    assert_eq!(ids(&lake).await, ["1"]);
    done(
        &lake,
        "ALTER TABLE s.t SET TBLPROPERTIES ('write.wap.enabled' = 'true')",
    )
    .await;
    done(&lake, "ALTER TABLE s.t CREATE BRANCH audit").await;
    written(&lake, "night-2", "INSERT INTO s.t.branch_audit VALUES (2)").await;
    assert_eq!(ids(&lake).await, ["1"]);
    assert_eq!(lake.lines("SELECT id FROM s.t.branch_audit").await, ["1", "2"]);
}

// Goal: the first rows of a new table wait like any others, and are not lost meanwhile. Method: a table made of a query under an id, in both
// formats, expired as far as may be, then published; tables that do not stage, and that have no rows, beside it.
#[tokio::test]
async fn rows_of_new_tables_wait() {
    for version in ["2", "3"] {
        let lake = lake().await;
        let stages = format!("TBLPROPERTIES ('write.wap.enabled' = 'true', 'format-version' = '{version}')");
        written(
            &lake,
            "night-1",
            &format!("CREATE TABLE s.t {stages} AS SELECT 1 AS id"),
        )
        .await;
        assert!(ids(&lake).await.is_empty(), "{version}");
        assert_eq!(lake.load("s.t").await.metadata.current_snapshot_id(), None);
        done(
            &lake,
            "CALL system.expire_snapshots('s.t', TIMESTAMP '2100-01-01 00:00:00')",
        )
        .await;
        done(&lake, "CALL system.publish_changes('s.t', 'night-1')").await;
        assert_eq!(ids(&lake).await, ["1"], "{version}");
        written(&lake, "night-1", "CREATE TABLE s.u AS SELECT 2 AS id").await;
        assert_eq!(lake.lines("SELECT id FROM s.u").await, ["2"]);
        written(&lake, "night-1", &format!("CREATE TABLE s.w (id int) {stages}")).await;
        assert!(lake.lines("SELECT id FROM s.w").await.is_empty());
        written(&lake, "night-2", "INSERT INTO s.w VALUES (3)").await;
        done(&lake, "CALL system.publish_changes('s.w', 'night-2')").await;
        assert_eq!(lake.lines("SELECT id FROM s.w").await, ["3"]);
    }
}

// Goal: what is staged outlives an expiry that takes nothing of main, and is not published twice because the snapshot that tells of its
// publication was told to go. Method: rows staged for an empty table, younger ones in main; each expiry, then both publications.
#[tokio::test]
async fn expiries_leave_what_is_staged() {
    let lake = lake().await;
    done(
        &lake,
        "CREATE TABLE s.t (id int) TBLPROPERTIES ('write.wap.enabled' = 'true')",
    )
    .await;
    written(&lake, "night-1", "INSERT INTO s.t VALUES (1)").await;
    done(&lake, "INSERT INTO s.t VALUES (2)").await;
    done(&lake, "CALL system.expire_snapshots('s.t')").await;
    done(&lake, "CALL system.publish_changes('s.t', 'night-1')").await;
    assert_eq!(ids(&lake).await, ["1", "2"]);
    done(&lake, "INSERT INTO s.t VALUES (3)").await;
    let metadata = lake.load("s.t").await.metadata;
    let parent = |id: i64| {
        metadata
            .snapshot_by_id(id)
            .and_then(|snapshot| snapshot.parent_snapshot_id())
    };
    let published = metadata.current_snapshot_id().and_then(parent).expect("a publication");
    let first = parent(published).expect("a first snapshot");
    let staged = metadata.snapshots().map(|snapshot| snapshot.snapshot_id());
    let staged: Vec<i64> = staged
        .filter(|id| ![first, published].contains(id) && Some(*id) != metadata.current_snapshot_id())
        .collect();
    let [staged] = staged[..] else {
        panic!("not one staged snapshot: {staged:?}")
    };
    let expire = |named: String| {
        format!(
            "CALL system.expire_snapshots(table => 's.t', older_than => TIMESTAMP '2000-01-01 00:00:00', snapshot_ids => array({named}))"
        )
    };
    let error = refused(&lake, &expire(format!("{first}, {published}"))).await;
    assert_eq!(error.code(), "TBL-0024");
    assert!(error.to_string().contains("it alone tells"), "{error}");
    done(&lake, &expire(format!("{first}, {published}, {staged}"))).await;
    let error = refused(&lake, "CALL system.publish_changes('s.t', 'night-1')").await;
    assert!(error.to_string().contains("nothing is staged"), "{error}");
    assert_eq!(ids(&lake).await, ["1", "2", "3"]);
}

async fn loaded(lake: &Lake, options: &SessionOptions, table: &str, if_exists: IfExists) -> Result<()> {
    let batches = lake.query("SELECT 7 AS id").await;
    let load = BulkLoad {
        table: table_name(table),
        schema: batches[0].schema(),
        create: true,
        if_exists,
    };
    let runner = lake.engine.local_runner();
    let shop = Workshop {
        engine: &lake.engine,
        runner: &runner,
        options,
        deadline: None,
    };
    let rows = futures::stream::iter(batches.into_iter().map(Ok::<RecordBatch, EngineError>));
    shop.load(&load, rows).await.map(drop)
}

// Goal: no rows that nobody has audited take the place of those of a table that stages, nor does the table become empty before they are
// there. Method: each way to replace a table, under an id and without one, where the old table, the new one or neither stages.
#[tokio::test]
async fn tables_that_stage_are_not_replaced() {
    let lake = lake().await;
    done(
        &lake,
        "CREATE TABLE s.t TBLPROPERTIES ('write.wap.enabled' = 'true') AS SELECT 1 AS id",
    )
    .await;
    done(&lake, "CREATE TABLE s.plain AS SELECT 1 AS id").await;
    let before = lake.load("s.t").await.metadata_location;
    for sql in [
        "CREATE OR REPLACE TABLE s.t AS SELECT 2 AS id",
        "CREATE OR REPLACE TABLE s.t (id int)",
        "CREATE OR REPLACE TABLE s.t TBLPROPERTIES ('write.wap.enabled' = 'false') AS SELECT 2 AS id",
        "CREATE OR REPLACE TABLE s.plain TBLPROPERTIES ('write.wap.enabled' = 'true') AS SELECT 2 AS id",
    ] {
        let error = tried_with(&lake, &staging("night-1"), sql).await.expect_err(sql);
        assert_eq!(error.code(), "ENG-0024", "{sql}");
        assert!(error.hint().is_some_and(|hint| hint.contains("RESET tidewater.wap_id")));
    }
    let error = loaded(&lake, &staging("night-1"), "s.t", IfExists::Replace).await;
    assert_eq!(error.expect_err("a table that stages").code(), "ENG-0024");
    assert_eq!(ids(&lake).await, ["1"]);
    assert_eq!(
        lake.load("s.t").await.metadata_location,
        before,
        "nothing was committed"
    );
    loaded(&lake, &staging("night-1"), "s.plain", IfExists::Replace)
        .await
        .expect("a table that does not stage");
    assert_eq!(lake.lines("SELECT id FROM s.plain").await, ["7"]);
    loaded(&lake, &staging("night-1"), "s.t", IfExists::Append)
        .await
        .expect("rows that wait");
    assert_eq!(ids(&lake).await, ["1"]);
    done(&lake, "CREATE OR REPLACE TABLE s.t AS SELECT 3 AS id").await;
    assert_eq!(ids(&lake).await, ["3"]);
}

// Goal: what was staged with a null is not published to a table that forbids it meanwhile. Method: the publication before and after nulls are
// allowed again, while main stands and after it went on.
#[tokio::test]
async fn nulls_are_not_published_where_they_are_forbidden() {
    for goes_on in [false, true] {
        let lake = lake().await;
        done(
            &lake,
            "CREATE TABLE s.t (id int, p text) TBLPROPERTIES ('write.wap.enabled' = 'true')",
        )
        .await;
        done(&lake, "INSERT INTO s.t VALUES (1, 'a')").await;
        written(&lake, "night-1", "INSERT INTO s.t VALUES (2, NULL)").await;
        done(&lake, "ALTER TABLE s.t ALTER COLUMN p SET NOT NULL").await;
        if goes_on {
            done(&lake, "INSERT INTO s.t VALUES (3, 'c')").await;
        }
        let publish = "CALL system.publish_changes('s.t', 'night-1')";
        let error = refused(&lake, publish).await;
        assert_eq!(error.code(), "TBL-0024", "{error}");
        assert!(error.to_string().contains("without a value in p"), "{error}");
        done(&lake, "ALTER TABLE s.t ALTER COLUMN p DROP NOT NULL").await;
        done(&lake, publish).await;
        assert_eq!(lake.lines("SELECT id FROM s.t WHERE p IS NULL").await, ["2"]);
    }
}
