use tidewater_core::Coded;

use super::{MODES, done, lake, refused, tried_with};
use crate::SessionOptions;
use crate::testing::Lake;

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
