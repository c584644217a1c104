//! Models that hide rows that the source has, and changes that leave something out.

use std::sync::Arc;

use serde_json::{Value, json};
use tidewater_engine::PlanRunner;

use super::{FILTER, SILVER, SOFT_DELETE, lake_of, run, run_full};
use crate::testing::{Journeys, Lake, change, log_columns, patient};
use crate::{Mode, Pipelines, RunOptions, Selection};

/// An update that leaves the notes out.
fn short(lsn: i64, offset: i64, id: i64, score: i64) -> Value {
    let mut event = change("u", lsn, offset, id, score, None);
    event["_unavailable"] = json!(["notes"]);
    event
}

// Goal: a row that a model hides has all it had when it comes back, whatever came late meanwhile; a row that the source deleted has not.
// Method: rows are hidden and come back with their notes left out, by a filter and by a delete_when, each change in a run of its own.
#[tokio::test]
async fn rows_come_back_with_what_they_had() {
    for model in [FILTER, SOFT_DELETE] {
        let lake = Lake::new();
        let local = Arc::new(lake.engine.local_runner());
        Box::pin(rows_come_back(&lake, local, model)).await;
    }
}

// Goal: the same where models run on executors. Method: each of the plans sent and received before it runs.
#[tokio::test]
async fn rows_come_back_by_plans_that_travel() {
    let lake = Lake::new();
    let journeys = Arc::new(Journeys::of(&lake.engine));
    Box::pin(rows_come_back(&lake, journeys, FILTER)).await;
}

async fn rows_come_back(lake: &Lake, runner: Arc<dyn PlanRunner>, model: &str) {
    lake.create("bronze.patients", &log_columns(patient())).await;
    let pipelines = lake.pipelines_on(runner, lake.noted.clone(), &[("silver.patients", model)]);
    // The second one is hidden from its first change on.
    let first = [
        change("c", 10, 0, 1, 1, Some("big")),
        change("c", 11, 1, 2, 90, Some("huge")),
        change("c", 12, 2, 3, 3, Some("gone")),
    ];
    lake.append("bronze.patients", &first).await;
    run(&pipelines).await;
    lake.append("bronze.patients", &[short(20, 3, 1, 70), short(21, 4, 3, 70)])
        .await;
    assert_eq!(run(&pipelines).await.mode, Mode::Incremental);
    assert!(lake.lines(SILVER).await.is_empty());
    // The third one is deleted and made anew, of which the log tells only the former.
    lake.append("bronze.patients", &[change("d", 25, 5, 3, 0, None)]).await;
    assert_eq!(run(&pipelines).await.mode, Mode::Incremental);
    lake.append(
        "bronze.patients",
        &[short(30, 6, 1, 5), short(31, 7, 2, 6), short(32, 8, 3, 7)],
    )
    .await;
    assert_eq!(run(&pipelines).await.mode, Mode::Incremental);
    assert_eq!(lake.lines(SILVER).await, ["1,5,big", "2,6,huge", "3,7,"]);

    // What comes late counts for the row that came back, unless it is of before the delete; it hides and shows nothing.
    let late = [
        change("u", 22, 9, 1, 80, Some("late")),
        change("u", 15, 10, 2, 8, Some("later")),
        change("u", 23, 11, 3, 9, Some("never")),
    ];
    lake.append("bronze.patients", &late).await;
    assert_eq!(run(&pipelines).await.mode, Mode::Incremental);
    assert_eq!(lake.lines(SILVER).await, ["1,5,late", "2,6,later", "3,7,"]);

    // What comes late while the row is hidden is not lost either, and does not show it.
    lake.append("bronze.patients", &[short(40, 12, 1, 75)]).await;
    run(&pipelines).await;
    lake.append("bronze.patients", &[change("u", 35, 13, 1, 4, Some("hidden"))])
        .await;
    run(&pipelines).await;
    assert_eq!(lake.lines(SILVER).await, ["2,6,later", "3,7,"]);
    lake.append("bronze.patients", &[short(50, 14, 1, 2)]).await;
    assert_eq!(run(&pipelines).await.mode, Mode::Incremental);
    assert_eq!(lake.lines(SILVER).await, ["1,2,hidden", "2,6,later", "3,7,"]);
    run_full(&pipelines).await;
    assert_eq!(lake.lines(SILVER).await, ["1,2,hidden", "2,6,later", "3,7,"]);
}

async fn failure(pipelines: &Pipelines, full_refresh: bool) -> crate::Failure {
    let options = RunOptions {
        full_refresh,
        ..RunOptions::default()
    };
    let report = pipelines.run(&Selection::All, options).await.expect("a report");
    report.models[0].failure.clone().expect("a failure")
}

// Goal: where a change left out what decides whether its row stays, a run is refused and nothing is lost. Method: conditions that err
// either way, each beside a row that they keep; the models go on when the whole row comes.
#[tokio::test]
async fn rows_whose_condition_was_left_out() {
    let filter = "/*---\nkind: cdc\nkey: id\n---*/\nSELECT after.* FROM bronze.patients WHERE after.notes <> ''";
    let delete_when = "/*---\nkind: cdc\nsource: bronze.patients\nkey: id\n\
        delete_when: \"op = 'd' OR after.notes IS NULL\"\n---*/\n";
    for model in [filter, delete_when] {
        let (lake, pipelines) = lake_of(model).await;
        lake.append("bronze.patients", &[change("c", 10, 0, 1, 1, Some("a"))])
            .await;
        run(&pipelines).await;
        lake.append("bronze.patients", &[short(20, 1, 1, 2)]).await;
        for full_refresh in [false, true] {
            let failure = failure(&pipelines, full_refresh).await;
            assert_eq!(failure.code, "PIP-0026", "{failure:?}");
            assert!(
                failure.message.contains("notes") && failure.hint.is_some(),
                "{failure:?}"
            );
            assert_eq!(lake.lines(SILVER).await, ["1,1,a"], "{model}");
        }
        lake.append("bronze.patients", &[change("u", 30, 2, 1, 3, Some("b"))])
            .await;
        assert_eq!(run(&pipelines).await.mode, Mode::Incremental);
        assert_eq!(lake.lines(SILVER).await, ["1,3,b"], "{model}");
        // One that is older than the row decides nothing.
        lake.append("bronze.patients", &[short(25, 3, 1, 9)]).await;
        run(&pipelines).await;
        assert_eq!(lake.lines(SILVER).await, ["1,3,b"], "{model}");
        // A delete leaves out everything, and is one all the same; nor does an older change matter then.
        lake.append("bronze.patients", &[change("d", 40, 4, 1, 0, None)]).await;
        run(&pipelines).await;
        lake.append("bronze.patients", &[short(35, 5, 1, 9)]).await;
        run(&pipelines).await;
        assert!(lake.lines(SILVER).await.is_empty(), "{model}");
    }
}

// Goal: only what is in doubt is refused: not a change that another condition rules out, nor what fields decide that are not left out.
// Method: three conditions, one of them on the field that is left out, one on whether there is a row.
#[tokio::test]
async fn another_condition_decides() {
    let model = "/*---\nkind: cdc\nkey: id\n---*/\n\
        SELECT after.* FROM bronze.patients WHERE after.score < 60 AND after.notes <> ''
        AND after IS NOT NULL";
    let (lake, pipelines) = lake_of(model).await;
    let first = [change("c", 10, 0, 1, 1, Some("a")), change("c", 11, 1, 2, 2, Some("b"))];
    lake.append("bronze.patients", &first).await;
    run(&pipelines).await;
    lake.append("bronze.patients", &[short(20, 2, 1, 70)]).await;
    assert_eq!(run(&pipelines).await.mode, Mode::Incremental);
    assert_eq!(lake.lines(SILVER).await, ["2,2,b"]);
    lake.append("bronze.patients", &[short(30, 3, 1, 7)]).await;
    assert_eq!(failure(&pipelines, false).await.code, "PIP-0026");
    lake.append("bronze.patients", &[change("u", 40, 4, 1, 8, Some("c"))])
        .await;
    assert_eq!(run(&pipelines).await.mode, Mode::Incremental);
    assert_eq!(lake.lines(SILVER).await, ["1,8,c", "2,2,b"]);
}

// Goal: a condition that rests on whether there is a row is decided whatever the row leaves out. Method: only that one.
#[tokio::test]
async fn whether_there_is_a_row_is_never_left_out() {
    let model = "/*---\nkind: cdc\nkey: id\n---*/\nSELECT after.* FROM bronze.patients WHERE after IS NOT NULL";
    let (lake, pipelines) = lake_of(model).await;
    lake.append("bronze.patients", &[change("c", 10, 0, 1, 1, Some("a"))])
        .await;
    run(&pipelines).await;
    lake.append("bronze.patients", &[short(20, 1, 1, 2)]).await;
    assert_eq!(run(&pipelines).await.mode, Mode::Incremental);
    assert_eq!(lake.lines(SILVER).await, ["1,2,a"]);
    lake.append("bronze.patients", &[change("d", 30, 2, 1, 0, None)]).await;
    run(&pipelines).await;
    assert!(lake.lines(SILVER).await.is_empty());
}
